"""Point clouds from a Volume, and masks from labelled clouds; independent of any network."""
