"""What can go wrong through what a user gave; the command line turns each into one line and exit code 2."""


class RotoscopeError(ValueError):
    """A user can mend this: the message says what was found, what was expected and what to do."""


class VideoError(RotoscopeError):
    """A source that cannot be read as video."""


class MaskError(RotoscopeError):
    """A mask file, run-length code or prompt that cannot be used."""


class WeightsError(RotoscopeError):
    """A weights file that is missing, unsafe, of another system or incomplete."""


class OutputError(RotoscopeError):
    """A place that results cannot be written to."""


class OptionError(RotoscopeError):
    """Options that contradict each other or lie outside their range."""


class DataError(RotoscopeError):
    """A data set or folder of annotations that is not as its layout says."""


class TrainingError(RotoscopeError):
    """A training that cannot go on: its loss is no number, or memory ran out."""


class VideoWarning(UserWarning):
    """A video that could be read only in part, or whose frames had to be mended."""
