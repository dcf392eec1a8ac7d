"""The sections of the side panel, and the notices."""
