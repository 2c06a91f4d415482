"""Compiled code that is older than its sources is forgotten, before it can be loaded.

numba dates a cached function by the file that it stands in, not by the functions and constants that were
compiled into it from other files; after an update the loop would go on with yesterday's sequencer.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

STAMP = "sources.sha256"


def forget_stale(sources: Iterable[Path], folders: Sequence[Path]) -> bool:
    """Remove what numba keeps for the modules in `folders` unless it was made from `sources` as they are.

    True when it was removed. Where nothing can be written numba keeps nothing either, and nothing is done.
    """
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    now = digest.hexdigest()
    stamp = folders[0] / "__pycache__" / STAMP
    with contextlib.suppress(OSError):
        if stamp.read_text(encoding="ascii") == now:
            return False
    with contextlib.suppress(OSError):
        for folder in folders:
            for cached in (folder / "__pycache__").glob("*.nb[ic]"):
                cached.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now, encoding="ascii")
        return True
    return False
