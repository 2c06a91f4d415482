"""The board behind the rig's device nodes: given a converter's noise, and broken on request.

Knows the rig's control channel and nothing of its kernel side. On a real machine there is none of this.
"""

import os

from firmware.errors import ConfigError, PortError
from firmware.rig.control import ENVIRONMENT, RigControl, RigRefusedError
from hw.model.faults import Fault, FaultKind

AS_IN_THE_TABLE = 1.0
MOST_CHANNELS = 8


def on_rig() -> bool:
    """Whether this process's device nodes are the rig's."""
    return bool(os.environ.get(ENVIRONMENT))


def give_noise(chips: int) -> None:
    """Every channel gets the noise of the table: the rig's own board is exact, for tests of drivers.

    Raises PortError when the rig does not answer.
    """
    for chip in range(chips):
        for channel in range(MOST_CHANNELS):
            try:
                break_board(Fault(FaultKind.NOISY_CHANNEL, chip, channel, AS_IN_THE_TABLE))
            except ConfigError:  # a part of fewer channels
                break


def break_board(fault: Fault) -> None:
    """Break the rig's board. Raises ConfigError for what it does not have, PortError when no rig answers."""
    value = {} if fault.value is None else {"value": fault.value}
    where = {"chip": fault.chip, "channel": fault.channel, "address": fault.address}
    try:
        with RigControl() as rig:
            rig.chip_fault(str(fault.kind), **where, **value)
    except RigRefusedError as error:
        raise ConfigError(f"--fault {error}") from None
    except OSError as error:
        raise PortError(f"the rig does not answer: {error}; start it anew") from None
