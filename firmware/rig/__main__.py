"""`python -m firmware.rig [options] -- PROGRAM`: exits as PROGRAM does, 1 no rig possible, 2 bad options."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from firmware.errors import EdgeError
from firmware.rig import options

if TYPE_CHECKING:
    from firmware.rig.nodes.supervisor import KernelRig
    from firmware.rig.supervisor import Rig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    try:
        args, command = options.parse(argv)
        rig = _kind(args.kernel)(options.board(args), options.rig_options(args), options.faults(args))
        code = rig.run(command)
    except EdgeError as error:
        sys.stderr.write(f"evokd rig: {error}\n")
        return error.exit_code
    if args.stats:
        figures = " ".join(f"{name}={value}" for name, value in rig.counters().items())
        sys.stderr.write(f"evokd rig: {figures}\n")
    return code


def _kind(kernel: bool) -> "type[Rig | KernelRig]":
    """Loaded when needed: the compiler behind the hot path is 0.5 s of start-up."""
    if kernel:
        from firmware.rig.nodes.supervisor import KernelRig

        return KernelRig
    from firmware.rig.supervisor import Rig

    return Rig


if __name__ == "__main__":
    sys.exit(main())
