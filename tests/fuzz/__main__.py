"""`make fuzz`: a million control messages, a hundred thousand link frames each way, files of every kind by
the thousand through every command that reads them; exit 1 if it broke.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import control, files, link
from tests.fuzz.good import Good

A_BLOCK = 100


def main() -> int:
    """One line for each campaign, then what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=int, default=1_000_000, metavar="N", help="control messages")
    parser.add_argument("--link", type=int, default=100_000, metavar="N", help="link frames, each way")
    parser.add_argument("--files", type=int, default=1000, metavar="N", help="files, through each command")
    parser.add_argument("--only", action="append", metavar="TARGET", help="these commands' files alone")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put what was wrong there")
    parser.add_argument("--grow", action="store_true", help="put texts with a new outcome into the corpus")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    wrong = _files(args)
    if not args.only:
        wrong += _messages(args)
    for text in wrong:
        print(f"WRONG: {text}")
    print(
        "fuzz: "
        + ("broken" if wrong else "no crash, no stimulus unasked for, no sample lost, all told in a line")
    )
    return 1 if wrong else 0


def _files(args: argparse.Namespace) -> list[str]:
    """A line for each command and file that it reads; what was wrong."""
    wrong: list[str] = []
    good = Good()
    fuzz = files.Fuzz(good, args.seed)
    print(f"{'file through':<22}{'inputs':>8}{'outcomes':>10}{'wrong':>7}{'ms each':>9}")
    for title, target in fuzz.targets.items():
        if args.only and title not in args.only:
            continue
        began = time.monotonic()
        found = fuzz.run(title, args.files)
        each_ms = (time.monotonic() - began) / found.inputs * 1e3
        row = f"{title:<22}{found.inputs:>8,}{len(found.outcomes):>10,}{len(found.wrong):>7}{each_ms:>9.1f}"
        print(row, flush=True)
        for what, data in found.wrong.items():
            wrong.append(f"{title}: {what}")
            if args.keep is not None:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"{title}-{len(wrong)}").write_bytes(data)
        if args.grow:
            fuzz.grow(target, found)
    fuzz.close()
    good.close()
    return wrong


def _messages(args: argparse.Namespace) -> list[str]:
    """A line for each campaign of messages; what was wrong."""
    wrong: list[str] = []
    began = time.process_time()
    asked = control.run(args.control, A_BLOCK, args.seed)
    wrong += asked.wrong
    print(
        f"control: {asked.messages:,} messages, answers {dict(asked.codes.most_common())}, orders "
        f"{dict(asked.orders)}, {asked.pulses} pulses, {asked.samples:,} samples, {asked.lost} lost; "
        f"{len(asked.wrong)} wrong; {time.process_time() - began:.0f} s of CPU",
        flush=True,
    )
    for name, campaign in (
        ("host's end", lambda: link.host(args.link, args.seed)),
        ("edge's server", lambda: link.edge(args.link, args.seed)),
        ("edge's server, talks begun anew", lambda: link.edge(args.link // 4, args.seed + 1, openings=True)),
    ):
        began = time.process_time()
        found = campaign()
        wrong += found.wrong
        answers = f", {found.answered:,} of {found.commands:,} commands answered" if found.commands else ""
        print(
            f"link, {name}: {found.frames:,} frames, {found.taken:,} taken, {found.bad:,} bad{answers}, "
            f"{found.blocks:,} blocks between them; {len(found.wrong)} wrong; "
            f"{time.process_time() - began:.0f} s of CPU",
            flush=True,
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
