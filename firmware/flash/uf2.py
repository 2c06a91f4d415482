"""What a UF2 file is for, checked before a board sees a byte of it. Values only.

Layout: github.com/microsoft/uf2. Families: RP2350 datasheet, section 5.5.3. A first block of the family
"absolute" is how picotool works around erratum RP2350-E10; it stands outside of the count.
"""

import re
import struct
from dataclasses import dataclass

from firmware.errors import ConfigError

BLOCK = 512
_HEAD = struct.Struct("<8I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = struct.pack("<I", 0x0AB16F30)
_FAMILY_PRESENT = 0x2000
_MOST_PAYLOAD = 476
ABSOLUTE = 0xE48BFF57
CHIPS = {0xE48BFF56: "RP2040", 0xE48BFF59: "RP2350"}
OTHERS = {0xE48BFF58: "data", 0xE48BFF5A: "RP2350 RISC-V", 0xE48BFF5B: "RP2350 non-secure"}
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Uf2:
    """A whole interpreter for `chip`, MicroPython `version`."""

    chip: str
    version: tuple[int, int, int]
    blocks: int


def read(content: bytes, name: str) -> Uf2:
    """What `content` is. Raises ConfigError: not a UF2, cut short, for no chip of ours, or no MicroPython."""
    if len(content) < BLOCK or _HEAD.unpack_from(content)[:2] != _MAGIC:
        raise ConfigError(f"{name} is not a UF2 file; download the interpreter's .uf2 for this board")
    if len(content) % BLOCK:
        raise _broken(name, f"it ends inside block {len(content) // BLOCK}")
    payloads: dict[int, bytes] = {}
    families: set[int] = set()
    numbers: set[int] = set()
    count = 0
    for at in range(0, len(content), BLOCK):
        one, two, flags, address, size, number, count_here, family = _HEAD.unpack_from(content, at)
        if (one, two) != _MAGIC or content[at + BLOCK - 4 : at + BLOCK] != _MAGIC_END:
            raise _broken(name, f"block {at // BLOCK} lacks its magic words")
        if not flags & _FAMILY_PRESENT or size > _MOST_PAYLOAD:
            raise _broken(name, f"block {at // BLOCK} names no family or holds {size} bytes")
        if at == 0 and family == ABSOLUTE and len(content) > BLOCK:
            continue
        families.add(family)
        numbers.add(number)
        count = count or count_here
        if count_here != count or number >= count:
            raise _broken(name, f"block {at // BLOCK} says {number} of {count_here}, the first said {count}")
        payloads[address] = content[at + _HEAD.size : at + _HEAD.size + size]
    if len(numbers) != count or len(payloads) != count:
        raise _broken(name, f"it has {len(numbers)} of {count} blocks")
    image = b"".join(payloads[address] for address in sorted(payloads))
    return Uf2(_chip(families, name), _version(image, name), count)


def _broken(name: str, why: str) -> ConfigError:
    return ConfigError(f"{name} is damaged: {why}; download it again")


def _chip(families: set[int], name: str) -> str:
    chips = [CHIPS.get(family, "") for family in families]
    if len(chips) != 1 or not chips[0]:
        found = ", ".join(sorted(OTHERS.get(f, CHIPS.get(f, f"{f:#010x}")) for f in families))
        raise ConfigError(f"{name} is for {found}; take the one for {' or '.join(CHIPS.values())} (Arm)")
    return chips[0]


def _version(image: bytes, name: str) -> tuple[int, int, int]:
    match = _BANNER.search(image)
    if match is None:
        raise ConfigError(f"{name} is no MicroPython; take it from micropython.org/download")
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major, minor, patch
