"""`make flash-cuts`: updates and first flashes ended by force, as a table; exit 1 if anything was wrong."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from firmware.flash import board, course
from tests.flash.cuts import OLD, cuts, measured, wrong_after
from tests.support.pico_board import PicoBoard
from tests.support.pico_flash import flash


def main() -> int:
    p = argparse.ArgumentParser(prog="python -m tests.flash")
    p.add_argument("--n", type=int, default=120, help="cut points of each kind and start")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    board.PROMPT_S, board.BACK_S = 0.1, 1.0
    course.RESTART = "import machine\nmachine.reset()"
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        old = PicoBoard(root / "old")
        old.power_up()
        flash(old, OLD)
        old.power_down()
        for before, runs in ((None, "repl"), (old.flash.read_bytes(), "old")):
            start = measured(root / f"measured_{runs}", before, runs)
            exact = Counter(PicoBoard(root / f"measured_{runs}").after_cuts())
            print(f"from {runs}: {start.bytes} bytes, {start.writes} writes; every write cut: {dict(exact)}")
            allowed = {(a, b) for a in (runs, "new", "repl") for b in (runs, "new")}
            wrong += sum(n for outcome, n in exact.items() if outcome not in allowed)
            began = time.monotonic()
            for k, cut in enumerate(cuts(start, args.n, args.seed)):
                if why := wrong_after(root / f"{runs}_{k}", start, cut):
                    wrong += 1
                    print(why)
            print(f"  {2 * args.n} attempts ended by force and repeated in {time.monotonic() - began:.0f} s")
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
