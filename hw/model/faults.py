"""What can be broken on the modelled board, by name: for the self-test, the rig and anybody's driver.

Owns the list and where each fault takes hold; the behaviour is the chip's (`Trouble`) or the wires'
(`ChipWires`). Refuses faults of the machine that the board hangs on: those are the rig's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from hw.model.electrodes import Electrode

if TYPE_CHECKING:
    from hw.model.ads1299 import Ads1299Model
    from hw.model.board import BoardModel
    from hw.model.wire_faults import ChipWires


class FaultKind(StrEnum):
    """One thing that breaks. In brackets: what `Fault.value` is, and its default."""

    WRONG_ID = "wrong_id"  # [the ID byte, 0x20]
    SWAPPED_SELECTS = "swapped_selects"  # of `chip` and the next [-]
    DEAD_CHIP = "dead_chip"  # no supply: silent in every way [-]
    SELECT_STUCK_LOW = "select_stuck_low"  # [-]
    SELECT_STUCK_HIGH = "select_stuck_high"  # [-]
    DOUT_OPEN = "dout_open"  # the controller reads FF [-]
    DOUT_SHORTED = "dout_shorted"  # the controller reads 00 [-]
    DIN_OPEN = "din_open"  # commands never arrive [-]
    BIT_FLIPS = "bit_flips"  # [share of bits read, 1e-3]
    BITS_SHIFTED = "bits_shifted"  # wrong SPI mode [bits late, 1]
    HEADER_CORRUPTED = "header_corrupted"  # [every n-th frame, 100]
    STALE_FRAME = "stale_frame"  # the one before again [every n-th frame, 100]
    NO_DATA_READY = "no_data_ready"  # the line is dead [-]
    LOST_DATA_READY = "lost_data_ready"  # [every n-th edge, 100]
    START_INTERRUPTED = "start_interrupted"  # [after every n edges, 500]
    CHIP_RESET = "chip_reset"  # the chip resets itself once [after n more edges, 500]
    BAD_POWER_UP = "bad_power_up"  # mute until the next power-up [one in n, 50]
    WRONG_CLOCK = "wrong_clock"  # [factor, 0.5]
    CLOCK_WANDER = "clock_wander"  # [rms ppm, 2000]
    REGISTER_STUCK = "register_stuck"  # bit `channel` of register `address` [level, 0]
    GPIO_STUCK_HIGH = "gpio_stuck_high"  # pin `channel`, 0 = GPIO1 [-]
    GPIO_STUCK_LOW = "gpio_stuck_low"  # pin `channel`, 0 = GPIO1 [-]
    DEAD_CHANNEL = "dead_channel"  # [the code it always gives, 0]
    GAIN_ERROR = "gain_error"  # of `channel` [factor, 1.1]
    NOISY_CHANNEL = "noisy_channel"  # [factor on the converter's noise, 10]
    CROSSTALK = "crosstalk"  # from `channel` into the next [share, 0.1]
    MAINS_PICKUP = "mains_pickup"  # 50 Hz, on shorted inputs too [uV peak, 20]
    REFERENCE_DEAD = "reference_dead"  # [-]
    REFERENCE_OFF = "reference_off"  # [factor, 1.1]
    REFERENCE_NOISY = "reference_noisy"  # [rms of the signal, 0.01]
    TEST_SIGNAL_DEAD = "test_signal_dead"  # [-]
    DIGITAL_SUPPLY_LOW = "digital_supply_low"  # [V, 2.5]
    ANALOG_SUPPLY_LOW = "analog_supply_low"  # [V between AVDD and AVSS, 4.0]
    HOT_CHIP = "hot_chip"  # [degrees, 90]
    BIAS_BROKEN = "bias_broken"  # its amplifier sits at the supply [-]
    SRB1_OPEN = "srb1_open"  # the reference reaches no negative input [-]
    ELECTRODE_OFF = "electrode_off"  # positive side of `channel` [-]
    LEAD_OFF_STUCK = "lead_off_stuck"  # comparator, positive side of `channel` [-]
    LEAD_OFF_CURRENT_DEAD = "lead_off_current_dead"  # [-]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one chip, both counted from 0. `value` None takes the kind's default (see FaultKind)."""

    kind: FaultKind
    chip: int = 0
    channel: int = 0
    value: float | None = None
    address: int = 0


