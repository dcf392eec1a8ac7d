"""Errors that a user may cause or meet. Every message names the object, the problem and the remedy."""


class KidneySegError(Exception):
    """Base of all errors that are shown to users; `str(error)` is one or two sentences."""


class InputError(KidneySegError):
    """A file or image that cannot be used as a CT."""


class LabelMapError(InputError):
    """A label map where a CT is needed."""


class OutputError(KidneySegError):
    """A file that cannot be written to the requested path."""


class SidecarError(OutputError):
    """A mask that was written while its sidecar could not be."""


class FileChangedError(OutputError):
    """A file that another program has changed since it was read or written here; it is not replaced."""


class SettingsError(KidneySegError, ValueError):
    """A setting outside its range, or settings that contradict each other."""


class ModelError(KidneySegError):
    """Network weights that are missing, damaged or of the wrong shape."""


class CaseError(KidneySegError):
    """A case from which no training sample can be made; the message names it."""


class ResourceError(KidneySegError):
    """Not enough memory, or a device or backend that is not available."""


# Not named ...Error, and no KidneySegError: the user asked for it, and nobody is to report it as a failure.
class Cancelled(Exception):  # noqa: N818
    """Raised by long work once its `Progress` is cancelled."""
