"""Registers, modes and conversions of one modelled ADS1299 or ADS1298, without its wires.

Owns what commands and writes do, settling, the output register and when the next conversion ends; refuses to
know of bytes, windows and power. Volts become frames in `ads1299_converter`.
"""

from collections.abc import Callable, Sequence

from hw.chips import (
    DECODE_TCLK,
    REFERENCE_START_NS,
    RESET_TCLK,
    SETTLING_CONVERSIONS,
    ChipSpec,
    Opcode,
)
from hw.model.ads1299_converter import READY_TCLK, Converter
from hw.model.ads1299_inputs import Chain, inputs
from hw.model.ads1299_options import ChipOptions, GpioLatch, Surroundings, no_trouble
from hw.model.ads1299_registers import RegisterFile
from hw.model.ads1299_settings import Settings, settings
from hw.model.electrodes import Side, plain_leads
from hw.model.oscillator import Oscillator
from hw.model.stochastic import child
from hw.registers import Address

STOP_SETUP_TCLK = 16
"""STOP later than this before data-ready lets one more conversion happen [DS-A p30]."""
_REFERENCE_ON = 0x80  # PD_REFBUF, in either family
_SIDES: tuple[Side, ...] = ("p", "n")


class Ads1299Core:
    """One chip as its commands see it. `drdy` is True while data are ready, that is while the line is low.

    `continuous`: RDATAC mode. `due_tclk`: when the conversion under way ends, in ticks of `oscillator`.
    `downstream`: what DAISY_IN shifts in behind the frame while DAISY_EN is 0; None: it is tied low.
    """

    drdy: bool
    continuous: bool
    busy_until_ns: int
    due_tclk: int
    gpio_latch: GpioLatch
    _frame: bytes  # the output register
    _settings: Settings
    _settling: int  # conversions until data
    _reference_good: bool
    _converting: bool
    _stale: bool  # registers have changed since they were last taken over
    _steady: bool  # nothing is starting, settling or stopping
    _standby: bool
    _answers_rdata: bool
    _reference_good_ns: int | None
    _left: int | None  # conversions left after STOP

    def __init__(
        self,
        now_ns: Callable[[], int],
        chip: ChipSpec,
        around: Surroundings,
        options: ChipOptions,
        oscillator: Oscillator | None,
    ) -> None:
        self.chip, self.gpio_latch = chip, options.gpio_latch
        self.oscillator = oscillator or Oscillator()
        self.downstream: Callable[[], bytes] | None = None
        self.trouble = no_trouble()
        self._now_ns, self._timed = now_ns, oscillator is not None
        spread = child(options.seed, "lead-off currents")
        factors = {
            (k, side): 1 + options.lead_off_tolerance * float(spread.uniform(-1, 1))
            for k in range(chip.channels)
            for side in _SIDES
        }
        self._chain = Chain(around, options, self.trouble, plain_leads(chip.channels), factors)
        self._registers = RegisterFile(chip, self.trouble)
        self._converter = Converter(
            chip.channels, self._registers, self.trouble, child(options.seed, "converter")
        )
        self._forced_p = self._forced_n = 0
        self._start_tclk = 0
        self._frame = bytes(chip.frame_bytes)
        self._set_defaults()

    # What the serial interface asks for

    @property
    def answers(self) -> bool:
        """Whether data are shifted out and registers are at hand: not in standby."""
        return not self._standby

    @property
    def repeats(self) -> bool:
        """Multiple readback: DAISY_EN is 1."""
        return self.settings.readback

    @property
    def gpio_levels(self) -> int:
        """Levels on the four pins: those that are outputs are driven by the chip."""
        return self._registers.gpio_levels

    def stream(self) -> bytes:
        """The output register and, in a daisy chain, what the next chip shifts in behind it."""
        if self.downstream is None or self.settings.readback:
            return self._frame
        return self._frame + self.downstream()

    def register(self, address: int) -> int:
        """The byte at `address`, as RREG would give it."""
        if address in (Address.LOFF_STATP, Address.LOFF_STATN):
            self._freshen()
        return self._registers.read(address)

    def write(self, address: int, value: int, t_ns: int) -> None:
        """Write one register and do what the write sets going."""
        reference_was_on = self._registers.read(Address.CONFIG3) & _REFERENCE_ON
        self._registers.write(address, value)
        reference_on = self._registers.read(Address.CONFIG3) & _REFERENCE_ON
        if reference_on and not reference_was_on:
            self._reference_good_ns = t_ns + REFERENCE_START_NS
        elif not reference_on:
            self._reference_good_ns = None
            self._reference_good = False
        self.configure(t_ns)
        if address == Address.CONFIG1:
            self._restart_filter(t_ns)

    def execute(self, opcode: int, t_ns: int, timed: bool) -> None:
        """A command of one byte; in standby only WAKEUP is one. Any other byte is none.

        `timed`: the serial clock takes its time, so that RDATAC within 4 tCLK of data-ready is lost.
        """
        self._answers_rdata = False
        if self._standby:
            if opcode == Opcode.WAKEUP:
                self._standby = False
                self._restart_filter(t_ns)
        elif opcode == Opcode.SDATAC:
            self.continuous = False
        elif opcode == Opcode.RDATAC:
            self.continuous = self.continuous or not (timed and self._near_ready(t_ns))
        elif opcode == Opcode.RESET:
            self.reset(t_ns)
        elif opcode == Opcode.START:
            self.start(t_ns)
        elif opcode == Opcode.STOP:
            self.halt(t_ns)
        elif opcode == Opcode.STANDBY:
            self._standby = True
            self._steady = False

    def reset(self, t_ns: int) -> None:
        """RESET by command or pin: 18 tCLK until the next command [DS-A p29]."""
        self._set_defaults()
        self.busy_until_ns = t_ns + self.oscillator.lasts_ns(RESET_TCLK)

    def start(self, t_ns: int) -> None:
        """START by command or pin: the filter begins anew, waves begin with it."""
        self._freshen()
        self._converting, self._left = True, None
        self._start_tclk = self.oscillator.tclk_at(t_ns)
        self._elapsed_tclk = 0
        self._restart_filter(t_ns)

    def halt(self, t_ns: int) -> None:
        """STOP: the conversion under way still completes, and one more when data-ready is too near."""
        if self._converting and self._left is None:
            late = self._timed and self.due_tclk - self.oscillator.tclk_at(t_ns) < STOP_SETUP_TCLK
            self._left = 2 if late else 1
        self._steady = False

    # What the board asks for

    @property
    def converting(self) -> bool:
        """True between START and STOP, while conversions go on."""
        return self._converting and not self._standby

    @property
    def rate_hz(self) -> float:
        """Samples per second at the nominal clock, 0 for the reserved code."""
        return self.settings.rate_hz

    @property
    def settings(self) -> Settings:
        """The registers in words."""
        self._freshen()
        return self._settings

    def configure(self, t_ns: int) -> None:
        """Take everything from the registers and the surroundings as they stand, from `t_ns` on."""
        self._steady, self._stale = False, True
        if self._converting:  # else nothing shows until something asks
            self._take_over(t_ns)

    def _freshen(self) -> None:
        if self._stale:
            self._take_over(self._now_ns())

    def _take_over(self, t_ns: int) -> None:
        self._stale = False
        now = settings(self.chip, self._registers)
        seen = inputs(now, self._chain, self._reference_good)
        self._settings, self._sample_tclk = now, now.sample_tclk
        registers = self._registers
        registers.lead_off_p, registers.lead_off_n = seen.off_p | self._forced_p, seen.off_n | self._forced_n
        registers.bias_lead_off = self._chain.leads.bias.electrode.off
        registers.derive()
        since_tclk = self.oscillator.tclk_at(t_ns) - self._start_tclk if self._timed else None
        self._converter.configure(seen, self._sample_tclk, since_tclk)

    def convert(self, volts: Sequence[float]) -> bool:
        """One sample period passes with `volts` at the inputs; True when data-ready falls at its end.

        `volts`: one per channel, electrode minus reference, as the filter gives them: its delay and droop on
        a body's signal belong to the caller (`hw.model.sinc3.Filtered`). After START, WAKEUP or a CONFIG1
        write the fourth call is the first that gives data (tSETTLE = 4 tDR + 9 tCLK). Raises ValueError for
        another number of voltages or one that is not a number.
        """
        if not self._steady and not self._tick(settle=True):
            return False
        self.due_tclk += self._sample_tclk
        self._elapsed_tclk += self._sample_tclk
        self._frame = self._converter.frame(volts, self._elapsed_tclk)
        self.drdy = True
        return True

    def play(self, frame: bytes) -> bool:
        """One sample period passes and `frame`, recorded elsewhere, is its result; True as for `convert`.

        Honours START, STOP and standby. Does not settle: a recording begins with a settled frame, and none of
        it shall be lost. Raises ValueError for a frame of another length.
        """
        if len(frame) != self.chip.frame_bytes:
            raise ValueError(
                f"a frame of {self.chip.name} has {self.chip.frame_bytes} bytes, got {len(frame)}"
            )
        if not self._steady and not self._tick(settle=False):
            return False
        self.due_tclk += self._sample_tclk
        self._elapsed_tclk += self._sample_tclk
        self._frame = bytes(frame)
        self.drdy = True
        return True

    def _tick(self, settle: bool) -> bool:
        """One sample period outside steady running; True when it ends with data."""
        if not self.converting or not self._sample_tclk:
            return False
        starts_ns = self._reference_good_ns
        if not self._reference_good and starts_ns is not None and self._now_ns() >= starts_ns:
            self._reference_good = True
            self.configure(starts_ns)
        if settle and self._settling > 1:
            self._settling -= 1
            self.due_tclk += self._sample_tclk
            self._elapsed_tclk += self._sample_tclk
            return False
        self._settling = 0
        if self._left is not None or self._settings.single_shot:
            self._left = (self._left or 1) - 1
            self._converting = self._left > 0
        self._steady = self._converting and self._left is None and self._reference_good
        return True

    def _near_ready(self, t_ns: int) -> bool:
        """Within 4 tCLK of a data-ready edge."""
        if not self.converting or not self._sample_tclk:
            return False
        ahead = self.due_tclk - self.oscillator.tclk_at(t_ns)
        return ahead < DECODE_TCLK or (not self._settling and ahead > self._sample_tclk - DECODE_TCLK)

    def _set_defaults(self) -> None:
        """Registers and modes as after RESET: continuous mode, not converting, reference off."""
        self._registers.reset()
        self.continuous = True
        self._standby = self._converting = self._reference_good = self._steady = False
        self._reference_good_ns = self._left = None
        self._answers_rdata = False
        self.busy_until_ns = 0
        self._settling = SETTLING_CONVERSIONS
        self._elapsed_tclk = self.due_tclk = 0
        self._frame = bytes(self.chip.frame_bytes)
        self.drdy = False
        self._converter.forget()
        self.configure(self._now_ns())

    def _restart_filter(self, t_ns: int) -> None:
        """What START, WAKEUP and a CONFIG1 write do: four conversions of settling [DS-A p29]."""
        self._freshen()
        self._settling = SETTLING_CONVERSIONS
        self._steady = self.drdy = False
        self._converter.forget()
        if not self._sample_tclk:
            return
        now_tclk = self.oscillator.tclk_at(t_ns)
        first = (
            self.chip.settling_tclk(self._settings.rate_hz) - (SETTLING_CONVERSIONS - 1) * self._sample_tclk
        )
        self.due_tclk = now_tclk + first
        since_start = now_tclk - self._start_tclk + first - READY_TCLK - self._sample_tclk
        self._elapsed_tclk = max(self._elapsed_tclk, since_start)
