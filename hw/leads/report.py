"""What a measurement of impedances has to say: a verdict for each lead, and the message of them all.

Owns the words; refuses to judge samples. A lead without ohms always says why, one with ohms says how far they
are to be trusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

from hw.impedance import CALIBRATED_TOLERANCE, Ohms
from hw.leads.calibration import Side
from hw.link import Impedance, ImpedanceStart

PHASE_UNKNOWN = "phase unknown: the board's resistor was subtracted by magnitude"
UNCALIBRATED_NOTE = "uncalibrated: the current may differ by 20 %"
_SIGNS: Mapping[Side, str] = {"p": "+", "n": "-"}
REFERENCE = "REF"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one lead: `ohms`, or None and why; `off`: it touches nothing, so that it must not be excited."""

    ohms: Ohms | None
    drift_deg: float
    note: str
    off: bool = False


def measured(ohms: Ohms, drift_deg: float, tolerance: float) -> Verdict:
    """A lead with ohms, and what limits them."""
    notes = [PHASE_UNKNOWN] if ohms.by_magnitude else []
    if tolerance > CALIBRATED_TOLERANCE:
        notes.append(UNCALIBRATED_NOTE)
    return Verdict(ohms, drift_deg, "; ".join(notes))


def not_measured(why: str, off: bool = False) -> Verdict:
    """A lead without ohms."""
    return Verdict(None, nan, f"not measured: {why}", off)


def lead_name(channel: str, side: Side) -> str:
    """ "CP3+" is the positive input's electrode of channel CP3."""
    return channel + _SIGNS[side]


def report(
    command: ImpedanceStart,
    span: tuple[int, int],
    frequency_hz: float,
    board: str,
    verdicts: Sequence[tuple[str, Verdict]],
) -> Impedance:
    """The message of `verdicts`, by lead; `span` first and end index of the samples that hold the tone."""
    known = [v.ohms or Ohms(nan, nan, nan, nan) for _, v in verdicts]
    return Impedance(
        command=command.command,
        first_index=span[0],
        end_index=span[1],
        frequency_hz=frequency_hz,
        current_na=command.current_na,
        board=board,
        leads=tuple(lead for lead, _ in verdicts),
        ohm=tuple(o.ohm for o in known),
        low_ohm=tuple(o.low_ohm for o in known),
        high_ohm=tuple(o.high_ohm for o in known),
        phase_deg=tuple(o.phase_deg for o in known),
        drift_deg=tuple(v.drift_deg for _, v in verdicts),
        notes=tuple(v.note for _, v in verdicts),
    )
