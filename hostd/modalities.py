"""The library of modalities: what each assumes where a case file is silent, from `hostd/protocols/*.toml`.

Owns the form of these files and the templates in them; resolves nothing against a case's channels. A file is
read when its modality is first asked for. Defaults need a clinical lead before use on patients: each file's
`ask` names the keys that are his first, `sources` where its figures are from.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Literal

import msgspec

from dsp.nouns import FixedRule
from hostd.case import Kind, Normal, StimulusPlan, WatchKind
from hostd.casefile_schema import AlertTable, PeakTable, Table, TestTable, fixed_rule

Side = Literal["left", "right"]
Polarity = Literal["negative", "positive"]

# What an electrode's stem carries on the left and on the right: CP3/CP4, A1/A2, EPL/EPR.
_DIGITS = {
    **dict.fromkeys(("CP", "C", "F", "P"), ("3", "4")),
    **dict.fromkeys(("A", "M", "O", "Fp"), ("1", "2")),
}
_PLACE = re.compile(r"([A-Za-z]+)\{([ci])\}")
_STIMULUS_KEYS = (
    "current_ma",
    "volts",
    "width_us",
    "pulses",
    "interval_ms",
    "trains",
    "gap_ms",
    "hold_ms",
    "lockout_ms",
    "steps_ma",
)


class ProtocolPeak(PeakTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[peak]] of a protocol: looked for on the first of `derivations` that the electrodes allow."""

    derivations: tuple[str, ...]


class Protocol(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of `hostd/protocols`. `test` has the keys of [test.NAME], and so the form.

    `needs_hz`: sampling below is refused; `wants_hz`: what is taken when the case leaves it open; `keeps_hz`:
    sweeps are thinned to no fewer samples a second (0: never). `roots`: those that `root` may name, which
    stands in `site` as {root}. `gate_for`: what a train of four is asked about it; `region`: thresholds have
    bands, by the root's region or those of a tract.
    """

    title: str
    kind: Kind | WatchKind
    site: str
    about: str
    sources: tuple[str, ...]
    ask: tuple[str, ...]
    test: TestTable
    needs_hz: float = 0.0
    wants_hz: float = 0.0
    keeps_hz: float = 0.0
    roots: tuple[str, ...] = ()
    gate_for: Literal["mep", "emg"] = "mep"
    region: Literal["", "root", "tract"] = ""
    peak: tuple[ProtocolPeak, ...] = ()
    alert: tuple[AlertTable, ...] = ()


@dataclass(frozen=True, slots=True)
class PeakDefault:
    """A peak, looked for on the first of `derivations` (templates) that the case's electrodes allow."""

    name: str
    derivations: tuple[str, ...]
    polarity: Polarity
    window_ms: tuple[float, float]
    to_ms: tuple[float, float] | None = None
    normal: Normal = field(default_factory=Normal)


@dataclass(frozen=True, slots=True)
class Modality:
    """Defaults of one modality; None in `rate_hz` and `window_ms` means that the case must say.

    `response_ms` None is the end of the window, `band_hz` None no filter, `reject_uv` None no rejection.
    `derivations` are templates: {c} is the side contralateral to the stimulus, {i} the ipsilateral one; of
    "A|B" the first one that the electrodes allow is taken.
    `stimulus` is what is fired; nothing of it holds when a case names another kind. `protocol` is the file
    that all of it is from.
    """

    name: str
    protocol: Protocol
    rate_hz: float | None
    sweeps: int
    window_ms: tuple[float, float] | None
    band_hz: tuple[float, float] | None
    reject_uv: float | None
    weighting: Literal["noise", "none"]
    blank_ms: float
    response_ms: float | None
    baseline_sweeps: int
    smallest_uv: float
    derivations: tuple[str, ...]
    peaks: tuple[PeakDefault, ...]
    rules: tuple[FixedRule, ...]
    stimulus: StimulusPlan

    @property
    def site(self) -> str:
        """What is stimulated, as displays name it behind the side."""
        return self.protocol.site

    @property
    def defaults(self) -> TestTable:
        """The keys of [test.NAME] as the protocol's file has them."""
        return self.protocol.test


def fill(template: str, side: Side) -> str:
    """`template` with {c} and {i} replaced for a stimulus on `side`: CP{c}-CP{i}, left: CP4-CP3."""

    def place(match: re.Match[str]) -> str:
        left, right = _DIGITS.get(match[1], ("L", "R"))
        ipsilateral, contralateral = (left, right) if side == "left" else (right, left)
        return match[1] + (contralateral if match[2] == "c" else ipsilateral)

    return _PLACE.sub(place, template)


class _Library(Mapping[str, Modality]):
    """All modalities by name, in the order of their names, "custom" last."""

    def __getitem__(self, name: str) -> Modality:
        if name not in _names():
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_names())

    def __len__(self) -> int:
        return len(_names())

    def __contains__(self, name: object) -> bool:
        return name in _names()


MODALITIES: Mapping[str, Modality] = _Library()


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    folder = resources.files("hostd") / "protocols"
    found = [item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")]
    return tuple(sorted(found, key=lambda name: (name == "custom", name)))


@lru_cache(maxsize=256)
def _load(name: str) -> Modality:
    text = (resources.files("hostd") / "protocols" / f"{name}.toml").read_text("utf-8")
    return modality(name, msgspec.convert(tomllib.loads(text), Protocol))


def modality(name: str, protocol: Protocol) -> Modality:
    """The defaults that a protocol's file states."""
    test = protocol.test
    written = {key: getattr(test, key) for key in _STIMULUS_KEYS if getattr(test, key) is not None}
    peaks = tuple(
        PeakDefault(
            one.name or "",
            one.derivations,
            one.polarity or "positive",
            one.window_ms or (0.0, 0.0),
            one.to_ms,
            Normal(one.normal_ms, one.normal_uv),
        )
        for one in protocol.peak
    )
    return Modality(
        name=name,
        protocol=protocol,
        rate_hz=test.rate_hz,
        sweeps=test.sweeps or 100,
        window_ms=test.window_ms,
        band_hz=None if isinstance(test.band_hz, str) else test.band_hz,
        reject_uv=None if isinstance(test.reject_uv, str) else test.reject_uv,
        weighting=test.weighting or "none",
        blank_ms=test.blank_ms or 0.0,
        response_ms=test.response_ms,
        baseline_sweeps=test.baseline_sweeps or 100,
        smallest_uv=test.smallest_uv or 0.0,
        derivations=test.derivations or (),
        peaks=peaks,
        rules=tuple(fixed_rule(rule) for rule in protocol.alert),
        stimulus=StimulusPlan(kind=test.stimulus or "sensory", mode=test.fire or "repeat", **written),
    )
