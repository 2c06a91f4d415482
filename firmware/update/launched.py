"""What the launcher tells the edge that it starts, and the way back to the launcher.

It travels in one environment variable. The launcher is never updated: the form is frozen, keys may be added.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firmware.errors import ConfigError, EdgeError
from firmware.update.boot import confirm
from firmware.update.disk import FolderDisk
from firmware.update.slots import Slots
from hw.stages import notify_address

VARIABLE = "EVOKD_LAUNCHED"
SET = ("PYTHONPATH", "PYTHONPYCACHEPREFIX", "NUMBA_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")
"""What the launcher sets or takes away for a slot, and must not find set itself: it would be the slot's."""


@dataclass(frozen=True, slots=True)
class Launched:
    """`slot` of the folder `state` was started by `command`, which starts it anew; `keys` are trusted.
    `found` is what the launcher found of `SET`."""

    state: Path
    keys: Path
    slot: str
    command: tuple[str, ...]
    found: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> str:
        """The variable's text."""
        told = {
            "state": str(self.state),
            "keys": str(self.keys),
            "slot": self.slot,
            "command": self.command,
            "found": dict(self.found),
        }
        return json.dumps(told)

    def slots(self) -> Slots:
        """Its slots."""
        return Slots(FolderDisk(self.state))

    def confirm(self) -> str:
        """The edge has come up: its slot is good. A line for the log, "" when it was good before."""
        try:
            return f"slot {self.slot} has come up and stays" if confirm(self.slots(), self.slot) else ""
        except OSError as error:
            return f"slot {self.slot} has come up, which cannot be noted: {error.strerror or error}"

    def start_anew(self) -> None:
        """Become the launcher, as it was installed; under systemd, which was told that we end, return and let
        it start the launcher. Raises EdgeError when that is gone."""
        if notify_address(os.environ) is not None:
            return
        kept = {name: value for name, value in os.environ.items() if name not in (*SET, VARIABLE)}
        try:
            os.execve(self.command[0], self.command, {**kept, **self.found})
        except OSError as error:
            raise EdgeError(
                f"cannot start {self.command[0]} anew: {error.strerror}; restart the edge"
            ) from None


def launched(environment: Mapping[str, str] = os.environ) -> Launched | None:
    """What the launcher said, None without one. Raises ConfigError for what is none of its words."""
    text = environment.get(VARIABLE)
    if not text:
        return None
    try:
        told = json.loads(text)
        command = tuple(str(word) for word in told["command"])
        found = {str(name): str(value) for name, value in told["found"].items()}
        if command:
            return Launched(Path(told["state"]), Path(told["keys"]), str(told["slot"]), command, found)
    except (ValueError, TypeError, LookupError, AttributeError):
        pass
    raise ConfigError(f"{VARIABLE} is not what the launcher says; start it, not the edge")