_DEFAULTS: dict[FaultKind, float] = {
    FaultKind.WRONG_ID: 0x20,
    FaultKind.BIT_FLIPS: 1e-3,
    FaultKind.BITS_SHIFTED: 1,
    FaultKind.HEADER_CORRUPTED: 100,
    FaultKind.STALE_FRAME: 100,
    FaultKind.LOST_DATA_READY: 100,
    FaultKind.START_INTERRUPTED: 500,
    FaultKind.CHIP_RESET: 500,
    FaultKind.BAD_POWER_UP: 50,
    FaultKind.WRONG_CLOCK: 0.5,
    FaultKind.CLOCK_WANDER: 2000,
    FaultKind.GAIN_ERROR: 1.1,
    FaultKind.NOISY_CHANNEL: 10,
    FaultKind.CROSSTALK: 0.1,
    FaultKind.MAINS_PICKUP: 20,
    FaultKind.REFERENCE_OFF: 1.1,
    FaultKind.REFERENCE_NOISY: 0.01,
    FaultKind.DIGITAL_SUPPLY_LOW: 2.5,
    FaultKind.ANALOG_SUPPLY_LOW: 4.0,
    FaultKind.HOT_CHIP: 90.0,
}
_AT_LEAST_ONE = {
    FaultKind.HEADER_CORRUPTED,
    FaultKind.STALE_FRAME,
    FaultKind.LOST_DATA_READY,
    FaultKind.START_INTERRUPTED,
    FaultKind.CHIP_RESET,
    FaultKind.BAD_POWER_UP,
}
_WIRE_KINDS = _AT_LEAST_ONE - {FaultKind.BAD_POWER_UP} | {
    FaultKind.SELECT_STUCK_LOW,
    FaultKind.SELECT_STUCK_HIGH,
    FaultKind.DOUT_OPEN,
    FaultKind.DOUT_SHORTED,
    FaultKind.DIN_OPEN,
    FaultKind.BIT_FLIPS,
    FaultKind.BITS_SHIFTED,
    FaultKind.NO_DATA_READY,
}
_DIGITAL_KINDS = {
    FaultKind.WRONG_ID,
    FaultKind.DEAD_CHIP,
    FaultKind.BAD_POWER_UP,
    FaultKind.REGISTER_STUCK,
    FaultKind.GPIO_STUCK_HIGH,
    FaultKind.GPIO_STUCK_LOW,
    FaultKind.LEAD_OFF_STUCK,
}
_PINS = {FaultKind.GPIO_STUCK_HIGH, FaultKind.GPIO_STUCK_LOW}


def inject(board: BoardModel, fault: Fault) -> None:
    """Break it. ValueError for a chip, channel or value that there is not."""
    _check(board, fault)
    value = _DEFAULTS.get(fault.kind, 0.0) if fault.value is None else fault.value
    chip, now_ns = board.chips[fault.chip], board.now_ns()
    if fault.kind is FaultKind.SWAPPED_SELECTS:
        selects, k = board.needs_wires().selects, fault.chip
        selects[k], selects[k + 1] = selects[k + 1], selects[k]
    elif fault.kind is FaultKind.WRONG_CLOCK:
        board.oscillators[fault.chip].retune((value - 1) * 1e6, 0.0, now_ns)
    elif fault.kind is FaultKind.CLOCK_WANDER:
        board.oscillators[fault.chip].retune(board.setup.oscillator_ppm, value, now_ns)
    elif fault.kind in _WIRE_KINDS:
        _break_wires(board.needs_wires().chips[fault.chip], fault.kind, value)
    else:
        if fault.kind in _DIGITAL_KINDS:
            _break_digital(chip, fault, value)
        else:
            _break_analogue(chip, fault, value)
        chip.configure(now_ns)


def _check(board: BoardModel, fault: Fault) -> None:
    """Refuse what the board does not have, in one line."""
    n = len(board.chips)
    last = n - 1 if fault.kind is not FaultKind.SWAPPED_SELECTS else n - 2
    if not 0 <= fault.chip <= last:
        raise ValueError(f"{fault.kind}: chip {fault.chip}, the board has {n}, counted from 0")
    pins = 4 if fault.kind in _PINS else 8 if fault.kind is FaultKind.REGISTER_STUCK else 0
    channels = pins or board.chips[fault.chip].chip.channels - (fault.kind is FaultKind.CROSSTALK)
    if not 0 <= fault.channel < channels:
        raise ValueError(f"{fault.kind}: {fault.channel} is not one of 0 to {channels - 1}")
    if fault.value is not None and fault.kind in _AT_LEAST_ONE and fault.value < 1:
        raise ValueError(f"{fault.kind}: every {fault.value:g} is not possible; give 1 or more")


