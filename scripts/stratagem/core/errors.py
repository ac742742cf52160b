"""Every error that a user can cause, as one family whose message says how to go on.

    StratagemError
    ├── ConfigError   (ValueError)    a key of the study is missing, unknown or of the wrong kind
    ├── DataError     (ValueError)    an image, a mask or a whole data set cannot be used
    ├── GeometryError (ValueError)    a size does not fit the resolution plan
    ├── ShardError    (OSError)       a shard is damaged or of another format
    ├── LoaderError   (RuntimeError)  batches cannot be made
    ├── WeightsError  (ValueError)    a weights file is not what the source promises
    ├── DeviceError   (RuntimeError)  the device or the threads asked for are not to be had
    ├── TrainingError (RuntimeError)  training cannot go on
    ├── MachineError  (OSError)       the machine refuses room, memory or a right, or lost a file
    └── UnknownNameError (KeyError)   no row of a table has this name

A message states what was expected, what was found, where, and what to do. The package raises;
only a script (through `stratagem.core.job`) ends the process.
"""

__all__ = [
    "ConfigError",
    "DataError",
    "DeviceError",
    "GeometryError",
    "LoaderError",
    "MachineError",
    "ShardError",
    "StratagemError",
    "TrainingError",
    "UnknownNameError",
    "WeightsError",
]


class StratagemError(Exception):
    """An error with its cure.

    Parameters
    ----------
    expected : str
        What would have been right, as a clause: "a mask of the image's size, 40x60".
    found : str
        What was there instead: "a mask of 40x61".
    where : str
        The file, sample or config key.
    remedy : str
        What the user can do about it, as a sentence.
    """

    def __init__(self, *, expected: str, found: str, where: str, remedy: str):
        self.expected = expected
        self.found = found
        self.where = where
        self.remedy = remedy
        super().__init__(f"{where}: expected {expected}, but found {found}. {remedy}")


class ConfigError(StratagemError, ValueError):
    """A key of the study is missing, unknown or of the wrong kind; carries all faults found.

    Parameters
    ----------
    faults : list of str
        One sentence a fault, each of which names its key.
    """

    def __init__(self, faults: list[str]):
        self.faults = list(faults)
        Exception.__init__(self, "\n".join(self.faults))


class DataError(StratagemError, ValueError):
    """An image, a mask or a whole data set cannot be used."""


class GeometryError(StratagemError, ValueError):
    """A size does not fit the resolution plan."""


class ShardError(StratagemError, OSError):
    """A shard is damaged or of another format."""


class LoaderError(StratagemError, RuntimeError):
    """Batches cannot be made of the samples, or not in the memory allowed."""


class WeightsError(StratagemError, ValueError):
    """A weights file is not what the source promises."""


class DeviceError(StratagemError, RuntimeError):
    """The device or the threads asked for are not to be had."""


class TrainingError(StratagemError, RuntimeError):
    """Training cannot go on."""


class MachineError(StratagemError, OSError):
    """The machine refuses what a job needs: room on a disk, memory, a right; or a file is damaged."""


class UnknownNameError(StratagemError, KeyError):
    """No row of a table has this name."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes
