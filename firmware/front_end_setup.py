"""What a front end is asked to be: the setup, the registers that it means on a part, what the wire can carry.

Pure: values in, values out or one ConfigError; no byte is sent from here. Facts 1.5, 1.7, 3.1, 6.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from firmware.errors import ChipError, ConfigError
from hw.chips import ADS1299, CHIPS, MAX_SCLK_HZ, ChipSpec, Family, Opcode
from hw.frames import GAP_CHOICES, MOST_CHIPS, FrameLayout
from hw.registers import (
    Address,
    BiasSensP,
    Gpio,
    Misc1,
    Mux,
    channel_set,
    config1,
    config3,
    register_map,
)

READ_MODES = ("rdata", "rdatac")
SPARE_NS = 10_000
"""What the transfers of a sample must leave of its period (facts 6)."""
SELECT_HOLD_NS = 2_000


@dataclass(frozen=True, slots=True)
class FrontEndSetup:
    """One recording front end of `chips` converters; None: one for each select, in a chain as many as answer.

    `gain`: one for all channels, or one each over all chips in order. `parts`: names of the parts expected on
    the selects (in a daisy chain: in the chain), () for equal ones of any kind. `daisy`: one select, one
    transfer; `daisy_gap_bits` None finds them from the headers. `srb1`: the reference electrode on SRB1 is
    every channel's negative input; None: where the part has it. `bias`: bias or right-leg drive from the
    positive inputs in use. `channels`: the first so many are in use, the others powered down and shorted;
    None: all. `vref_v` None: the part's own. `clock_output`: the first chip's oscillator drives the others.
    `sclk_hz`: serial clock of frames, 0: the port's own, which is then not held against the rate; registers
    are never accessed faster than 2 MHz.
    """

    rate_hz: float
    gain: int | tuple[int, ...] = 24
    read_mode: str = "rdata"
    chips: int | None = None
    parts: tuple[str, ...] = ()
    daisy: bool = False
    daisy_gap_bits: int | None = None
    srb1: bool | None = None
    bias: bool = True
    channels: int | None = None
    vref_v: float | None = None
    clock_output: bool = False
    sclk_hz: int = 0


@dataclass(frozen=True, slots=True)
class FrameRead:
    """One transfer that fetches frames: send `mosi`, drop `skip` bytes of the answer, keep `length`."""

    mosi: bytes
    skip: int
    length: int


def frame_read(length: int, read_mode: str) -> FrameRead:
    """RDATA asks with one byte and takes a snapshot; in continuous mode clocks alone bring the frame."""
    if read_mode == "rdata":
        return FrameRead(bytes([Opcode.RDATA]) + bytes(length), 1, length)
    return FrameRead(bytes(length), 0, length)


def check(setup: FrontEndSetup, selects: int, start_line: bool) -> None:
    """ConfigError for what no board could do, before a byte is sent. `selects`: chip selects there are."""
    chips = setup.chips
    if chips is None:
        chips = len(setup.parts) or selects
    if not 1 <= chips <= MOST_CHIPS:
        raise ConfigError(f"{chips} chips wanted, a board has 1 to {MOST_CHIPS}; change the number")
    wanted = 1 if setup.daisy else chips
    if selects != wanted:
        kind = "a daisy chain" if setup.daisy else f"{chips} chip(s) on own selects"
        raise ConfigError(f"{kind} needs {wanted} SPI port(s), {selects} given; name one for each")
    if selects > 1 and not start_line:
        raise ConfigError(
            f"{selects} chips on their own selects start together only by a START line; "
            "wire START of all chips to one output and name it, or chain them (daisy)"
        )
    if setup.daisy and setup.clock_output:
        raise ConfigError(
            "clock output in a daisy chain would turn on in every chip at once; use an external clock"
        )
    if setup.daisy_gap_bits not in (None, *GAP_CHOICES):
        raise ConfigError(f"daisy_gap_bits {setup.daisy_gap_bits}: use 0, 1 or leave it to the headers")
    if setup.read_mode not in READ_MODES:
        raise ConfigError(f"read mode {setup.read_mode!r}: use rdata or rdatac")
    if not 0 <= setup.sclk_hz <= MAX_SCLK_HZ:
        raise ConfigError(f"SCLK of {setup.sclk_hz} Hz: the converter takes up to {MAX_SCLK_HZ} Hz; lower it")
    unknown = [name for name in setup.parts if name not in CHIPS]
    if unknown:
        raise ConfigError(f"no part {unknown[0]!r}: use one of {', '.join(CHIPS)}")
    if setup.parts and len(setup.parts) != chips:
        raise ConfigError(f"{len(setup.parts)} parts named for {chips} chips; name one for each")
    _check_values(setup)


def _check_values(setup: FrontEndSetup) -> None:
    """Rate and gains against the parts that are expected, or against any that could be there."""
    parts = [CHIPS[name] for name in setup.parts]
    gains = setup.gain if isinstance(setup.gain, tuple) else (setup.gain,)
    try:
        for part in parts or [_likely(setup.rate_hz, gains)]:
            part.rate_bits(setup.rate_hz)
            if isinstance(setup.gain, int):
                part.gain_code(setup.gain)
        if not parts:
            for gain in gains:
                _likely(setup.rate_hz, gains).gain_code(gain)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _likely(rate_hz: float, gains: Sequence[int]) -> ChipSpec:
    """A part that has this rate and these gains; the ADS1299, for it to say what it has, when none does."""
    fitting = (chip for chip in CHIPS.values() if rate_hz in chip.rates_hz and set(gains) <= set(chip.gains))
    return next(fitting, ADS1299)


def judge_parts(setup: FrontEndSetup, found: Sequence[ChipSpec]) -> None:
    """ChipError when the parts are not those expected, or not all the same where none is named."""
    names = [chip.name for chip in found]
    wanted = list(setup.parts) or [names[0]] * len(names)
    if names == wanted:
        return
    where = next(k for k, (name, want) in enumerate(zip(names, wanted, strict=True)) if name != want)
    head = f"chip {where + 1}: expected {wanted[where]}, got {names[where]}"
    if setup.parts and Counter(names) == Counter(wanted):
        cause = "likely cause swapped chip selects; cure: exchange the select wires, or the ports' order"
    elif setup.parts:
        cause = "likely cause another part is fitted; cure: name the parts as they are on the board"
    else:
        cause = (
            "likely cause a select that reaches another board or a part mixed up; "
            f"cure: check the selects, or name the parts as found ({', '.join(names)}) if it is meant"
        )
    raise ChipError(f"{head}: {cause}")


def gains_of(setup: FrontEndSetup, found: Sequence[ChipSpec]) -> tuple[tuple[int, ...], ...]:
    """Gain of every channel by chip; ConfigError when their number is not the channels'."""
    total = sum(chip.channels for chip in found)
    gains = setup.gain if isinstance(setup.gain, tuple) else (setup.gain,) * total
    if len(gains) != total:
        raise ConfigError(f"{len(gains)} gains for {total} channels; give one for all or one for each")
    if setup.channels is not None and not 1 <= setup.channels <= total:
        raise ConfigError(f"{setup.channels} channels wanted, the front end has {total}; change the number")
    split, at = [], 0
    for chip in found:
        split.append(gains[at : at + chip.channels])
        at += chip.channels
    return tuple(split)


