"""What can go wrong for a user. Every message says what is wrong with what, and what to do about it."""


class KidneySegError(Exception):
    """Base of every error a user may be shown; `str(error)` is one clear sentence or two."""


class InputError(KidneySegError):
    """A file or image that cannot be used as a CT."""


class OutputError(KidneySegError):
    """A result that cannot be written where it was asked for."""


class SettingsError(KidneySegError, ValueError):
    """A setting outside its range, or settings that contradict each other."""


class ModelError(KidneySegError):
    """Network weights that are missing, damaged or of the wrong shape."""


class CaseError(KidneySegError):
    """A case that could not be made into a training sample; the message names it."""


class ResourceError(KidneySegError):
    """Not enough memory, or a device that is not there."""


class Cancelled(Exception):  # noqa: N818 - a request that was granted, not an error
    """Raised inside long work once its `Progress` was asked to stop."""
