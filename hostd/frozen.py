"""What a pipeline knows as bytes, and back: a pickle, and behind it large arrays as they are in memory.

Owns the form. What is read makes our own records and arrays and nothing else, so that a file that somebody
else wrote runs nothing; the file belongs to the program that wrote it, and any other refuses it.
"""

import functools
import hashlib
import importlib
import io
import pickle
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).parents[1]
OURS: Final = ("dsp", "hostd", "hw")
ALIGNED: Final = 64
"""Bytes: arrays begin at multiples, as vector code likes them."""
LARGE: Final = 4096
MAGIC: Final = b"evokd checkpoint 1\n"
_HEAD: Final = len(MAGIC) + 8
_PLAIN: Final[dict[tuple[str, str], Any]] = {
    ("builtins", "complex"): complex,
    ("builtins", "slice"): slice,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "range"): range,
    ("collections", "Counter"): Counter,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "deque"): deque,
    ("functools", "partial"): functools.partial,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
}
_NUMPY: Final = (
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
)
_FUNCTIONS: Final = (("hostd.hearing", "_silently"), ("hostd.frozen", "_view"))


class FrozenError(ValueError):
    """Bytes that are no state of this program."""


def freeze(state: Any) -> list[bytes | memoryview]:
    """`state` as pieces of one file, in order. The arrays are not copied: whoever changes them waits until
    the pieces are written."""
    large: list[memoryview] = []

    def beside(buffer: pickle.PickleBuffer) -> bool:
        raw: memoryview = buffer.raw()
        if raw.nbytes < LARGE:
            return True
        large.append(raw)
        return False

    out = io.BytesIO()
    _Writer(out, 5, buffer_callback=beside).dump(state)
    pickled = out.getvalue()
    sizes = np.array([len(pickled), *(b.nbytes for b in large)], "<u8").tobytes()
    head = MAGIC + program().encode() + len(sizes).to_bytes(8, "little") + sizes
    pieces: list[bytes | memoryview] = [head + bytes(-len(head) % ALIGNED)]
    parts: list[bytes | memoryview] = [pickled, *large]
    for part in parts:
        pieces += [part, bytes(-size_of(part) % ALIGNED)]
    return [piece for piece in pieces if size_of(piece)]


def thaw(data: bytearray) -> Any:
    """The state in `data`, which its arrays go on using. Raises FrozenError, one line, for anything else."""
    try:
        return _thaw(memoryview(data))
    except FrozenError as error:
        raise FrozenError(_one_line(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a pickle of another make can raise
        raise FrozenError(_one_line(f"cannot be read: {type(error).__name__}: {error}")) from None


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _thaw(view: memoryview) -> Any:
    magic_end = len(MAGIC)
    if bytes(view[:magic_end]) != MAGIC:
        raise FrozenError("is no checkpoint of evokd")
    by = len(program())
    if bytes(view[magic_end : magic_end + by]) != program().encode():
        raise FrozenError("was written by another program")
    at = magic_end + by
    end = at + 8 + int.from_bytes(view[at : at + 8], "little")
    sizes = np.frombuffer(view[at + 8 : end], "<u8").tolist()
    pieces: list[memoryview] = []
    at = end + -end % ALIGNED
    for size in sizes:
        pieces.append(view[at : at + size])
        at += size + -size % ALIGNED
    if at != len(view):
        raise FrozenError(f"has {len(view)} bytes, {at} were written")
    return _Reader(io.BytesIO(pieces[0]), buffers=pieces[1:]).load()


class _Writer(pickle.Pickler):
    """Arrays that share memory go on sharing it: a view is written as a place in the array that owns it."""

    def reducer_override(self, written: Any) -> Any:
        if type(written) is not np.ndarray or not isinstance(written.base, np.ndarray):
            return NotImplemented
        owner = written
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if not (owner.flags.c_contiguous or owner.flags.f_contiguous):
            return NotImplemented
        at = written.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
        return _view, (owner, written.dtype, written.shape, at, written.strides)


def _view(
    owner: NDArray[Any], dtype: "np.dtype[Any]", shape: tuple[int, ...], at: int, strides: tuple[int, ...]
) -> NDArray[Any]:
    """What lies `at` so many bytes behind the first of `owner`."""
    buffer = owner if owner.flags.c_contiguous else owner.T
    return np.ndarray(shape, dtype, buffer, at, strides)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (known := _PLAIN.get((module, name))) is not None:
            return known
        if (module, name) == ("builtins", "getattr"):
            return _method
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if module.partition(".")[0] in OURS:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            if isinstance(found, type) or (module, name) in _FUNCTIONS:
                return found
        raise FrozenError(f"names {module}.{name}, which no state holds")


def _method(of: object, name: str) -> Callable[..., Any]:
    """A bound method of one of our own."""
    if type(of).__module__.partition(".")[0] not in OURS or name.startswith("__"):
        raise FrozenError(f"asks for {name} of a {type(of).__name__}")
    found: Callable[..., Any] = getattr(of, name)
    return found


@functools.cache
def program() -> str:
    """Names the program: 64 hexadecimal digits over all its sources. What a class holds is its own affair,
    and changes with it."""
    whole = hashlib.sha256(np.__version__.encode())
    for path in sorted(path for top in OURS for path in (ROOT / top).rglob("*.py")):
        whole.update(f"{path.relative_to(ROOT)}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def size_of(piece: bytes | memoryview) -> int:
    """Bytes of a piece."""
    return len(piece) if isinstance(piece, bytes) else piece.nbytes
