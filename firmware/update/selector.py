"""Which slot starts, and what is known of it: one small record, and its bytes. Pure.

The launcher that reads it is never updated, so that its form is frozen: keys may be added, which older ones
ignore, and none may change its meaning.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SLOTS = ("a", "b")
INSTALLED = "installed"
"""What the launcher itself was installed with: never written by an update, the last resort."""
MOST_STARTS = 3
"""Starts on trial before a slot is given up."""


@dataclass(frozen=True, slots=True)
class Selector:
    """`slot` starts. It has been started `starts` times without being found good, and `before`
    takes its place when it is given up. `images`: the SHA-256 of each slot's head. `floor`: the highest build
    that was ever good here; older ones are refused. `told`: why the last trial was given up."""

    slot: str = INSTALLED
    trial: bool = False
    starts: int = 0
    before: str = INSTALLED
    images: Mapping[str, str] = field(default_factory=dict)
    floor: int = 0
    told: str = ""

    def encode(self) -> bytes:
        """As it is stored: JSON, with a SHA-256 over what it says."""
        said = {
            "slot": self.slot,
            "trial": self.trial,
            "starts": self.starts,
            "before": self.before,
            "images": dict(self.images),
            "floor": self.floor,
            "told": self.told,
        }
        return json.dumps({"selector": said, "sha256": _digest(said)}, indent=1).encode()


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def decode(data: bytes) -> Selector | None:
    """The record, None for bytes that are not one or were damaged."""
    try:
        stored = json.loads(data)
        said = stored["selector"]
        if stored["sha256"] != _digest(said):
            return None
        selector = Selector(
            str(said["slot"]),
            bool(said["trial"]),
            int(said["starts"]),
            str(said["before"]),
            {str(k): str(v) for k, v in said["images"].items()},
            int(said["floor"]),
            str(said["told"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    known = (*SLOTS, INSTALLED)
    return selector if selector.slot in known and selector.before in known else None


def free_slot(selector: Selector) -> str:
    """Where an update goes: not where the running one is."""
    return "b" if selector.slot == "a" else "a"


def on_trial(selector: Selector, slot: str, image: str) -> Selector:
    """`slot` is complete and to be tried; what runs now stays to go back to."""
    return replace(
        selector,
        slot=slot,
        trial=True,
        starts=0,
        before=selector.slot,
        images={**selector.images, slot: image},
        told="",
    )


def started(selector: Selector) -> Selector:
    """One more start on trial."""
    return replace(selector, starts=selector.starts + 1)


def found_good(selector: Selector, build: int) -> Selector:
    """What was on trial stays."""
    return replace(selector, trial=False, starts=0, floor=max(selector.floor, build))


def given_up(selector: Selector, to: str, why: str) -> Selector:
    """`to` takes the place of the slot that was selected."""
    return replace(selector, slot=to, trial=False, starts=0, before=INSTALLED, told=why)
