"""The side panel's blocks and the notices bar: each shows the case and writes back to it."""
