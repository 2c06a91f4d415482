"""The edge's exception tree; every message is one line: what, where, how to cure.

EdgeError                              exit 1: any fault that ends the edge
├── ConfigError (ValueError)           exit 2: bad option, bad configuration
├── ChipError (OSError)                exit 1: the chip answers wrongly: expected, got, likely cause, cure
├── PortError (OSError)                exit 1: a device of the machine is missing, busy or failing
└── LinkError (ConnectionError)        exit 1: the host is unreachable, of another version, or the link broke
"""


class EdgeError(Exception):
    """Any fault that ends the edge; `exit_code` is the process's answer to it."""

    exit_code = 1


class ConfigError(EdgeError, ValueError):
    """Bad option or configuration."""

    exit_code = 2


class ChipError(EdgeError, OSError):
    """The chip is not what it should be or does not hold what was written."""


class PortError(EdgeError, OSError):
    """SPI, GPIO or another device of this machine is missing, busy or failing."""


class LinkError(EdgeError, ConnectionError):
    """The host cannot be reached, speaks another version, or the link broke."""
