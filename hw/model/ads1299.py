"""The executable datasheet of one ADS1299: bytes in and out under chip select, and one conversion per call.

Owns the command decoder, modes, settling and the output register; the caller owns time and the electrodes.
Knows nothing of patients. Not modelled: the chip's clock against SCLK (command bytes are always slow enough),
SPI mode, the daisy chain's input (reads 0), and a continuous read torn by the next conversion.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hw.chips import (
    ADS1299,
    COUNTS_MAX,
    COUNTS_MIN,
    POWER_UP_TCLK,
    REFERENCE_START_NS,
    RESET_TCLK,
    SETTLING_CONVERSIONS,
    ChipSpec,
    DataRate,
    Opcode,
    tclk_to_ns,
)
from hw.frames import encode_frame
from hw.model.ads1299_inputs import Surroundings, input_scales
from hw.model.ads1299_registers import RegisterFile
from hw.registers import Address, Config1, Config3, Config4


class Ads1299Model:
    """One chip on one chip select, powered up at construction. Not thread-safe.

    `now_ns` is the bench's monotonic clock; the model reads it on register access and while something starts
    up, never in steady running. `drdy` is True while data are ready, that is while the line is low.

    Rules where the datasheet is silent: bytes received before 2^18 tCLK leave the chip mute (it answers 0 and
    does not convert) until a window after that time begins with RESET; commands during the 18 tCLK of RESET
    are lost; a frame is shifted out from its start in every chip-select window; RREG and WREG ignored in
    continuous mode swallow their operands.
    """

    drdy: bool
    _frame: bytes  # the output register
    _continuous: bool
    _standby: bool
    _answers_rdata: bool
    _busy_until_ns: int
    _reference_good_ns: int | None

    def __init__(
        self, now_ns: Callable[[], int], chip: ChipSpec = ADS1299, around: Surroundings | None = None
    ) -> None:
        self.chip = chip
        self._now_ns = now_ns
        self._around = around or Surroundings()
        self._registers = RegisterFile(chip)
        self._rdata_request = bytes([Opcode.RDATA]) + bytes(chip.frame_bytes)
        self.power_up()

    @property
    def gpio_pins(self) -> int:
        """Levels driven on the four GPIO pins from outside, bit 0 = GPIO1."""
        return self._registers.gpio_pins

    @gpio_pins.setter
    def gpio_pins(self, levels: int) -> None:
        self._registers.gpio_pins = levels

    @property
    def gpio_levels(self) -> int:
        """Levels on the four pins: those that are outputs are driven by the chip."""
        return self._registers.gpio_levels

    @property
    def converting(self) -> bool:
        """True between START and STOP, while conversions go on."""
        return self._converting and not self._standby

    def register(self, address: int) -> int:
        """The byte at `address`, as RREG would give it."""
        return self._registers.read(address)

    def set_lead_off(self, positive: int, negative: int) -> None:
        """Electrodes that are off, one bit per channel; seen only through LOFF_SENS with comparators on."""
        self._registers.lead_off_p, self._registers.lead_off_n = positive, negative

    def set_temperature(self, temperature_c: float) -> None:
        """Change the die temperature."""
        self._around = replace(self._around, temperature_c=temperature_c)
        self._rescale()

    def power_up(self) -> None:
        """Supplies applied now: commands are valid 2^18 tCLK later."""
        self._ready_ns = self._now_ns() + tclk_to_ns(POWER_UP_TCLK)
        self._upset = False
        self._reset()

    def transfer(self, mosi: bytes) -> bytes:
        """One chip-select window: clock `mosi` in, return as many bytes."""
        if mosi == self._rdata_request and self._answers_rdata:  # 4,000 times a second: no decoding
            self.drdy = False
            return b"\0" + self._frame
        if not mosi:
            return b""
        now_ns = self._now_ns()
        if self._deaf(now_ns, mosi):
            return bytes(len(mosi))
        self.drdy = False  # the first falling SCLK edge ends data-ready, whatever is sent
        miso = self._window(mosi, now_ns)
        self._answers_rdata = not (self._continuous or self._standby or self._busy_until_ns)
        return bytes(miso)

    def _deaf(self, now_ns: int, mosi: bytes) -> bool:
        """True when the bytes are lost: power-up and RESET take their time, and a rushed chip stays mute."""
        if now_ns < self._ready_ns:
            self._upset = True
            self._answers_rdata = False
            return True
        if now_ns < self._busy_until_ns:
            return True
        self._busy_until_ns = 0
        return self._upset and mosi[0] != Opcode.RESET

    def _window(self, mosi: bytes, now_ns: int) -> bytearray:
        """Decode the commands of one window in order; the answer to each overlays what was shifting out."""
        miso = bytearray(len(mosi))
        if self._continuous and not self._standby:
            self._shift_out(miso, 0)
        if not any(mosi):
            return miso
        at = 0
        while at < len(mosi) and not self._busy_until_ns:
            at += self._command(mosi, at, miso, now_ns)
        return miso

    def _command(self, mosi: bytes, at: int, miso: bytearray, now_ns: int) -> int:
        """Execute the command at `at`; return how many bytes it took."""
        opcode = mosi[at]
        if self._standby:
            if opcode == Opcode.WAKEUP:
                self._standby = False
                self._restart_filter()
        elif opcode & 0xE0 in (Opcode.RREG, Opcode.WREG):
            return self._register_access(mosi, at, miso, now_ns)
        elif opcode == Opcode.RDATA and not self._continuous:
            self._shift_out(miso, at + 1)
        elif opcode == Opcode.SDATAC:
            self._continuous = False
            miso[at + 1 :] = bytes(len(miso) - at - 1)
        elif opcode == Opcode.RDATAC and not self._continuous:
            self._continuous = True
            self._shift_out(miso, at + 1)
        elif opcode == Opcode.RESET:
            self._upset = False
            self._reset()
            self._busy_until_ns = now_ns + tclk_to_ns(RESET_TCLK)
            miso[at + 1 :] = bytes(len(miso) - at - 1)
        else:
            self._run_command(opcode)
        return 1

    def _run_command(self, opcode: int) -> None:
        """START, STOP and STANDBY; any other byte is no command."""
        if opcode == Opcode.START:
            self._converting, self._stopping = True, False
            self._restart_filter()
        elif opcode == Opcode.STOP:
            self._stopping = self._converting  # the conversion under way still completes
            self._steady = False
        elif opcode == Opcode.STANDBY:
            self._standby = True
            self._steady = False

    def _shift_out(self, miso: bytearray, start: int) -> None:
        """The output register from `start` on; what follows is 0, or the frame again in multiple readback."""
        room = len(miso) - start
        frames = self._frame * (room // len(self._frame) + 1) if self._readback else self._frame
        miso[start:] = frames[:room].ljust(room, b"\0")

    def _register_access(self, mosi: bytes, at: int, miso: bytearray, now_ns: int) -> int:
        """RREG or WREG at `at`, as far as the window goes; return how many bytes it took."""
        first = mosi[at] & 0x1F
        count = (mosi[at + 1] & 0x1F) + 1 if at + 1 < len(mosi) else 0
        if not self._continuous:
            for k in range(min(count, len(mosi) - at - 2)):
                if mosi[at] & 0xE0 == Opcode.RREG:
                    miso[at + 2 + k] = self._registers.read(first + k)
                else:
                    self._write(first + k, mosi[at + 2 + k], now_ns)
        return 2 + count

    def _write(self, address: int, value: int, now_ns: int) -> None:
        """Write one register and do what the write sets going."""
        reference_was_on = Config3.decode(self._registers.read(Address.CONFIG3)).reference_on
        self._registers.write(address, value)
        if address == Address.CONFIG1:
            self._restart_filter()
        reference_on = Config3.decode(self._registers.read(Address.CONFIG3)).reference_on
        if reference_on and not reference_was_on:
            self._reference_good_ns = now_ns + REFERENCE_START_NS
        elif not reference_on:
            self._reference_good_ns = None
            self._reference_good = False
        self._configure()

    def _reset(self) -> None:
        """Registers and modes as after RESET: continuous mode, not converting, reference off."""
        self._registers.reset()
        self._continuous = True
        self._standby = self._converting = self._stopping = False
        self._answers_rdata = False
        self._busy_until_ns = 0
        self._reference_good = False
        self._reference_good_ns = None
        self._settling = SETTLING_CONVERSIONS
        self._elapsed_tclk = 0
        self._frame = bytes(self.chip.frame_bytes)
        self.drdy = False
        self._configure()

    def _restart_filter(self) -> None:
        """START, WAKEUP and CONFIG1 restart the decimation filter: data-ready waits for tSETTLE."""
        self._settling = SETTLING_CONVERSIONS
        self._steady = False
        self.drdy = False

    def _configure(self) -> None:
        """Take rate, read-out and single shot from the registers."""
        config1 = Config1.decode(self._registers.read(Address.CONFIG1))
        self._readback = config1.multiple_readback
        self._rate_reserved = config1.data_rate is DataRate.RESERVED
        self._sample_tclk = 0 if self._rate_reserved else config1.data_rate.sample_tclk
        self._single_shot = Config4.decode(self._registers.read(Address.CONFIG4)).single_shot
        self._steady = False
        self._rescale()

    def _rescale(self) -> None:
        """Scale factors for the registers, the reference and the temperature as they stand."""
        scales = input_scales(self.chip, self._registers, self._around, self._reference_good)
        self._counts_per_volt = scales.counts_per_volt
        self._offset_low, self._offset_high = scales.offset_low, scales.offset_high
        self._half_period_tclk = scales.half_period_tclk

    def convert(self, volts: Sequence[float]) -> bool:
        """One sample period passes with `volts` at the inputs; True when data-ready falls at its end.

        `volts`: one per channel, positive input minus reference. After START, WAKEUP or a CONFIG1 write the
        fourth call is the first that gives data (tSETTLE = 4 tDR + 9 tCLK). Data are the given voltages,
        held over the period: the filter's delay and response belong to the caller. Raises ValueError for
        another number of voltages or one that is not a number.
        """
        if not self._steady and not self._tick(settle=True):
            return False
        self._elapsed_tclk += self._sample_tclk
        high = self._elapsed_tclk & self._half_period_tclk
        offset = self._offset_high if high else self._offset_low
        exact = [v * s + o for v, s, o in zip(volts, self._counts_per_volt, offset, strict=True)]
        if max(exact) > COUNTS_MAX or min(exact) < COUNTS_MIN:
            exact = [min(max(x, COUNTS_MIN), COUNTS_MAX) for x in exact]
        inputs = self._registers
        self._frame = encode_frame(
            [round(x) for x in exact],
            inputs.gpio_outputs | inputs.gpio_pins & inputs.gpio_inputs,
            inputs.lead_off_p & inputs.lead_off_mask_p,
            inputs.lead_off_n & inputs.lead_off_mask_n,
        )
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
        self._elapsed_tclk += self._sample_tclk
        self._frame = bytes(frame)
        self.drdy = True
        return True

    def _tick(self, settle: bool) -> bool:
        """One sample period outside steady running; True when it ends with data."""
        if not self._converting or self._standby or self._upset or self._rate_reserved:
            return False
        starts_ns = self._reference_good_ns
        if not self._reference_good and starts_ns is not None and self._now_ns() >= starts_ns:
            self._reference_good = True
            self._rescale()
        if settle and self._settling > 1:
            self._settling -= 1
            self._elapsed_tclk += self._sample_tclk
            return False
        self._settling = 0
        if self._stopping or self._single_shot:
            self._converting = self._stopping = False
        self._steady = self._converting and self._reference_good
        return True
