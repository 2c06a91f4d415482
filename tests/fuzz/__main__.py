"""`make fuzz`: a million control messages, a hundred thousand link frames each way; exit 1 if it broke."""

import argparse
import sys
import time

from tests.fuzz import control, link

A_BLOCK = 100


def main() -> int:
    """One line for each campaign, then what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=int, default=1_000_000, metavar="N", help="control messages")
    parser.add_argument("--link", type=int, default=100_000, metavar="N", help="link frames, each way")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
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
    for text in wrong:
        print(f"WRONG: {text}")
    print(
        "fuzz: " + ("broken" if wrong else "no crash, no stimulus unasked for, no sample lost, all answered")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
