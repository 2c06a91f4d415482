"""What each modality assumes where a case file is silent, as data.

Owns windows, bands, rates, derivations and peaks per modality; resolves nothing against a case's channels.
Sources: facts of the field (ACNS 11B, 11C, ISIN 2019). Defaults need a clinical lead before use on patients.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from hostd.case import StimulusPlan

Side = Literal["left", "right"]
Polarity = Literal["negative", "positive"]

# What an electrode's stem carries on the left and on the right: CP3/CP4, A1/A2, EPL/EPR.
_SUFFIXES = {
    "CP": ("3", "4"),
    "A": ("1", "2"),
    "M": ("1", "2"),
    "EP": ("L", "R"),
    "PF": ("L", "R"),
}
_PLACE = re.compile(r"([A-Za-z]+)\{([ci])\}")


@dataclass(frozen=True, slots=True)
class PeakDefault:
    """A peak, looked for on the first of `derivations` (templates) that the case's electrodes allow."""

    name: str
    derivations: tuple[str, ...]
    polarity: Polarity
    window_ms: tuple[float, float]
    to_ms: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Modality:
    """Defaults of one modality; None in `rate_hz` and `window_ms` means that the case must say.

    `response_ms` None is the end of the window, `band_hz` None no filter, `reject_uv` None no rejection.
    `derivations` are templates: {c} is the side contralateral to the stimulus, {i} the ipsilateral one.
    `stimulus` is what is fired; nothing of it holds when a case names another kind.
    """

    name: str
    site: str
    rate_hz: float | None
    sweeps: int
    window_ms: tuple[float, float] | None
    band_hz: tuple[float, float] | None
    reject_uv: float | None
    weighting: Literal["noise", "none"]
    blank_ms: float
    response_ms: float | None
    baseline_sweeps: int
    smallest_uv: float = 0.0
    derivations: tuple[str, ...] = ()
    peaks: tuple[PeakDefault, ...] = ()
    stimulus: StimulusPlan = field(default_factory=StimulusPlan)


# 0.2 ms is the usual width of both arms and legs; the current is what each patient needs.
_NERVE_TRUNK = StimulusPlan(kind="peripheral", width_us=200.0)


def fill(template: str, side: Side) -> str:
    """`template` with {c} and {i} replaced for a stimulus on `side`: CP{c}-CP{i}, left: CP4-CP3."""

    def place(match: re.Match[str]) -> str:
        left, right = _SUFFIXES[match[1]]
        ipsilateral, contralateral = (left, right) if side == "left" else (right, left)
        return match[1] + (contralateral if match[2] == "c" else ipsilateral)

    return _PLACE.sub(place, template)


def _upper_ssep(name: str, site: str, shift_ms: float) -> Modality:
    """Median and ulnar SSEP differ by the ulnar's longer way, `shift_ms` on every peak.

    30-1000 Hz holds N20 and N13; 2.692 Hz costs little N20 amplitude and is nearly clean at exactly 50 and
    60 Hz (tuned to the mains once they are measured);
    250 uV rejects what is clearly no brain, the weights do the rest.
    """

    def window(low: float, high: float) -> tuple[float, float]:
        return low + shift_ms, high + shift_ms

    return Modality(
        name=name,
        site=site,
        rate_hz=2.692,
        sweeps=300,
        window_ms=(-10.0, 80.0),
        band_hz=(30.0, 1000.0),
        reject_uv=250.0,
        weighting="noise",
        blank_ms=6.0,
        response_ms=60.0,
        baseline_sweeps=100,
        smallest_uv=0.3,
        derivations=("CP{c}-CP{i}", "CP{c}-Fpz", "C5S-Fpz", "EP{i}-EP{c}"),
        peaks=(
            PeakDefault("N9", ("EP{i}-EP{c}",), "negative", window(7.5, 12.0)),
            PeakDefault("N13", ("C5S-Fpz",), "negative", window(11.0, 16.0)),
            PeakDefault(
                "N20", ("CP{c}-CP{i}", "CP{c}-Fpz"), "negative", window(17.0, 24.0), window(20.0, 30.0)
            ),
        ),
        stimulus=_NERVE_TRUNK,
    )


_TIBIAL = Modality(
    name="tibial_ssep",
    site="tibial",
    rate_hz=2.692,
    sweeps=300,
    window_ms=(-10.0, 120.0),
    band_hz=(30.0, 1000.0),
    reject_uv=250.0,
    weighting="noise",
    blank_ms=5.0,
    response_ms=100.0,
    baseline_sweeps=100,
    smallest_uv=0.3,
    # P37 lateralises paradoxically (to the stimulated side), so its best derivation differs between patients.
    # Where the iliac crest or the second fossa electrode is not there, the other leg is the quiet reference.
    derivations=(
        "CPz-Fpz",
        "CP{i}-CP{c}",
        "Cz-CP{c}",
        "CPz-CP{c}",
        "Pz-CP{c}",
        "T12S-IC",
        "T12S-PF{c}",
        "PF{i}d-PF{i}p",
        "PF{i}-PF{c}",
    ),
    peaks=(
        PeakDefault("PF", ("PF{i}d-PF{i}p", "PF{i}-PF{c}"), "negative", (5.5, 12.0)),
        PeakDefault("LP", ("T12S-IC", "T12S-PF{c}"), "negative", (17.0, 27.0)),
        PeakDefault("P37", ("CPz-Fpz", "CPz-CP{c}", "CP{i}-CP{c}"), "positive", (32.0, 46.0), (38.0, 56.0)),
    ),
    stimulus=_NERVE_TRUNK,
)

# The windows hold both a click at the eardrum and one delayed by an insert tube (0.9 ms).
_BAEP = Modality(
    name="baep",
    site="ear",
    rate_hz=11.9,
    sweeps=1000,
    window_ms=(-1.0, 12.0),
    band_hz=(100.0, 3000.0),
    reject_uv=50.0,
    weighting="noise",
    blank_ms=0.0,
    response_ms=10.0,
    baseline_sweeps=500,
    smallest_uv=0.05,
    derivations=("Cz-A{i}", "Cz-A{c}", "Cz-M{i}", "Cz-M{c}"),
    peaks=(
        PeakDefault("I", ("Cz-A{i}", "Cz-M{i}"), "positive", (1.3, 3.2), (1.6, 4.0)),
        PeakDefault("III", ("Cz-A{i}", "Cz-M{i}"), "positive", (3.3, 5.2), (3.7, 6.0)),
        PeakDefault("V", ("Cz-A{i}", "Cz-M{i}"), "positive", (5.2, 8.2), (5.8, 10.0)),
    ),
)

_CUSTOM = Modality(
    name="custom",
    site="",
    rate_hz=None,
    sweeps=100,
    window_ms=None,
    band_hz=None,
    reject_uv=None,
    weighting="none",
    blank_ms=0.0,
    response_ms=None,
    baseline_sweeps=100,
)

MODALITIES: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        _upper_ssep("median_ssep", "median", 0.0),
        _upper_ssep("ulnar_ssep", "ulnar", 1.25),
        _TIBIAL,
        _BAEP,
        _CUSTOM,
    )
}