def _break_wires(wires: ChipWires, kind: FaultKind, value: float) -> None:
    """Selects, data lines, edges."""
    match kind:
        case FaultKind.SELECT_STUCK_LOW | FaultKind.SELECT_STUCK_HIGH:
            wires.select_stuck = kind is FaultKind.SELECT_STUCK_HIGH
        case FaultKind.DOUT_OPEN:
            wires.answers = 0xFF
        case FaultKind.DOUT_SHORTED:
            wires.answers = 0x00
        case FaultKind.DIN_OPEN:
            wires.din_open = True
        case FaultKind.BIT_FLIPS:
            wires.flip_share = value
        case FaultKind.BITS_SHIFTED:
            wires.shift_bits = int(value)
        case FaultKind.HEADER_CORRUPTED:
            wires.corrupt_every = int(value)
        case FaultKind.STALE_FRAME:
            wires.stale_every = int(value)
        case FaultKind.NO_DATA_READY:
            wires.ready_every = 1
        case FaultKind.LOST_DATA_READY:
            wires.ready_every = int(value)
        case FaultKind.START_INTERRUPTED:
            wires.restart_every = int(value)
        case FaultKind.CHIP_RESET:
            wires.reset_after = wires.edges + int(value)


def _break_digital(chip: Ads1299Model, fault: Fault, value: float) -> None:
    """Registers, pins, power-up."""
    trouble = chip.trouble
    match fault.kind:
        case FaultKind.WRONG_ID:
            trouble.id_override = int(value)
        case FaultKind.DEAD_CHIP:
            trouble.dead = True
        case FaultKind.BAD_POWER_UP:
            trouble.bad_power_up_one_in = int(value)
        case FaultKind.REGISTER_STUCK:
            trouble.register_stuck[fault.address] = (1 << fault.channel, 0xFF if value else 0)
        case FaultKind.GPIO_STUCK_HIGH:
            trouble.gpio_stuck_high |= 1 << fault.channel
        case FaultKind.GPIO_STUCK_LOW:
            trouble.gpio_stuck_low |= 1 << fault.channel
        case FaultKind.LEAD_OFF_STUCK:
            trouble.lead_off_stuck_p |= 1 << fault.channel


def _break_analogue(chip: Ads1299Model, fault: Fault, value: float) -> None:
    """Everything before the bits."""
    trouble, channel, around = chip.trouble, fault.channel, chip.around
    match fault.kind:
        case FaultKind.DEAD_CHANNEL:
            trouble.dead_codes[channel] = int(value)
        case FaultKind.GAIN_ERROR:
            trouble.gain_factors[channel] = value
        case FaultKind.NOISY_CHANNEL:
            trouble.noise_factors[channel] = value
        case FaultKind.CROSSTALK:
            trouble.crosstalk = (channel, channel + 1, value)
        case FaultKind.MAINS_PICKUP:
            trouble.mains_uv = value
        case FaultKind.REFERENCE_DEAD:
            trouble.reference_dead = True
        case FaultKind.REFERENCE_OFF:
            trouble.reference_factor = value
        case FaultKind.REFERENCE_NOISY:
            trouble.reference_noise = value
        case FaultKind.TEST_SIGNAL_DEAD:
            trouble.test_signal_dead = True
        case FaultKind.DIGITAL_SUPPLY_LOW:
            chip.set_around(replace(around, dvdd_v=value))
        case FaultKind.ANALOG_SUPPLY_LOW:
            chip.set_around(replace(around, avdd_v=around.avss_v + value))
        case FaultKind.HOT_CHIP:
            chip.set_temperature(value)
        case FaultKind.BIAS_BROKEN:
            trouble.bias_broken = True
        case FaultKind.SRB1_OPEN:
            trouble.srb1_open = True
        case FaultKind.ELECTRODE_OFF:
            chip.set_electrode(channel, "p", Electrode(off=True))
        case FaultKind.LEAD_OFF_CURRENT_DEAD:
            trouble.lead_off_current_dead = True
