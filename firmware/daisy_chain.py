"""The daisy chain: how many chips are in it and where their bits lie, told from rows that it sent.

Only the first chip of a chain answers a register read, all hear the same writes (facts 1.7). Pure: rows in,
layout or one line of error out.
"""

import numpy as np
from numpy.typing import NDArray

from firmware.errors import ChipError, ConfigError
from firmware.front_end_setup import FrontEndSetup
from hw.chips import ChipSpec
from hw.frames import MOST_CHIPS, FrameLayout, find_gap_bits


def chain_gains(setup: FrontEndSetup, part: ChipSpec) -> tuple[int, ...]:
    """Gain of each channel of every chip of the chain.

    Raises ChipError when the first chip is not the part expected, ConfigError for chips that should differ.
    """
    wanted = set(setup.parts)
    if len(wanted) > 1:
        raise ConfigError("chips of a daisy chain are set up as one; name the same part for each")
    if wanted and wanted != {part.name}:
        raise ChipError(
            f"daisy chain: expected {setup.parts[0]} first, got {part.name}: likely cause another part is "
            "fitted; cure: name the parts as they are on the board"
        )
    if setup.channels is not None:
        raise ConfigError("chips of a daisy chain hear the same writes; leave channels unset")
    if isinstance(setup.gain, int):
        return (setup.gain,) * part.channels
    own, count = setup.gain[: part.channels], len(setup.gain) // part.channels
    if own * count != setup.gain:
        raise ConfigError("chips of a daisy chain hear the same writes; give each the same gains")
    return own


def chain_layout(
    rows: NDArray[np.uint8], part: ChipSpec, members: int | None, gap_bits: int | None
) -> FrameLayout:
    """The layout that the headers in `rows` (n, bytes) speak for.

    `members` None: as many as answer, at least two. `gap_bits`: what is known already. Raises ChipError when
    they speak for none, or for other gap bits.
    """
    failure = ""
    for count in (members,) if members is not None else range(MOST_CHIPS, 1, -1):
        channels = (part.channels,) * count
        try:
            found = find_gap_bits(rows, channels)
        except ValueError as error:
            failure = str(error)
            continue
        if gap_bits not in (None, found):
            raise ChipError(
                f"daisy chain: expected {gap_bits} gap bits, got {found}: likely cause another board; "
                "cure: leave daisy_gap_bits to the headers"
            )
        return FrameLayout(channels, True, found)
    raise ChipError(f"{failure}, or use one chip without daisy")
