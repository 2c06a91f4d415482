"""The files of a recording that the edge plays: a case's directory is all its segments in order.

Owns finding and opening them. Refuses to read them: that is `hw.recording`'s.
"""

import contextlib
from pathlib import Path
from typing import BinaryIO

from hw.raw_bdf import RAW_NAME, segments_of


def open_recording(path: Path, stack: contextlib.ExitStack) -> tuple[BinaryIO, ...]:
    """The open files of `path`: a case's directory or its raw.bdf, all segments; any other file by itself.
    `stack` closes them. Raises OSError."""
    path = path / RAW_NAME if path.is_dir() else path
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    names = segments_of(path.name, (other.name for other in beside))
    return tuple(stack.enter_context(path.with_name(name).open("rb")) for name in names)
