"""Items about bytes: identity, reset map, every writable bit, reserved bits, chip selects, power-ups.

They use no driver, since a driver relies on all of this. Limits: facts/hardware.md 6, table 1.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware.bench.access import RegisterAccess
from firmware.bench.bench import Bench
from firmware.bench.verdicts import Cause, Outcome, exactly, judged
from firmware.chip_faults import diagnose
from hw.chips import ADS1299, ChipSpec, identify
from hw.registers import Address, RegisterSpec, register_map

ID_READS = 16

WRITES_LOST = Cause(
    "no write arrives (DIN open, or the chip stays in continuous mode)",
    "check the wire from MOSI to DIN and its solder joints; hold chip select low 2 us after the last byte",
)
MISO_FLIPS = Cause(
    "bits flip on the wire from DOUT to MISO",
    "lower the SPI clock, shorten or shield the leads, add a series resistor at DOUT",
)


def cause_of(text: str) -> Cause:
    """A complaint's `...likely cause A; cure: B` in two."""
    cause, _, cure = text.rpartition("likely cause ")[2].partition("; cure: ")
    return Cause(cause, cure or "see the line above")


def chip_of(id_byte: int) -> ChipSpec:
    """The part with this ID, the ADS1299 for any other: something to compare with."""
    return identify(id_byte) or ADS1299


def identity(bench: Bench) -> Outcome:
    """The ID of every chip, read several times."""
    reads = []
    for access in bench.access:
        access.reset()
        reads.append(tuple(access.read(Address.ID)[0] for _ in range(ID_READS)))
    return judge_identity(reads)


def judge_identity(reads: Sequence[Sequence[int]]) -> Outcome:
    """`reads`: the ID bytes of each chip, several reads each."""
    values, causes = [], []
    for chip, ids in enumerate(reads):
        wrong = [got for got in ids if identify(got) is None]
        values.append(exactly(f"chip {chip + 1}: reads with an ID of another part", len(wrong), 0))
        values.append(exactly(f"chip {chip + 1}: reads unlike the first", sum(i != ids[0] for i in ids), 0))
        if len(set(ids)) > 1:
            causes.append(MISO_FLIPS)
        elif wrong:
            causes += _wrong_id(chip, wrong[0])
    known = [identify(ids[0]) for ids in reads]
    unequal = len({part.name if part else "" for part in known}) > 1
    values.append(exactly("different parts on one board", int(unequal), 0))
    if unequal and None not in known:
        causes.append(Cause("different parts on one board", "fit equal parts, or check the chip selects"))
    text = ", ".join(
        f"0x{ids[0]:02X} {part.name if part else 'unknown'}" for ids, part in zip(reads, known, strict=True)
    )
    return judged(text, values, causes)


def _wrong_id(chip: int, got: int) -> list[Cause]:
    where = f"chip {chip + 1}: " if chip else ""
    first = cause_of(diagnose(0x3E, got))
    if got == 0xFF:
        return [Cause(where + first.cause, first.cure)]
    if got == 0x00:
        din = Cause(
            f"{where}DIN open: the chip hears no command", "check the wire from MOSI to DIN and its joints"
        )
        return [Cause(where + first.cause, first.cure), din]
    if got in (0x3E << 1, 0x3E << 1 | 1, 0x3E >> 1, 0x3E >> 1 | 0x80):
        return [Cause(where + first.cause, first.cure)]
    return [
        Cause(
            f"{where}wrong ID 0x{got:02X}: another part, a clone, or bytes out of step",
            "check the part's marking; use SPI mode 1",
        )
    ]


def reset_map(bench: Bench) -> Outcome:
    """All registers after RESET, which must also undo a write."""
    got = []
    for access in bench.access:
        access.reset()
        access.write(Address.LOFF_FLIP, 0x05)
        access.reset()
        got.append(dict(enumerate(access.read(0, _registers_of(access)))))
    return judge_reset_map(got)


def _registers_of(access: RegisterAccess) -> int:
    return max(register_map(chip_of(access.read(Address.ID)[0]))) + 1


def judge_reset_map(chips: Sequence[Mapping[int, int]]) -> Outcome:
    """`chips`: every register of each chip after RESET, by address."""
    values, causes = [], []
    for chip, got in enumerate(chips):
        wrong = []
        for address, spec in register_map(chip_of(got[Address.ID])).items():
            compared = 0xFF & ~spec.live if address != Address.ID else chip_of(got[Address.ID]).id_mask
            if (got[address] ^ spec.reset) & compared:
                wrong.append(f"{spec.name} 0x{got[address]:02X} (0x{spec.reset:02X})")
                causes += _wrong_reset(chip, address, spec, got[address])
        values.append(exactly(f"chip {chip + 1}: registers unlike the reset map", len(wrong), 0))
    n = sum(value.measured for value in values)
    return judged(f"{n:.0f} registers differ" if n else "all as in the table", values, causes[:3])


