"""What happens to the model patient, and when: a whole case as records (SCENARIO.md documents every table).

Pure data with its validation; records of what has a file of its own live there. Refuses to open files:
`parse_scenario` takes a decoded TOML document.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from hw.model.anatomy import Lesion
from hw.model.checks import choice, number
from hw.model.contacts import Contact, ElectrodeChange
from hw.model.discharges import Discharge
from hw.model.evoked import Level
from hw.model.heart import Heart
from hw.model.interference import Interference
from hw.model.plugs import Plugs, other, plugs_at
from hw.model.sites import SITES
from hw.model.state import Anaesthesia
from hw.model.stimulator import Condition

Response = Literal["cortical", "subcortical", "peripheral", "motor", "all"]
Mode = Literal["cut", "coag"]


@dataclass(frozen=True, slots=True)
class Change:
    """From `at_s` on, the `response` to `site` has `amplitude` (factor of normal) and `latency_ms` (added).

    The new state is reached in a straight line over `ramp_s` from whatever was before. It is whole: what a
    change does not name returns to normal. "all" covers every site, or every level from nerve to cortex.
    ValueError (one line) for impossible values.
    """

    at_s: float
    site: str = "all"
    response: Response = "all"
    amplitude: float = 1.0
    latency_ms: float = 0.0
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        number("change", "at_s", self.at_s, 0.0, 1e6)
        choice("change", "site", self.site, ("all", *SITES))
        choice("change", "response", self.response, get_args(Response))
        number("change", "amplitude", self.amplitude, 0.0, 100.0)
        number("change", "latency_ms", self.latency_ms, -5.0, 50.0)
        number("change", "ramp_s", self.ramp_s, 0.0, 1e6)

    def covers(self, site: str, level: Level | Literal["motor"]) -> bool:
        """Whether this change speaks of `level` of the response to `site`."""
        return self.site in ("all", site) and self.response in ("all", level)


@dataclass(frozen=True, slots=True)
class NoiseChange:
    """From `at_s` on, noise is this many times its normal.

    `emg`: resting muscle; `mains`; `eeg`: background, rhythms and the thermal noise.
    The new state is whole: what it does not name returns to 1. All else stays as it is.
    ValueError (one line) for impossible values.
    """

    at_s: float
    emg: float = 1.0
    mains: float = 1.0
    eeg: float = 1.0

    def __post_init__(self) -> None:
        number("noise", "at_s", self.at_s, 0.0, 1e6)
        for name in ("emg", "mains", "eeg"):
            number("noise", name, getattr(self, name), 0.0, 1e4)


@dataclass(frozen=True, slots=True)
class Electrosurgery:
    """From `at_s` on, for `for_s`, the surgeon cuts or coagulates; several at once add up.

    `level_uv`: rms of the interference behind the amplifier, on an electrode of share 1; the converter's
    filter takes some of it. ValueError (one line) for impossible values.
    """

    at_s: float
    for_s: float
    level_uv: float = 3000.0
    mode: Mode = "cut"

    def __post_init__(self) -> None:
        number("electrosurgery", "at_s", self.at_s, 0.0, 1e6)
        number("electrosurgery", "for_s", self.for_s, 0.0, 1e6)
        number("electrosurgery", "level_uv", self.level_uv, 0.0, 1e6)
        choice("electrosurgery", "mode", self.mode, get_args(Mode))


@dataclass(frozen=True, slots=True)
class StimulatorChange:
    """From `at_s` on the stimulator of `line` (0: of all) is in this `condition`: `ok`, `open` (a lead is
    off), `short`, or `loss` (the share `lost` of the current takes another way). ValueError (one line) for
    impossible values.
    """

    at_s: float
    condition: Condition = "ok"
    lost: float = 0.4
    line: int = 0

    def __post_init__(self) -> None:
        number("stimulator", "at_s", self.at_s, 0.0, 1e6)
        choice("stimulator", "condition", self.condition, get_args(Condition))
        number("stimulator", "lost", self.lost, 0.0, 1.0)
        number("stimulator", "line", self.line, 0, 8)


SOUND = StimulatorChange(0.0)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From `at_s` on a motor `site` answers from `ma` on: a screw that touches a nerve, a tract that is near.

    ValueError (one line) for impossible values.
    """

    at_s: float
    site: str
    ma: float

    def __post_init__(self) -> None:
        number("threshold", "at_s", self.at_s, 0.0, 1e6)
        choice("threshold", "site", self.site, SITES)
        number("threshold", "ma", self.ma, 0.01, 1e3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, in records of one kind each; the order of equal times is the order given."""

    changes: tuple[Change, ...] = ()
    noise: tuple[NoiseChange, ...] = ()
    electrosurgery: tuple[Electrosurgery, ...] = ()
    stimulator: tuple[StimulatorChange, ...] = ()
    lesion: tuple[Lesion, ...] = ()
    anaesthesia: tuple[Anaesthesia, ...] = ()
    threshold: tuple[Threshold, ...] = ()
    emg: tuple[Discharge, ...] = ()
    electrode: tuple[ElectrodeChange, ...] = ()
    interference: tuple[Interference, ...] = ()
    heart: tuple[Heart, ...] = ()
    plugs: tuple[Plugs, ...] = ()

    def stimulator_at(self, at_s: float, line: int) -> StimulatorChange:
        """The condition of the stimulator of `line` at `at_s`."""
        of_line = [c for c in self.stimulator if c.line in (0, line) and c.at_s <= at_s]
        return max(of_line, key=lambda change: change.at_s, default=SOUND)

    def line_at(self, at_s: float, line: int) -> int:
        """The line whose site a pulse on `line` reaches at `at_s`."""
        reached: int = other(plugs_at(self.plugs, at_s).lines, line)
        return reached

    def contact_at(self, name: str, at_s: float) -> Contact:
        """How the electrode `name` (or "reference") lies at `at_s`."""
        said = [one for one in self.electrode if one.name == name and one.at_s <= at_s]
        return sorted(said, key=lambda one: one.at_s)[-1].condition if said else "ok"

    def threshold_ma(self, site: str, at_s: float) -> float | None:
        """The current at which half of `site` answers at `at_s`, where the scenario says so."""
        said = [one for one in self.threshold if one.site == site and one.at_s <= at_s]
        return max(said, key=lambda one: one.at_s).ma if said else None

    def response(self, site: str, level: Level | Literal["motor"], at_s: float) -> tuple[float, float]:
        """(amplitude factor, added latency in ms) of `level` of the response to `site` at `at_s`."""
        state = (1.0, 0.0)
        origin, target = state, None
        for change in sorted(self.changes, key=lambda change: change.at_s):
            if change.at_s > at_s or not change.covers(site, level):
                continue
            origin, target = _between(origin, target, change.at_s), change
        return _between(origin, target, at_s)


def _between(origin: tuple[float, float], target: Change | None, at_s: float) -> tuple[float, float]:
    """Where the ramp from `origin` to `target` has come by `at_s`."""
    if target is None:
        return origin
    if at_s >= target.at_s + target.ramp_s:
        return target.amplitude, target.latency_ms
    share = (at_s - target.at_s) / target.ramp_s
    return (
        origin[0] + share * (target.amplitude - origin[0]),
        origin[1] + share * (target.latency_ms - origin[1]),
    )


NO_CHANGE = Scenario()
KINDS = {
    "change": Change,
    "noise": NoiseChange,
    "electrosurgery": Electrosurgery,
    "stimulator": StimulatorChange,
    "lesion": Lesion,
    "anaesthesia": Anaesthesia,
    "threshold": Threshold,
    "emg": Discharge,
    "electrode": ElectrodeChange,
    "interference": Interference,
    "heart": Heart,
    "plugs": Plugs,
}
"""The record of each table."""
TABLES = tuple(KINDS)

_MISSING = {
    "at_s": "say when, in seconds",
    "for_s": "say how long, in seconds",
    "place": 'say where, as place = "cord T8"',
    "site": 'say where, as site = "left screw L4"',
    "ma": "say how much, as ma = 4",
    "name": 'say which, as name = "CP3", or "reference"',
    "condition": 'say how it lies: condition = "off", "loose" or "ok"',
    "kind": 'say what it is, as kind = "drill"',
}


def parse_scenario(document: Mapping[str, object]) -> Scenario:
    """The scenario of a decoded TOML document: tables `[[change]]`, `[[noise]]` and the others of TABLES.

    Keys are the fields of the records above. ValueError with one line: table, what is wrong, cure.
    """
    for key in document:
        if key not in TABLES:
            known = ", ".join(f"[[{name}]]" for name in TABLES)
            raise ValueError(f"scenario: unknown table {key!r}; use {known}")
    records: dict[str, Any] = {
        name: tuple(_build(kind, where, table) for where, table in _tables(document, name))
        for name, kind in KINDS.items()
    }
    changes = records.pop("change")
    return Scenario(changes=changes, **records)


def _tables(document: Mapping[str, object], key: str) -> list[tuple[str, dict[str, object]]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"scenario: {key} is not a list of tables; write [[{key}]] before each")
    return [(f"{key} {number}", entry) for number, entry in enumerate(entries, start=1)]


def _build(kind: Any, where: str, table: dict[str, object]) -> Any:
    names = [field.name for field in fields(kind)]
    for key in table:
        if key not in names:
            raise ValueError(f"scenario, {where}: unknown key {key!r}; known keys: {', '.join(names)}")
    for field in fields(kind):
        if field.default is MISSING and field.name not in table:
            raise ValueError(f"scenario, {where}: {field.name} is missing; {_MISSING[field.name]}")
    try:
        return kind(**table)  # __post_init__ checks every type
    except ValueError as fault:
        raise ValueError(f"scenario, {where}: {str(fault).partition(': ')[2]}") from None
