"""Cases of flags: every combination asked of a line, in v2, v1 handles and v1 events.

Owns the walk over them, a letter an outcome, and what information tells of those accepted; no line is used.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import IN, OUT, Fd, name_of, outcome
from tests.rig.kernel_rules.other_end import drive
from tests.rig.kernel_rules.registry import case

LETTERS: Final = {"EINVAL": "I", "EOPNOTSUPP": "O", "EBUSY": "B", "EPERM": "P", "ok": "."}


class Walk:
    """The outcomes of many requests, a letter each in the order asked, and what was told of the accepted."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.accepted: list[list[int]] = []

    def ask(self, asked: Sequence[int], action: Callable[[], Fd], told: Callable[[], Sequence[int]]) -> None:
        """One request, `told` being called while it lives."""
        try:
            with action():
                self.accepted.append([*asked, *told()])
            self.letters.append(LETTERS["ok"])
        except OSError as error:
            self.letters.append(LETTERS.get(name_of(error), "?"))

    def told(self, order: str) -> dict[str, Any]:
        """The observation."""
        legend = {letter: name for name, letter in LETTERS.items()}
        outcomes = "".join(self.letters)
        return {"order": order, "legend": legend, "outcomes": outcomes, "accepted": self.accepted}


@case
def v2_flags() -> Any:
    """gpio_v2_line_flags_validate, and what info tells of what it lets pass: all 13 flags in all ways."""
    walk = Walk()
    with Chip() as chip:
        for flags in range(u.V2_FLAGS + 1):
            offset = 25 if flags & (IN | OUT) else 24
            walk.ask([flags], lambda a=flags, b=offset: chip.lines(a, b), lambda b=offset: [chip.flags(b)])
        undefined = {
            str(bit): [outcome(chip.lines, 1 << bit | more, 25) for more in (0, IN, IN | u.V2_CLOCK_HTE)]
            for bit in range(13, 64)
        }
        drive(25, 1, 0)
    return walk.told("flags from 0 to 0x1fff; told: v2's info") | {"undefined": undefined}


@case
def v1_handle_flags() -> Any:
    """linehandle_validate_flags, and what info tells: all 8 flags and one that is none, in all ways."""
    walk = Walk()
    with Chip() as chip:
        for flags in range(1 << 9):
            offset = 25 if flags & 3 else 24
            walk.ask(
                [flags],
                lambda a=flags, b=offset: chip.handle(a, b),
                lambda b=offset: [chip.flags_v1(b), chip.flags(b)],
            )
        undefined = [outcome(chip.handle, 1 << bit | 1, 25) for bit in range(8, 32)]
        drive(25, 1, 0)
    return walk.told("flags from 0 to 0x1ff; told: v1's and v2's info") | {"undefined": undefined}


@case
def v1_event_flags() -> Any:
    """lineevent_create: all handle flags with all event flags, and one of each that is none."""
    walk = Walk()
    with Chip() as chip:
        for handle in range(1 << 9):
            for event in range(1 << 3):
                walk.ask(
                    [handle, event],
                    lambda a=handle, b=event: chip.event(25, b, a),
                    lambda: [chip.flags_v1(25), chip.flags(25)],
                )
        drive(25, 1, 0)
    return walk.told("handle flags from 0 to 0x1ff, for each event flags 0 to 7; told: v1's and v2's info")
