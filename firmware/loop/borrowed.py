"""The same memory without its reference counts, for compiled code that runs for long and often.

Counting is an atomic instruction each time an array is looked up or handed on: two fifths of the sample
loop's time. Whoever borrows must not outlive the owner, and what is returned must be none of these arrays.
"""

from typing import Any

from numba import carray, intp, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _pointer(_: Any, address: Any) -> Any:
    """An address as a pointer."""

    def code(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(intp), code


@njit(cache=True, forceinline=True)
def borrowed(array: Any) -> Any:
    """`array` (C-contiguous, of any shape and of any type of number) again, its owner not told."""
    return carray(_pointer(array.ctypes.data), array.shape, array.dtype)  # type: ignore[call-arg]
