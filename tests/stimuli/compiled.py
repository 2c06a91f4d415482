"""How the harness is compiled: once for the types that its annotations say, and kept on disk.

Without signatures numba would compile every function anew for each number that it is called with.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
from numba import boolean, config, float64, int64, njit, void
from numpy.typing import NDArray

from firmware.loop.state import LOOP_STATE, LoopState

_jit: Any = njit
Row = NDArray[np.int64]
Table = Annotated[NDArray[np.int64], 2]
Cube = Annotated[NDArray[np.int64], 3]
TYPES: dict[Any, Any] = {
    None: void,
    bool: boolean,
    int: int64,
    float: float64,
    Row: int64[::1],
    Table: int64[:, ::1],
    Cube: int64[:, :, ::1],
    LoopState: LOOP_STATE,
}


@contextmanager
def plainly() -> Iterator[None]:
    """LLVM takes less trouble: the harness runs as fast and is there in 22 s instead of 35. The steps that it
    calls have been optimized as they ship."""
    usual = config.OPT
    config.OPT = type(usual)(1)
    try:
        yield
    finally:
        config.OPT = usual


def compiled(function: Callable[..., Any], **options: bool) -> Any:
    """`function` for the types of its annotations."""
    kinds = dict(function.__annotations__)
    result = TYPES[kinds.pop("return")]
    signature = result(*(TYPES[kind] for kind in kinds.values()))
    kept: Any = {"nogil": True, "cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    with plainly():
        return _jit(signature, **kept, **options)(function)


def inner(function: Callable[..., Any]) -> Any:
    """Only compiled code calls it."""
    return compiled(function, no_cpython_wrapper=True)


def outer(function: Callable[..., Any]) -> Any:
    """Python calls it."""
    return compiled(function)
