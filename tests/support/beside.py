"""Programs that are installed beside the interpreter, whether its folder is on the PATH or not."""

import sys
from pathlib import Path


def beside(name: str) -> str | None:
    """Where it is, None when it is not there."""
    program = Path(sys.executable).parent / name
    return str(program) if program.exists() else None
