"""How a register of named fields becomes a byte and back. Owns the mechanics; knows no chip.

A register is a frozen dataclass whose fields are annotated with the bits that they occupy.
"""

from dataclasses import dataclass
from functools import cache
from typing import Self, get_type_hints


@dataclass(frozen=True, slots=True)
class Bits:
    """The bits `mask` of the byte. `in_place` keeps the field's value unshifted (reserved bits)."""

    mask: int
    in_place: bool = False

    @property
    def shift(self) -> int:
        """Distance from the byte's bit 0 to the field's."""
        return 0 if self.in_place else (self.mask & -self.mask).bit_length() - 1


@cache
def _read_layout(register: type) -> tuple[tuple[str, Bits, type[int]], ...]:
    """(field, its bits, its Python type) for every field of `register`."""
    hints = get_type_hints(register, include_extras=True)
    return tuple(
        (name, hint.__metadata__[0], hint.__origin__)
        for name, hint in hints.items()
        if hasattr(hint, "__metadata__")
    )


def _layout(register: type) -> tuple[tuple[str, Bits, type[int]], ...]:
    """The cached layout; mypy takes a class's instance `__hash__` for the class's own."""
    return _read_layout(register)


class Register:
    """A register's content. `encode` and `decode` are inverse over all 256 values."""

    __slots__ = ()

    def encode(self) -> int:
        """The byte; ValueError names the field that does not fit in its bits."""
        byte = 0
        for name, bits, _ in _layout(type(self)):
            value = int(getattr(self, name))
            if (value << bits.shift) & ~bits.mask:
                raise ValueError(
                    f"{type(self).__name__}.{name}: {value} does not fit in bits {bits.mask:#04x}"
                )
            byte |= value << bits.shift
        return byte

    @classmethod
    def decode(cls, byte: int) -> Self:
        """The register whose byte is `byte`; ValueError outside 0 to 255."""
        if not 0 <= byte <= 0xFF:
            raise ValueError(f"{cls.__name__}: {byte} is not a byte: registers hold 0 to 255")
        fields = {name: kind((byte & bits.mask) >> bits.shift) for name, bits, kind in _layout(cls)}
        return cls(**fields)
