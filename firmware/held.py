"""What rate this machine was measured to hold, in a small file of the user's, so that more can be refused.

The bench writes it, the source asks before it configures. A file of another machine, kernel or form counts as
never measured, and nothing is refused on a guess. Limit: tail + transfer <= T - 10 us (facts/hardware.md 6).

The file: {"machine": {..}, "measured_utc": "..", "chips": n, "rates": [{"rate_hz", "rows", "lost",
"typical_us", "tail_us", "transfer_us"}]}: `tail_us` is the latest begin of a row after its edge,
`transfer_us` the longest transfer of all chips.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SPARE_US = 10.0


@dataclass(frozen=True, slots=True)
class RateHeld:
    """One rate as measured. `lost`: edges that no row was read for."""

    rate_hz: float
    rows: int
    lost: int
    typical_us: float
    tail_us: float
    transfer_us: float

    def holds(self, chips: int = 1, measured_chips: int = 1) -> bool:
        """Whether tail and transfer, for `chips` instead of those measured, fit the period."""
        return not self.lost and self.need_us(chips, measured_chips) <= 1e6 / self.rate_hz - SPARE_US

    def need_us(self, chips: int = 1, measured_chips: int = 1) -> float:
        """Tail and transfer; the transfer grows with the chips."""
        return self.tail_us + self.transfer_us * chips / measured_chips


@dataclass(frozen=True, slots=True)
class Held:
    """All rates that were measured, with `chips` converters, and the rate that the longest of them gives."""

    chips: int
    rates: tuple[RateHeld, ...]

    def highest_hz(self, chips: int | None = None) -> float:
        """The highest rate that holds, 0 when none does."""
        wanted = chips or self.chips
        return max((r.rate_hz for r in self.rates if r.holds(wanted, self.chips)), default=0.0)


def machine_identity() -> dict[str, str]:
    """What must be the same for a measurement to count: model, kernel, architecture, number of CPUs."""
    try:
        model = Path("/proc/device-tree/model").read_text(encoding="utf-8").rstrip("\0\n")
    except (OSError, UnicodeDecodeError):
        model = platform.node()
    return {
        "model": model,
        "kernel": f"{platform.release()} {platform.version()}",
        "architecture": platform.machine(),
        "cpus": str(os.cpu_count() or 0),
    }


def held_path() -> Path:
    """$XDG_STATE_HOME/evokd/held.json, or ~/.local/state/evokd/held.json."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "evokd" / "held.json"


def refuse(rate_hz: float, chips: int = 1, path: Path | None = None) -> str:
    """Why `rate_hz` with `chips` converters does not fit this machine, in one line; "" when it does.

    Also "" when this machine was never measured. A rate that was not measured is judged by the measured one
    next to it, whose tail is the best guess there is.
    """
    held = read_held(path)
    if held is None or not held.rates:
        return ""
    near = min(held.rates, key=lambda r: abs(r.rate_hz - rate_hz))
    period_us = 1e6 / rate_hz
    need_us = near.need_us(chips, held.chips)
    lost = near.lost if near.rate_hz == rate_hz else 0
    if need_us <= period_us - SPARE_US and not lost:
        return ""
    highest_hz = held.highest_hz(chips)
    best = f"the highest that holds is {highest_hz:g} Hz" if highest_hz else "no rate holds"
    why = f"{lost} of {near.rows + lost} samples were lost, " if lost else ""
    return (
        f"{rate_hz:g} Hz with {chips} chip(s) does not hold on this machine: {why}measured tail "
        f"{near.tail_us:.0f} us + transfer {near.transfer_us * chips / held.chips:.0f} us against a period "
        f"of {period_us:.0f} us less {SPARE_US:.0f}; {best}: choose that, or mend the machine (evokd doctor) "
        "and measure again (evokd bench)"
    )


def read_held(path: Path | None = None) -> Held | None:
    """What was measured on this machine; None when nothing was, or elsewhere."""
    try:
        content = json.loads((path or held_path()).read_text(encoding="utf-8"))
        if content["machine"] != machine_identity():
            return None
        rates = tuple(RateHeld(**row) for row in content["rates"])
        return Held(int(content["chips"]), rates) if int(content["chips"]) > 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def as_json(held: Held, measured_utc: str) -> dict[str, Any]:
    """What the file holds."""
    rates: Sequence[Mapping[str, Any]] = [asdict(rate) for rate in held.rates]
    return {
        "machine": machine_identity(),
        "measured_utc": measured_utc,
        "chips": held.chips,
        "rates": list(rates),
    }


def write_held(held: Held, measured_utc: str, path: Path | None = None) -> Path:
    """Keep it, replacing what was there in one step. Raises OSError."""
    target = path or held_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    fresh.write_text(json.dumps(as_json(held, measured_utc), indent=1) + "\n", encoding="utf-8")
    fresh.replace(target)
    return target
