"""`make update-cuts`: power fails at 1,000 points of an update, and bits flip; exit 1 if a box did not
work."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.update.bit_flips import wrong_of
from tests.update.power_cuts import STARTS, cuts, start, wrong_after


def main() -> int:
    p = argparse.ArgumentParser(prog="python -m tests.update")
    p.add_argument("--n", type=int, default=1000, help="cut points of all boxes together")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    wrong = tried = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for box in STARTS:
            at = start(box, folder)
            began = time.monotonic()
            n = args.n // len(STARTS)
            for cut, seed in cuts(at, n, args.seed):
                tried += 1
                if why := wrong_after(at, cut, seed, folder):
                    wrong += 1
                    print(why)
            print(f"{box}: {n} cuts in {at.steps} bytes and operations, {time.monotonic() - began:.1f} s")
        flipped = wrong_of(args.n, args.seed, folder)
    print(*flipped, sep="\n", end="\n" * bool(flipped))
    print(f"{2 * args.n} bits flipped in bundles, slots and records, {len(flipped)} wrong")
    print(f"{tried} cut points, {tried - wrong} working boxes")
    return int(wrong + len(flipped) > 0)


if __name__ == "__main__":
    sys.exit(main())
