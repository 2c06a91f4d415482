"""Lead-off excitation: which pin sends its current into which lead, what that drops, what comparators see.

Owns the wiring of pins to leads and the currents; refuses to know of gains and counts. Rules of facts/
hardware.md 1.8: source on P, sink on N, LOFF_FLIP swaps; a current flows only where LOFF_SENS asks for it; a
sensed open pin goes to the supply that its current pulls to; while a floating lead is excited with a wave, it
drags all others down (33 to 4.5 uV were seen); with a loose bias or reference every sensed flag says off.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.model.ads1299_options import Surroundings, Trouble
from hw.model.ads1299_settings import Settings
from hw.model.electrodes import Lead, Leads, Side

DRAGGED = 4.5 / 33
Pin = tuple[int, Side]
_SIDES: tuple[tuple[Side, int], ...] = (("p", 1), ("n", -1))


@dataclass(frozen=True, slots=True)
class Mesh:
    """Volts for a wave of amplitude 1: currents in A, each into its lead, summed."""

    parts: tuple[tuple[float, Lead], ...]

    def impedance_ohm(self, frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
        """The sum of current x impedance at each frequency."""
        total = np.zeros(np.shape(frequency_hz), np.complex128)
        for current_a, lead in self.parts:
            total += current_a * lead.impedance_ohm(frequency_hz)
        return total

    @property
    def dc_v(self) -> float:
        """The same for direct currents."""
        return sum(current_a * lead.dc_ohm for current_a, lead in self.parts)


@dataclass(frozen=True, slots=True)
class Excitation:
    """Per channel what its currents drop between P and N (`meshes`), and which supply an open pin goes to.

    `railed`: 0 for a channel with both pins connected, else the sign of full scale. `off_p`, `off_n`: one bit
    per channel, what the comparators see.
    """

    meshes: tuple[Mesh, ...]
    railed: tuple[int, ...]
    off_p: int
    off_n: int


def pin_lead(
    channel: int, side: Side, now: Settings, around: Surroundings, leads: Leads, srb1_open: bool
) -> Lead | None:
    """The lead on a pin; None for one that nothing is connected to."""
    if around.negative_input == "pins":
        lead = leads.p[channel] if side == "p" else leads.n[channel]
    elif around.negative_input == "srb1":
        if side == "n" and (srb1_open or not now.srb1):
            return None
        lead = leads.p[channel] if side == "p" else leads.reference
    else:
        if side == "p" and not now.channels[channel].srb2:
            return None
        lead = leads.reference if side == "p" else leads.n[channel]
    return None if lead.electrode.off else lead


def excite(
    now: Settings, around: Surroundings, trouble: Trouble, leads: Leads, factors: dict[Pin, float], lies: bool
) -> Excitation:
    """Currents, drops, open pins and flags for the registers `now`.

    `factors`: what a pin's current is of the nominal. `lies`: every sensed flag says off.
    """
    setting = now.lead_off
    channels = range(len(now.channels))
    pins = {
        (k, side): pin_lead(k, side, now, around, leads, trouble.srb1_open)
        for k in channels
        for side, _ in _SIDES
    }
    current_a = _currents(now, trouble, factors)
    floating = any(pins[pin] is None for pin in current_a)
    share = DRAGGED if floating and setting.period_tclk else 1.0
    off = {"p": 0, "n": 0}
    for (k, side), amps in current_a.items():
        off[side] |= _trips(pins[k, side], amps, setting.above, around, lies) << k
    return Excitation(
        tuple(_mesh(k, pins, current_a, share, leads) for k in channels),
        tuple(_rail(k, pins, current_a) for k in channels),
        off["p"],
        off["n"],
    )


def _currents(now: Settings, trouble: Trouble, factors: dict[Pin, float]) -> dict[Pin, float]:
    """Amperes into every sensed pin, positive out of the chip; 0 A is a current too."""
    setting = now.lead_off
    nominal_a = 0.0 if trouble.lead_off_current_dead else setting.current_a
    current_a = {}
    for side, sign in _SIDES:
        sensed = setting.sense_p if side == "p" else setting.sense_n
        for k in range(len(now.channels)):
            if sensed >> k & 1:
                flipped = -1 if setting.flip >> k & 1 else 1
                current_a[k, side] = sign * flipped * nominal_a * factors.get((k, side), 1.0)
    return current_a


def _mesh(
    channel: int, pins: dict[Pin, Lead | None], current_a: dict[Pin, float], share: float, leads: Leads
) -> Mesh:
    """What `channel` sees between its pins; a shared reference carries the currents of all its pins."""
    parts: list[tuple[float, Lead]] = []
    for side, sign in _SIDES:
        lead = pins[channel, side]
        if lead is None:
            continue
        if lead is leads.reference:
            amps = sum(a for pin, a in current_a.items() if pins[pin] is leads.reference)
        else:
            amps = current_a.get((channel, side), 0.0)
        if amps:
            parts.append((sign * share * amps, lead))
    return Mesh(tuple(parts))


def _rail(channel: int, pins: dict[Pin, Lead | None], current_a: dict[Pin, float]) -> int:
    """An open P pin drifts up, an open N pin down, unless their current pulls the other way."""
    for side, sign in _SIDES:
        if pins[channel, side] is None:
            return 1 if current_a.get((channel, side), float(sign)) * sign >= 0 else -1
    return 0


def _trips(lead: Lead | None, amps: float, above: float, around: Surroundings, lies: bool) -> bool:
    """A comparator: its pin is beyond the threshold on the side that the current pulls to.

    With the body at mid-supply, COMP_TH at 95 % trips above 375 megohm with 6 nA and 5 V.
    """
    if lies or lead is None:
        return True
    return abs(amps) * lead.dc_ohm > (above - 0.5) * around.span_v
