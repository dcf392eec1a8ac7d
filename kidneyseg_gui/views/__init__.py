"""The slice views and the 3-D pane: each draws the case and writes back to it."""
