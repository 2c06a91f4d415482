"""`python -m firmware.rig [options] -- PROGRAM`: exits as PROGRAM does, 1 no rig possible, 2 bad options."""

import sys
from collections.abc import Sequence

from firmware.errors import EdgeError
from firmware.rig import options
from firmware.rig.supervisor import Rig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    try:
        args, command = options.parse(argv)
        rig = Rig(options.board(args), options.rig_options(args), options.faults(args))
        code = rig.run(command)
    except EdgeError as error:
        sys.stderr.write(f"evokd rig: {error}\n")
        return error.exit_code
    if args.stats:
        figures = " ".join(f"{name}={value}" for name, value in rig.counters().items())
        sys.stderr.write(f"evokd rig: {figures}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
