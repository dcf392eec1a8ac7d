"""The slice views and the 3-D view."""
