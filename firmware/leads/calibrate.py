"""`python -m firmware.leads.calibrate OHM --board SERIAL --out FILE`: currents from a known resistor.

One resistor of OHM from every lead to the reference; what each lead then reads gives its current. Runs the
same source and measurement as a case, writes the board's calibration file, and touches no person: the
resistors are a phantom. Exit 0 done, 1 a fault or nothing measured, 2 bad options.
"""

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from firmware.command_line import Parser
from firmware.compose import EdgeOptions, build
from firmware.errors import ChipError, ConfigError, EdgeError
from firmware.leads.calibration import (
    UNCALIBRATED,
    Calibration,
    Excited,
    Pin,
    Seen,
    Side,
    calibrated,
    calibration_text,
    read_calibration,
)
from firmware.ports import LeadSource, Source
from hw.lead_off import DEFAULT_NA
from hw.leads.report import PHASE_UNKNOWN, lead_name
from hw.link import Configure, Fault, Impedance, ImpedanceStart, Message, Reply
from hw.samples import SampleBlock

COMMAND = 1
SIDES: tuple[Side, ...] = ("p", "n")


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = Parser(
        prog="python -m firmware.leads.calibrate", description="Lead-off currents from a known resistor."
    )
    p.add_argument("ohm", type=float, help="the resistor from every lead to the reference, 1 to 50 kohm")
    p.add_argument("--board", required=True, help="the board's serial number")
    p.add_argument("--out", type=Path, required=True, help="calibration file; one that exists is completed")
    p.add_argument("--source", default="pi", help="pi or simulated")
    p.add_argument("--wiring", type=Path, help="TOML file of the board's pins, for --source pi")
    p.add_argument("--channels", default=",".join(f"E{k}" for k in range(1, 9)), help="names, in order")
    p.add_argument("--chip-channels", type=int, default=8, choices=(4, 6, 8), help="channels of each chip")
    p.add_argument("--rate", type=float, default=250.0, help="samples per second")
    p.add_argument("--gain", type=int, default=12)
    p.add_argument("--current-na", type=int, default=DEFAULT_NA)
    p.add_argument("--frequency", type=float, default=0.0, help="Hz, 0 for the part's usual one")
    return p


def measure(source: Source, wanted: Configure, command: ImpedanceStart) -> Impedance:
    """Run `source` until it has answered `command`.

    Raises ConfigError for a refusal or a source without electrodes, ChipError when it ends without a result,
    and whatever the source raises.
    """
    if not isinstance(source, LeadSource):
        raise ConfigError("this source has no electrodes to measure; use --source pi")
    source.configure(wanted)
    stop = threading.Event()
    results: list[Impedance] = []
    refusals: list[str] = []

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, Impedance):
            results.append(item)
        elif isinstance(item, Reply) and item.refusal:
            refusals.append(item.refusal)
        elif isinstance(item, Fault):
            refusals.append(item.text)
        if results or refusals:
            stop.set()

    source.lead_command(command)
    source.run(put, stop)
    if refusals:
        raise ConfigError(refusals[0])
    if not results:
        raise ChipError("the samples ended before anything was measured; check data-ready and START")
    return results[0]


def seen_leads(
    result: Impedance, channels: Sequence[str], sizes: Sequence[int]
) -> tuple[list[Seen], list[str]]:
    """What was measured, by pin, and the names of leads without ohms. `sizes`: channels of each chip."""
    pins = {
        lead_name(name, side): pin
        for pin_channel, name in enumerate(channels)
        for side in SIDES
        for pin in [_pin(pin_channel, side, sizes)]
    }
    seen, left_out = [], []
    for lead, ohm, phase_deg, note in zip(
        result.leads, result.ohm, result.phase_deg, result.notes, strict=True
    ):
        if lead in pins and ohm == ohm:  # NaN: not measured
            excited = Excited(pins[lead], result.current_na, result.frequency_hz)
            seen.append(Seen(excited, ohm, phase_deg, PHASE_UNKNOWN in note))
        else:
            left_out.append(lead)
    return seen, left_out


def _pin(channel: int, side: Side, sizes: Sequence[int]) -> Pin:
    chip = 0
    while channel >= sizes[min(chip, len(sizes) - 1)]:
        channel -= sizes[min(chip, len(sizes) - 1)]
        chip += 1
    return Pin(chip + 1, channel + 1, side)


def _calibrate(args: argparse.Namespace) -> str:
    names = tuple(filter(None, args.channels.split(",")))
    before = read_calibration(args.out) if args.out.exists() else UNCALIBRATED
    source = build(EdgeOptions(args.source, None if args.source == "simulated" else 1.0, wiring=args.wiring))
    wanted = Configure(args.rate, args.gain, names, (), ("",) * len(names), "", float("nan"), ())
    command = ImpedanceStart(COMMAND, args.current_na, args.frequency, 0, phantom=1)
    result = measure(source, wanted, command)
    seen, left_out = seen_leads(result, names, (args.chip_channels,))
    if not seen:
        raise ChipError(f"nothing to calibrate: {result.leads[0]} {result.notes[0]}")
    # What the edge itself knew of the board is in the reading; a file is completed lead by lead from nominal.
    nominal = Calibration(before.board, before.series_ohm)
    fresh = calibrated(nominal, args.board, seen, args.ohm)
    both = Calibration(args.board, before.series_ohm, {**before.currents_a, **fresh.currents_a})
    try:
        args.out.write_text(calibration_text(both), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{args.out}: {error.strerror}; choose another --out") from None
    lines = [
        f"chip {e.pin.chip} channel {e.pin.channel} {e.pin.side}: {abs(current_a) * 1e9:.3f} nA"
        for e, current_a in fresh.currents_a.items()
    ]
    return "\n".join([*lines, *(f"not calibrated: {lead}" for lead in left_out), f"written: {args.out}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate; the exit code."""
    try:
        said = _calibrate(parser().parse_args(argv))
    except EdgeError as error:
        sys.stderr.write(f"evokd calibrate: {error}\n")
        return error.exit_code
    sys.stdout.write(said + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
