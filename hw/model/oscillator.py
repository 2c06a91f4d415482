"""A converter's oscillator: ticks of its clock against the board's nanoseconds.

Owns frequency error and wander; without either the mapping is exact in integers. The internal oscillator is
within 0.5 % at room temperature and 2.5 % over the range, and was seen to wander by a few 0.1 ms in seconds
(facts/hardware.md 1.1): about -1000 ppm with a wander of 40 ppm.
"""

import math

from hw.chips import FCLK_HZ, tclk_to_ns
from hw.model.stochastic import child

_NS_PER_S = 1_000_000_000
_SPAN_TCLK = 1 << 17
_WANDER_TAU_S = 5.0
# 1e9 / 2,048,000 in lowest terms: the nominal clock's period is exactly 15625 / 32 ns.
_UP, _DOWN = 15_625, 32
# Half a nanosecond and a little: a time rounded down still belongs to its tick.
_ROUNDING_TCLK = 2e-3


class Oscillator:
    """A clock of `FCLK_HZ`, off by `ppm` and by a slow random wander of `wander_ppm` rms. Not thread-safe.

    The wander is a first-order process of 5 s, seeded, changed every 64 ms. Times are to be asked about in
    roughly ascending order: before the stretch last asked about, its line is extended backwards.
    """

    def __init__(self, ppm: float = 0.0, wander_ppm: float = 0.0, seed: int = 1, now_ns: int = 0) -> None:
        self._generator = child(seed, "oscillator")
        self._wander = 0.0
        self._origin_ns = now_ns
        self._from_tclk, self._from_ns = 0, float(now_ns)
        self._exact = True
        if ppm or wander_ppm:
            self.retune(ppm, wander_ppm, now_ns)

    def retune(self, ppm: float, wander_ppm: float, at_ns: int) -> None:
        """From `at_ns` on another error; ValueError for one that stops the clock."""
        if not (math.isfinite(ppm) and ppm > -1e6 and wander_ppm >= 0):
            raise ValueError(f"an oscillator cannot be off by {ppm:g} ppm and wander by {wander_ppm:g} ppm")
        tclk = self.tclk_at(at_ns)
        self._from_ns, self._from_tclk = self._precise_ns(tclk), tclk
        self._exact = False
        self._ppm, self._wander_ppm = ppm, wander_ppm
        self._set_period()

    def ns_at(self, tclk: int) -> int:
        """The board's time at tick `tclk`."""
        if self._exact:
            return self._origin_ns + (tclk * _UP + _DOWN // 2) // _DOWN
        while tclk - self._from_tclk >= _SPAN_TCLK:
            self._next_span()
        return round(self._precise_ns(tclk))

    def tclk_at(self, t_ns: int) -> int:
        """Ticks done at the board's time `t_ns`."""
        if self._exact:
            return ((t_ns - self._origin_ns) * _DOWN + _DOWN // 2) // _UP
        while t_ns - self._from_ns >= _SPAN_TCLK * self._period_ns:
            self._next_span()
        return self._from_tclk + math.floor((t_ns - self._from_ns) / self._period_ns + _ROUNDING_TCLK)

    def lasts_ns(self, tclk: int) -> int:
        """How long `tclk` ticks take at the present frequency, rounded up."""
        return tclk_to_ns(tclk) if self._exact else math.ceil(tclk * self._period_ns)

    def _precise_ns(self, tclk: int) -> float:
        if self._exact:
            return self._origin_ns + tclk * _UP / _DOWN
        return self._from_ns + (tclk - self._from_tclk) * self._period_ns

    def _next_span(self) -> None:
        self._from_ns += _SPAN_TCLK * self._period_ns
        self._from_tclk += _SPAN_TCLK
        if self._wander_ppm:
            keep = math.exp(-_SPAN_TCLK / FCLK_HZ / _WANDER_TAU_S)
            kick = math.sqrt(1 - keep * keep) * self._wander_ppm
            self._wander = keep * self._wander + kick * float(self._generator.standard_normal())
            self._set_period()

    def _set_period(self) -> None:
        self._period_ns = _NS_PER_S / FCLK_HZ / (1 + (self._ppm + self._wander) * 1e-6)
