"""The list of what the bench tests, in order: what others rely on comes first.

The one place of their names, titles, limits in words and sources; what they do is in the `items_` modules.
"""

from collections.abc import Callable
from dataclasses import dataclass

from firmware.bench import (
    item_held,
    items_filter,
    items_leads,
    items_lines,
    items_noise,
    items_registers,
    items_selects,
    items_signal,
    items_supply,
    items_timing,
)
from firmware.bench.bench import Bench
from firmware.bench.verdicts import Outcome, exactly, judged


@dataclass(frozen=True, slots=True)
class Item:
    """One self-test. `limit`: in words, for the table; `source`: where it comes from.

    `wire`: it talks to bare chips; all others need chips that were brought up. `analogue`: it measures
    voltages, which needs a reference.
    """

    name: str
    title: str
    limit: str
    source: str
    run: Callable[[Bench], Outcome]
    wire: bool = False
    analogue: bool = False


def bring_up(bench: Bench) -> Outcome:
    """The driver's own sequence, every register read back. Raises ChipError with its finding."""
    info = bench.bring_up()
    values = [exactly("commands that had to be sent again", info.retries, 0)]
    parts = ", ".join(chip.name for chip in info.chips)
    return judged(parts, values, note="; ".join(info.notes))


ITEMS: tuple[Item, ...] = (
    Item(
        "id",
        "Identity",
        "a known part, all chips equal",
        "hardware facts 6, DS-C table 12",
        items_registers.identity,
        wire=True,
    ),
    Item(
        "reset_map",
        "Reset map",
        "all registers as in the table",
        "hardware facts 1.5, DS-C table 11",
        items_registers.reset_map,
        wire=True,
    ),
    Item(
        "registers",
        "Write and read back",
        "every writable bit, both states",
        "hardware facts 6",
        items_registers.write_read_back,
        wire=True,
    ),
    Item(
        "reserved",
        "Reserved bits",
        "never change",
        "hardware facts 1.5",
        items_registers.reserved_bits,
        wire=True,
    ),
    Item(
        "chip_select",
        "Chip selects",
        "each its own chip, in order",
        "hardware facts 1.7",
        items_selects.chip_selects,
        wire=True,
    ),
    Item(
        "power_up",
        "Power-up",
        "every one identical",
        "hardware facts 1.6, E2E 480770",
        items_selects.power_up,
        wire=True,
    ),
    Item("bring_up", "Bring-up", "the driver's sequence, read back", "hardware facts 1.6", bring_up),
    Item(
        "data_ready",
        "Data-ready",
        "rate +-0.5 % (2.5 % hard), none missing",
        "hardware facts 1.1, 6",
        items_timing.data_ready,
    ),
    Item(
        "gpio_idle",
        "GPIO idle",
        "stimulus lines low, none flickers",
        "hardware facts 2",
        items_lines.gpio_idle,
    ),
    Item(
        "reference",
        "Reference",
        "settled in 150 ms, quiet, supplies agree",
        "hardware facts 1.1, 6",
        items_supply.reference,
    ),
    Item(
        "supply",
        "Supplies (MVDD)",
        "DVDD / 4 and half the supply +-5 %",
        "hardware facts 1.5, 6",
        items_supply.supply,
        analogue=True,
    ),
    Item(
        "temperature",
        "Temperature",
        "10 to 60 C, chips within 5 C",
        "hardware facts 1.5, 6",
        items_supply.temperature,
        analogue=True,
    ),
    Item(
        "noise",
        "Noise, inputs shorted",
        "0.20 uV rms, 0.30 at most (gain 24, 250 SPS)",
        "hardware facts 1.10, 6",
        items_noise.noise,
        analogue=True,
    ),
    Item(
        "spectrum", "Mains in the noise", "0.15 uV, 0.5 at most", "ours", items_noise.spectrum, analogue=True
    ),
    Item(
        "offset",
        "Offset, inputs shorted",
        "+-100 uV, +-500 at most",
        "ours",
        items_noise.offset,
        analogue=True,
    ),
    Item(
        "test_signal",
        "Test signal 1x and 2x",
        "+-3 %, ratio 2.00 +-1 %, period +-2.5 %",
        "hardware facts 1.5, 6",
        items_signal.test_signal,
        analogue=True,
    ),
    Item(
        "scale",
        "Every gain",
        "within 0.1 % of one another, 1 % at most",
        "hardware facts 6",
        items_signal.scale,
        analogue=True,
    ),
    Item(
        "settling",
        "Step",
        "settled in 4 conversions",
        "hardware facts 1.1",
        items_filter.settling,
        analogue=True,
    ),
    Item("crosstalk", "Crosstalk", "-80 dB, -66 at most", "ours", items_filter.crosstalk, analogue=True),
    Item(
        "gpio_loop",
        "GPIO driven by the chip",
        "4 pins, both states",
        "hardware facts 6",
        items_lines.gpio_loop,
    ),
    Item(
        "trigger_loop",
        "Trigger loop",
        "every pulse, SD T / sqrt(12) + 20 us",
        "hardware facts 2, 6",
        items_lines.trigger_loop,
    ),
    Item(
        "lead_off_current",
        "Lead-off current",
        "6 nA +-25 %, 35 % at most",
        "hardware facts 1.8",
        items_leads.lead_off_current,
        analogue=True,
    ),
    Item(
        "bias",
        "Bias amplifier",
        "within +-200 mV of mid-supply",
        "ours, hardware facts 1.9",
        items_leads.bias,
        analogue=True,
    ),
    Item(
        "lead_off",
        "Lead-off comparators",
        "off when out, on when in",
        "hardware facts 1.8, 6",
        items_leads.lead_off,
    ),
    Item(
        "continuous",
        "RDATAC against RDATA",
        "same means and noise",
        "hardware facts 1.4",
        items_timing.continuous,
        analogue=True,
    ),
    Item("soak", "Soak", "no gap, no stale frame, residual 5 us SD", "hardware facts 6", items_timing.soak),
    Item("header", "Headers", "1100 in every frame", "hardware facts 1.4, 6", items_timing.headers),
    Item(
        "held",
        "Rate that this machine holds",
        "tail + transfer <= T - 10 us",
        "hardware facts 3.4, 6",
        item_held.held_rates,
    ),
)
NAMES = tuple(item.name for item in ITEMS)
