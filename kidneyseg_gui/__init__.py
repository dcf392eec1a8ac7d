"""KidneySeg's window."""