def recording_registers(
    chip: ChipSpec, setup: FrontEndSetup, gains: Sequence[int], in_use: int, clock_output: bool
) -> dict[int, int]:
    """Register bytes by address, in writing order: the reference first, since all else waits for it.

    `in_use`: channels of this chip that record. The four GPIO are trigger inputs; no test signal, no lead-off
    current; absent channels and reserved registers get 0. Raises ConfigError for what the part cannot do.
    """
    has_srb1 = chip.family is Family.ADS1299
    if setup.srb1 and not has_srb1:
        raise ConfigError(
            f"the {chip.name} has no SRB1: wire the reference to every negative input, turn srb1 off"
        )
    specs = register_map(chip)
    try:
        registers: dict[int, int] = {
            Address.CONFIG3: config3(chip, setup.bias, setup.vref_v),
            Address.CONFIG1: config1(chip, setup.rate_hz, clock_output=clock_output),
            Address.CONFIG2: specs[Address.CONFIG2].reset,
        } | {a: 0 for a in specs if a > Address.CONFIG3}
        for channel, gain in enumerate(gains):
            used = channel < in_use
            mux = Mux.ELECTRODE if used else Mux.SHORTED
            registers[Address.CH1SET + channel] = channel_set(chip, gain, mux, power_down=not used)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if setup.bias:
        registers[Address.BIAS_SENSP] = BiasSensP((1 << in_use) - 1).encode()
    registers[Address.GPIO] = Gpio(inputs=0x0F).encode()
    if has_srb1 and setup.srb1 is not False:
        registers[Address.MISC1] = Misc1(srb1=True).encode()
    return {a: byte for a, byte in registers.items() if a not in (Address.LOFF_STATP, Address.LOFF_STATN)}


def check_wire(setup: FrontEndSetup, layout: FrameLayout, chip: ChipSpec) -> None:
    """ConfigError, naming the highest rate that fits, when a sample's transfers outlast its period."""
    if not setup.sclk_hz:
        return
    opcode = 1 if setup.read_mode == "rdata" else 0
    reads = (layout.row_bytes,) if layout.daisy else layout.frame_bytes
    taken_ns = sum((opcode + n) * 8e9 / setup.sclk_hz + SELECT_HOLD_NS for n in reads) + SPARE_NS
    if taken_ns <= 1e9 / setup.rate_hz:
        return
    fitting = [rate for rate in chip.rates_hz if taken_ns <= 1e9 / rate]
    cure = f"the highest rate that fits is {fitting[-1]:g} Hz; " if fitting else "no rate fits; "
    raise ConfigError(
        f"reading {layout.row_bytes} bytes at SCLK {setup.sclk_hz} Hz takes {taken_ns / 1e3:.0f} us of the "
        f"{1e6 / setup.rate_hz:.0f} us per sample: {cure}or raise SCLK (up to {MAX_SCLK_HZ} Hz)"
    )
