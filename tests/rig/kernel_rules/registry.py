"""The cases by name, those that the rig answers otherwise and why, and how cases are asked and recorded.

Owns the order: cases are asked as they were registered, which the package's NOUNS decide, those that end the
chip's usefulness last. Refuses to know what a case asks.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import IN, outcome
from tests.rig.kernel_rules.other_end import drive, touched

LOCKSTEP_DIFFERS: Final = {
    "stamps": "in lockstep stamps are START + n/fs, in the future: only a kernel's lie in the bracket",
    "debounced_events": "the rig tells of every edge at once: in lockstep no time passes to debounce in",
    "debounced_values": "the rig's levels are the line's: in lockstep no time passes to debounce in",
}
"""Cases that the rig answers otherwise because its time is not the clock's."""
DRIVER_DIFFERS: Final = {
    "let_go": "gpio-sim keeps the last level of an open-drain line let go; the rig shows who pulls it",
}
"""Cases in which the driver below gpiolib decides, and the rig's is a board, not gpio-sim."""
SOCKET_DIFFERS: Final = {
    "event_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "watch_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "v1_event_reads_odd": "the rig's descriptors are stream sockets: any number of bytes can be read",
    "descriptors": "the rig's descriptors are stream sockets: they take writes and sockets' own ioctls",
    "removal_reads": "a socket's hang-up is IN and HUP, and reads as its end",
}
"""Cases in which it shows that the rig's descriptors are sockets."""
RIG_DIFFERS: Final = LOCKSTEP_DIFFERS | DRIVER_DIFFERS | SOCKET_DIFFERS

Case = Callable[[], Any]
CASES: dict[str, Case] = {}
_LAST: Final = ("removal", "removal_reads")
"""They end the chip's usefulness."""


def case(function: Case) -> Case:
    """Register a case by its name."""
    CASES[function.__name__] = function
    return function


def observe(name: str) -> Any:
    """One observation; an unexpected exception is one too. Lines are left free, inputs, and low."""
    try:
        found = CASES[name]()
    except Exception as error:  # noqa: BLE001  # the other cases go on
        found = {"raised": f"{type(error).__name__}: {error}"}
    if name not in _LAST:
        _tidy()
    return found


def _tidy() -> None:
    with Chip() as chip:
        for offset in sorted(touched):
            drive(offset, 1, 0)
            outcome(chip.lines, IN, offset)
    touched.clear()


def record(observations: dict[str, Any]) -> str:
    """One case a line, sorted."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(found, sort_keys=True, separators=(',', ':'))}"
        for name, found in sorted(observations.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Ask, print, and record when told to."""
    file: Path | None = None
    if arguments[:1] == ["--record"] and len(arguments) > 1:
        file, arguments = Path(arguments[1]), arguments[2:]
    unknown = [name for name in arguments if name not in CASES]
    if unknown:
        print(f"no case is called {unknown[0]!r}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    chosen = arguments or list(CASES)
    observations = {name: observe(name) for name in sorted(chosen, key=_LAST.__contains__)}
    if file is not None:
        file.write_text(record(observations), encoding="utf-8")
    print(json.dumps(observations, sort_keys=True))
    return 0