def _wrong_reset(chip: int, address: int, spec: RegisterSpec, got: int) -> list[Cause]:
    where = f"chip {chip + 1}: {spec.name}"
    if address == Address.LOFF_FLIP and got == 0x05:
        return [Cause(f"{where}: RESET did not undo a write", "check chip select and DIN; power up again")]
    bits = (got ^ spec.reset) & ~spec.live
    if bits.bit_count() == 1:
        stuck = f"bit {bits.bit_length() - 1} reads {int(bool(got & bits))}"
        return [Cause(f"{where}: {stuck}: stuck, or flipped on the wire", "replace the chip if it stays")]
    first = cause_of(diagnose(spec.reset, got))
    return [Cause(f"{where}: {first.cause}", first.cure)]


@dataclass(frozen=True, slots=True)
class Walk:
    """Writes and what was read back: (address, written, read) of one chip."""

    part: ChipSpec
    trials: tuple[tuple[int, int, int], ...]


def walk(access: RegisterAccess) -> Walk:
    """One bit at a time through every writable bit, all others 0; levels of the GPIO are left alone.

    One bit at a time never gives a reserved rate or gain (code 7), nor drives a pin against another output.
    """
    access.reset()
    part = chip_of(access.read(Address.ID)[0])
    trials = []
    for address, spec in register_map(part).items():
        writable = spec.writable & ~spec.live
        bits = [1 << k for k in range(8) if writable >> k & 1]
        for bit in [0, *bits] if bits else ():
            written = spec.reset & ~spec.writable | bit
            access.write(address, written)
            trials.append((address, written, access.read(address)[0]))
        access.write(address, spec.reset)
    access.reset()
    return Walk(part, tuple(trials))


def write_read_back(bench: Bench) -> Outcome:
    """Every writable bit of every register, as 0 and as 1."""
    return judge_walk([walk(access) for access in bench.access])


def judge_walk(walks: Sequence[Walk]) -> Outcome:
    """Exact read-back of the writable bits."""
    values, causes, writes = [], [], 0
    for chip, walked in enumerate(walks):
        specs = register_map(walked.part)
        wrong: dict[int, list[tuple[int, int]]] = {}
        for address, written, got in walked.trials:
            if (written ^ got) & specs[address].writable & ~specs[address].live:
                wrong.setdefault(address, []).append((written, got))
        writes += len(walked.trials)
        n = sum(map(len, wrong.values()))
        values.append(exactly(f"chip {chip + 1}: writes read back wrong", n, 0))
        causes += _wrong_walk(chip, walked, wrong)
    bad = sum(value.measured for value in values)
    return judged(f"{bad:.0f} of {writes} writes wrong", values, causes[:4])


def _wrong_walk(chip: int, walked: Walk, wrong: Mapping[int, list[tuple[int, int]]]) -> list[Cause]:
    """Bits that never change are stuck; registers that never change were not written; the rest flips."""
    specs = register_map(walked.part)
    answers = {got for _, _, got in walked.trials}
    if len(answers) == 1 and answers <= {0x00, 0xFF}:
        first = cause_of(diagnose(0x3E, answers.pop()))
        return [Cause(f"chip {chip + 1}: {first.cause}", first.cure)]
    reset = [got == specs[address].reset for address, _, got in walked.trials]
    if all(reset):
        return [WRITES_LOST]
    causes: list[Cause] = []
    for address in wrong:
        trials = [(written, got) for a, written, got in walked.trials if a == address]
        spec = specs[address]
        for k in range(8):
            bit = 1 << k
            levels = {got >> k & 1 for _, got in trials}
            if spec.writable & ~spec.live & bit and len(levels) == 1:
                level = "high" if 1 in levels else "low"
                causes.append(
                    Cause(
                        f"chip {chip + 1}: bit {k} of {spec.name} is stuck {level}",
                        "replace the chip; until then leave what this bit does unused",
                    )
                )
    return causes or ([MISO_FLIPS] if wrong else [])


def reserved_bits(bench: Bench) -> Outcome:
    """Bits that no write may change."""
    return judge_reserved([walk(access) for access in bench.access])


def judge_reserved(walks: Sequence[Walk]) -> Outcome:
    """Reserved and read-only bits keep their value whatever was written beside them."""
    values, causes = [], []
    for chip, walked in enumerate(walks):
        specs = register_map(walked.part)
        if len({got for _, _, got in walked.trials}) == 1:
            values.append(exactly(f"chip {chip + 1}: gives one byte always", 1, 0))
            causes += _wrong_walk(chip, walked, {})
            continue
        changed = sorted(
            {
                specs[address].name
                for address, _, got in walked.trials
                if (got ^ specs[address].reset) & ~specs[address].writable & ~specs[address].live & 0xFF
            }
        )
        values.append(exactly(f"chip {chip + 1}: registers whose reserved bits changed", len(changed), 0))
        if changed:
            names = ", ".join(changed)
            causes.append(
                Cause(
                    f"chip {chip + 1}: reserved bits of {names} changed: bytes out of step, or a clone",
                    "use SPI mode 1, lower the SPI clock; check the part's marking",
                )
            )
    return judged("kept" if not causes else "not kept", values, causes)
