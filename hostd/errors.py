"""The host's exception tree; every message is one line: what, where, how to cure.

EvokdError
├── UsageError (ValueError)            exit 2: bad option, bad configuration
│   └── CaseFileError                  exit 2: every fault of a case file, with line and cure
├── LinkError (ConnectionError)        exit 1: edge unreachable, other version, link broken
├── RecordingError (OSError)           exit 1: recording missing, damaged or not writable
├── BusError (OSError)                 exit 1: port busy, no answer
└── CrashedError (RuntimeError)        exit 1: a thread of the host met what nobody foresaw
"""


class EvokdError(Exception):
    """Any fault that ends a command; `exit_code` is the process's answer to it."""

    exit_code = 1


class UsageError(EvokdError, ValueError):
    """Bad option or configuration."""

    exit_code = 2


class CaseFileError(UsageError):
    """Faults of one case file; `faults` holds one line each: `PATH:LINE: what; cure`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class LinkError(EvokdError, ConnectionError):
    """The edge cannot be reached, speaks another version, or the link broke."""


class RecordingError(EvokdError, OSError):
    """A recording is missing, damaged beyond repair, or cannot be written."""


class BusError(EvokdError, OSError):
    """An endpoint cannot be opened or does not answer."""


class CrashedError(EvokdError, RuntimeError):
    """A thread of the host met what nobody foresaw; another host may take up the case."""
