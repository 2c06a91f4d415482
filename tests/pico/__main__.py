"""`python -m tests.pico [SAMPLES]`: the coprocessor's campaign; exit 1 when a sample is unaccounted for."""

import sys
import tempfile
from pathlib import Path

from tests.pico.campaign import Plan, run


def main() -> int:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        account = run(Plan(samples), Path(folder))
    lost = ", ".join(f"{n:,} {reason}" for reason, n in sorted(account.lost.items())) or "none"
    print(
        f"{account.samples:,} samples of {account.end:,}, lost with a name: {lost}; "
        f"{account.flips} flips, {account.drops} drops, {account.unplugged} times unplugged, "
        f"{account.started - 1} without power; uncounted {account.uncounted}, "
        f"at a wrong index {account.wrong}, holes {account.holes} {account.failure}"
    )
    return 0 if account.right else 1


if __name__ == "__main__":
    sys.exit(main())
