"""Items about chips as a whole: each select its own chip, each power-up like the last.

They use no driver, since a driver relies on this. Limits: facts/hardware.md 1.6, 1.7, 6.
"""

from collections.abc import Sequence

from firmware.bench.bench import Bench
from firmware.bench.items_registers import MISO_FLIPS
from firmware.bench.verdicts import Cause, Outcome, Value, Verdict, exactly, judged, listed, skipped, within
from hw.chips import DECODE_TCLK
from hw.registers import Address

POWER_UPS, QUICK_POWER_UPS = 250, 50
"""One bad power-up in fifty shows itself among 250 with 99.4 %, among 50 with 64 %."""
MOST_REPAIRS = 5
FEW_FLIPS = 3


def chip_selects(bench: Bench) -> Outcome:
    """Each select reaches a chip of its own, and the stimulus lines come back on the first."""
    if len(bench.access) < 2:
        return skipped("one chip select: nothing to mix up")
    for access in bench.access:
        access.reset()
    marks = []
    for chip, access in enumerate(bench.access):
        access.write(Address.LOFF_FLIP, 1 << chip)
    for access in bench.access:
        marks.append(access.read(Address.LOFF_FLIP)[0])
    followed = []
    for bits in (0, *(1 << line for line in range(bench.box.lines)), 0):
        bench.box.outputs.write(bits)
        bench.box.clock.wait_ns(10 * DECODE_TCLK * 1000)
        followed.append((bits, tuple(access.read(Address.GPIO)[0] >> 4 for access in bench.access)))
    for access in bench.access:
        access.reset()
    return judge_selects(marks, followed, bench.box.lines)


def judge_selects(marks: Sequence[int], followed: Sequence[tuple[int, Sequence[int]]], lines: int) -> Outcome:
    """`marks`: LOFF_FLIP of each chip, written 1 << chip; `followed`: lines driven, pins of each chip."""
    values, causes = [], []
    own = [mark == 1 << chip for chip, mark in enumerate(marks)]
    values.append(exactly("selects that hold another chip's pattern", own.count(False), 0))
    if not all(own):
        causes.append(
            Cause(
                f"chip selects {listed(k for k, good in enumerate(own) if not good)} do not reach a chip of "
                "their own (shorted selects, one always low or open)",
                "check the chip-select wires: one for each chip",
            )
        )
    mask = (1 << lines) - 1
    follows = [all(pins[chip] & mask == bits for bits, pins in followed) for chip in range(len(marks))]
    values.append(exactly("first chip follows the stimulus lines", int(follows[0]), 1))
    elsewhere = [chip for chip, does in enumerate(follows) if does and chip]
    if elsewhere and not follows[0]:
        causes.append(
            Cause(
                f"swapped chip select: the stimulus lines come back on select {listed(elsewhere)}, which is "
                "therefore the first chip",
                "exchange the chip-select wires, or the order of spi in the wiring",
            )
        )
    elif not follows[0]:
        causes.append(Cause("the stimulus lines do not come back on the first chip", "see the trigger loop"))
    return judged("each its own" if not causes else "mixed up", values, causes)


def power_up(bench: Bench) -> Outcome:
    """Supplies off and on, or RESET where they are not wired, and the registers each time."""
    cycles = QUICK_POWER_UPS if bench.quick else POWER_UPS
    how = "power cycles" if bench.box.power_cycle else "RESET commands"
    seen: list[tuple[bytes, ...]] = []
    for _ in range(cycles):
        if bench.box.power_cycle:
            bench.box.power_cycle()
            bench.access[0].power_up_wait()
        for access in bench.access:
            access.reset()
        seen.append(tuple(access.read(0, 24) for access in bench.access))
    _leave_well(bench, seen)
    return judge_power_ups(seen, how)


def _leave_well(bench: Bench, seen: Sequence[tuple[bytes, ...]]) -> None:
    """A last cycle that went wrong shall not spoil the items that follow."""
    usual, last, tries = max(set(seen), key=seen.count), seen[-1], 0
    while last != usual and bench.box.power_cycle and tries < MOST_REPAIRS:
        bench.box.power_cycle()
        bench.access[0].power_up_wait()
        for access in bench.access:
            access.reset()
        last, tries = tuple(access.read(0, 24) for access in bench.access), tries + 1


def judge_power_ups(seen: Sequence[Sequence[bytes]], how: str) -> Outcome:
    """`seen`: the registers of every chip after each cycle."""
    values: list[Value] = []
    causes = []
    for chip in range(len(seen[0])):
        dumps = [dump[chip] for dump in seen]
        usual = max(set(dumps), key=dumps.count)
        odd = [k for k, dump in enumerate(dumps) if dump != usual]
        silent = sum(not any(dumps[k]) for k in odd)
        values.append(exactly(f"chip {chip + 1}: {how} unlike the others", len(odd), 0))
        flips = [sum((a ^ b).bit_count() for a, b in zip(dumps[k], usual, strict=True)) for k in odd]
        if odd and max(flips) <= FEW_FLIPS:
            causes.append(MISO_FLIPS)
        elif odd:
            what = f"{silent} of them without any answer" if silent else "with other registers"
            causes.append(
                Cause(
                    f"chip {chip + 1}: bad power-up in {len(odd)} of {len(dumps)} cycles, {what}",
                    "wait 2^18 clocks (128 ms) after the supplies, VCAP1 above 1.1 V; slow ones need more",
                )
            )
    values.append(within("cycles", len(seen), "", 1))
    bad = sum(value.verdict is Verdict.FAIL for value in values)
    good = len(seen) - int(max(value.measured for value in values[:-1]))
    return judged(f"{good} of {len(seen)} identical", values, causes, note=how if not bad else "")
