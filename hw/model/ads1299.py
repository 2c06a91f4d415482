"""The executable datasheet of one ADS1299 or ADS1298: power, pins and chip-select windows.

Owns when a chip hears and answers; what it then does is `ads1299_core`'s, its bytes are `ads1299_serial`'s.
Refuses to know of patients and of the wires to other chips: `hw.model.board` has both.
"""

from collections.abc import Callable
from dataclasses import replace

from hw.chips import ADS1299, POWER_UP_TCLK, ChipSpec, Opcode
from hw.model.ads1299_core import Ads1299Core
from hw.model.ads1299_options import (
    MARGINAL_POWER_UP,
    MARGINAL_POWER_UP_TCLK,
    ChipOptions,
    Surroundings,
)
from hw.model.ads1299_serial import DECODE_NS, SerialInterface
from hw.model.electrodes import Electrode, Lead, Side
from hw.model.oscillator import Oscillator
from hw.model.stochastic import child

_RESET_PULSE_TCLK = 2


class Ads1299Model(Ads1299Core):
    """One chip on one chip select, powered up at construction. Not thread-safe.

    `now_ns` is the bench's monotonic clock. With an `oscillator` the chip has a time of its own: `due_ns`
    says when the next conversion ends, and a change at the inputs settles over four of them. Without, the
    caller owns time: one `convert` per sample period, and a change shows at the next one.

    Rules where the datasheet is silent: bytes received before 2^18 tCLK leave the chip mute (it answers 0 and
    does not convert) until a window after that time begins with RESET, or RESET is pulsed by its pin;
    commands during the 18 tCLK of RESET are lost. `clocked` False: the clock that another chip gives is off.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        chip: ChipSpec = ADS1299,
        around: Surroundings | None = None,
        options: ChipOptions | None = None,
        oscillator: Oscillator | None = None,
    ) -> None:
        options = options or ChipOptions()
        super().__init__(now_ns, chip, around or Surroundings(), options, oscillator)
        self._options = options
        self._luck = child(options.seed, "power-up")
        self._rdata_request = bytes([Opcode.RDATA]) + bytes(chip.frame_bytes)
        self.clocked = True
        self._start_pin = False
        self._held_since_ns: int | None = None
        self._serial = SerialInterface(self)
        self._first = True  # no byte of this window yet
        self.power_up()

    @property
    def gpio_pins(self) -> int:
        """Levels driven on the four GPIO pins from outside, bit 0 = GPIO1."""
        return self._registers.gpio_pins

    @gpio_pins.setter
    def gpio_pins(self, levels: int) -> None:
        self._registers.gpio_pins = levels

    @property
    def around(self) -> Surroundings:
        """Supplies, temperature, wiring."""
        return self._chain.around

    def set_around(self, around: Surroundings) -> None:
        """Change supplies, temperature or wiring."""
        chain = self._chain
        self._chain = replace(chain, around=around)
        self.configure(self._now_ns())

    def set_temperature(self, temperature_c: float) -> None:
        """Change the die temperature."""
        self.set_around(replace(self._chain.around, temperature_c=temperature_c))

    def set_electrode(self, channel: int, side: Side, electrode: Electrode) -> None:
        """Put an electrode on a pin (channel 0 = channel 1); on a pin wired to the reference, on that."""
        leads, wiring = self._chain.leads, self._chain.around.negative_input
        lead = Lead(electrode)
        if (wiring, side) in (("srb1", "n"), ("srb2", "p")):
            leads.reference = lead
        elif side == "p":
            leads.p[channel] = lead
        else:
            leads.n[channel] = lead
        self.configure(self._now_ns())

    def set_bias_electrode(self, electrode: Electrode) -> None:
        """Change the bias electrode."""
        self._chain.leads.bias = Lead(electrode)
        self.configure(self._now_ns())

    def set_lead_off_current(self, channel: int, side: Side, factor: float) -> None:
        """What the lead-off current of a pin is of the nominal one."""
        self._chain.factors[channel, side] = factor
        self.configure(self._now_ns())

    def set_lead_off(self, positive: int, negative: int) -> None:
        """Electrodes that comparators see off whatever is connected, one bit per channel."""
        self._forced_p, self._forced_n = positive, negative
        self.configure(self._now_ns())

    @property
    def runs(self) -> bool:
        """True while conversions end one after another."""
        return self.converting and bool(self._sample_tclk) and not self._mute and self._held_since_ns is None

    @property
    def steady(self) -> bool:
        """Nothing starts, settles or stops: the next conversion follows one period after the last."""
        return self._steady

    @property
    def due_ns(self) -> int | None:
        """When the conversion under way ends, None while there is none."""
        return self.oscillator.ns_at(self.due_tclk) if self.runs else None

    @property
    def _mute(self) -> bool:
        return self._upset or self._lost or self.trouble.dead or not self.clocked

    def power_up(self) -> None:
        """Supplies applied now: commands are valid 2^18 tCLK later."""
        now_ns = self._now_ns()
        self._ready_ns = now_ns + self.oscillator.lasts_ns(POWER_UP_TCLK)
        self._early_ns = now_ns + self.oscillator.lasts_ns(MARGINAL_POWER_UP_TCLK)
        luck = float(self._luck.uniform())
        self._unlucky = self._options.power_up == "strict" or luck < MARGINAL_POWER_UP
        one_in = self.trouble.bad_power_up_one_in
        self._lost = one_in > 0 and float(self._luck.uniform()) < 1 / one_in
        self._upset = False
        self._set_defaults()
        self._serial.open()
        if self._start_pin:
            self.start(self._ready_ns)

    def set_start(self, high: bool) -> None:
        """Drive the START pin: its edges are START and STOP."""
        if high and not self._start_pin and self._held_since_ns is None:
            self.start(self._now_ns())
        elif not high and self._start_pin:
            self.halt(self._now_ns())
        self._start_pin = high

    def set_reset(self, low: bool) -> None:
        """Drive the RESET pin: at least 2 tCLK low reset the chip, which starts anew while START is high."""
        now_ns = self._now_ns()
        if low and self._held_since_ns is None:
            self._held_since_ns = now_ns
        elif not low and self._held_since_ns is not None:
            held_ns, self._held_since_ns = now_ns - self._held_since_ns, None
            if held_ns < self.oscillator.lasts_ns(_RESET_PULSE_TCLK):
                return
            self._upset = self._rushed(now_ns)
            self.reset(now_ns)

    def reset(self, t_ns: int) -> None:
        """RESET by command or pin."""
        super().reset(t_ns)
        if self._start_pin:
            self.start(self.busy_until_ns)

    def transfer(self, mosi: bytes) -> bytes:
        """One chip-select window in no time: clock `mosi` in, return as many bytes."""
        if mosi == self._rdata_request and self._answers_rdata:  # 4,000 times a second: no decoding
            self.drdy = False
            return b"\0" + self._frame
        if not mosi:
            return b""
        now_ns = self._now_ns()
        self.select()
        miso = self.clock(mosi, now_ns, 0.0)
        self.deselect(now_ns, timed=False)
        return miso

    def select(self) -> None:
        """Chip select falls."""
        self._serial.open()
        self._first = True

    def clock(self, mosi: bytes, start_ns: int, byte_ns: float) -> bytes:
        """Bytes within a window, from `start_ns` on, each `byte_ns` long; returns as many."""
        first, self._first = self._first, False
        if self._deaf(start_ns, mosi, first):
            return bytes(len(mosi))
        if self._options.ready_rises == "any_clock":
            self.drdy = False  # the first SCLK edge ends data-ready, whatever is sent [DS-A p27]
        miso = self._serial.clock(mosi, start_ns, byte_ns)
        if self._serial.shifts:
            self.drdy = False
        return miso

    def deselect(self, t_ns: int, timed: bool = True) -> None:
        """Chip select rises at `t_ns`."""
        since_ns = self._serial.close(t_ns)
        if timed and self._options.sdatac_erratum and since_ns is not None and since_ns < DECODE_NS:
            self.continuous = True
        self._answers_rdata = (
            not (self.continuous or self._standby or self.busy_until_ns)
            and self.downstream is None
            and self.gpio_latch == "conversion"
        )

    def rewind(self) -> None:
        """A conversion ended while chip select is held low for good."""
        self._serial.rewind()

    def _deaf(self, now_ns: int, mosi: bytes, first: bool) -> bool:
        """True when the bytes are lost: power-up and RESET take their time, and a rushed chip stays mute."""
        if self._held_since_ns is not None or self._lost or self.trouble.dead or not self.clocked:
            return True
        if self._rushed(now_ns):
            self._upset = True
            self._answers_rdata = False
            return True
        if now_ns < self.busy_until_ns:
            return True
        self.busy_until_ns = 0
        if self._upset and first and mosi[:1] == bytes([Opcode.RESET]):
            self._upset = False
        return self._upset

    def _rushed(self, now_ns: int) -> bool:
        """Whether a byte or reset now comes before the chip is up."""
        return now_ns < (self._ready_ns if self._unlucky else self._early_ns)
