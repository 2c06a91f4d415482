"""An interpreter is taken only when it is whole, the one that was meant, new enough and for the chip."""

import contextlib
import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import ConfigError
from firmware.flash import interpreter, uf2
from firmware.flash.places import Drive

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
BANNER = b"MicroPython v1.22.1 on 2024-01-05"


def made(family: int = RP2040, banner: bytes = BANNER, n: int = 6, absolute: bool = False) -> bytes:
    """A UF2 whose banner lies across two blocks."""
    image = b"\0" * 250 + banner + b"\0" * (256 * n - 250 - len(banner))
    blocks = [block(family, 0x10000000 + 256 * k, k, n, image[256 * k : 256 * k + 256]) for k in range(n)]
    if absolute:
        blocks.insert(0, block(0xE48BFF57, 0x10FFFF00, 0, 2, b"\xef" * 256))
    return b"".join(blocks)


def block(family: int, address: int, number: int, count: int, payload: bytes, flags: int = 0x2000) -> bytes:
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, len(payload), number, count, family)
    return (head + payload).ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30)


def test_what_a_whole_file_is_for_is_read() -> None:
    assert uf2.read(made(), "x") == uf2.Uf2("RP2040", (1, 22, 1), 6)
    assert uf2.read(made(RP2350, b"MicroPython v1.26-preview"), "x") == uf2.Uf2("RP2350", (1, 26, 0), 6)
    assert uf2.read(made(RP2350, absolute=True), "x").blocks == 6, "picotool's block for RP2350-E10"


WHOLE = made()
BAD = {
    "empty": (b"", "is not a UF2 file"),
    "text": (b"<html>" * 200, "is not a UF2 file"),
    "cut inside a block": (WHOLE[:-100], "damaged: it ends inside block 5"),
    "cut after a block": (WHOLE[:-512], "damaged: it has 5 of 6 blocks"),
    "a block twice": (WHOLE[:512] + WHOLE[:-512], "damaged: it has 5 of 6 blocks"),
    "a block of another address": (
        WHOLE[:-512] + block(RP2040, 0x10000000, 5, 6, b"\0" * 256),
        "damaged: it has 6 of 6 blocks",
    ),
    "no end": (WHOLE[:-4] + b"abcd", "block 5 lacks its magic words"),
    "no start": (WHOLE[:512] + b"abcd" + WHOLE[516:], "block 1 lacks its magic words"),
    "another count": (WHOLE + block(RP2040, 0x10000600, 6, 7, b"\0" * 256), "says 6 of 7, the first said 6"),
    "a number too high": (WHOLE + block(RP2040, 0x10000600, 6, 6, b"\0" * 256), "says 6 of 6"),
    "no family": (block(RP2040, 0, 0, 1, b"", 0), "names no family"),
    "too long a payload": (WHOLE[:16] + b"\xdd\x01" + WHOLE[18:], "holds 477 bytes"),
    "RISC-V": (made(0xE48BFF5A), "is for RP2350 RISC-V; take the one for RP2040 or RP2350"),
    "another maker's": (made(0xC47E5767), "is for 0xc47e5767"),
    "absolute only": (block(0xE48BFF57, 0, 0, 1, b"\xef" * 256), "is for 0xe48bff57"),
    "two chips": (WHOLE[:-512] + block(RP2350, 0x10000500, 5, 6, b"\0" * 256), "is for RP2040, RP2350"),
    "CircuitPython": (made(banner=b"Adafruit CircuitPython 9.0.0 on 2024-03-19"), "is no MicroPython"),
}


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD.keys())
def test_a_file_that_will_not_do_is_told_in_one_line(content: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=f"^pico.uf2 {why}" if why.startswith("is") else why) as told:
        uf2.read(content, "pico.uf2")
    assert "\n" not in str(told.value) and "; " in str(told.value)


@given(at=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_no_bit_that_changes_makes_anything_but_a_file_or_one_line(at: int, bit: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] ^= 1 << bit
    with contextlib.suppress(ConfigError):
        assert uf2.read(bytes(changed), "x").blocks == 6


def saved(folder: Path, content: bytes = WHOLE, beside: str | None = None) -> Path:
    path = folder / "pico.uf2"
    path.write_bytes(content)
    if beside is not None:
        path.with_name("pico.uf2.sha256").write_text(beside)
    return path


def test_the_hash_comes_from_the_command_or_from_beside_the_file(tmp_path: Path) -> None:
    right = hashlib.sha256(WHOLE).hexdigest()
    path = saved(tmp_path)
    assert interpreter.load(path, right.upper()).content == WHOLE
    with pytest.raises(ConfigError, match=r"nobody says what SHA-256 .*pico.uf2 must have; give --sha256"):
        interpreter.load(path, None)
    assert interpreter.load(saved(tmp_path, beside=f"{right}  pico.uf2\n"), None).made.chip == "RP2040"
    with pytest.raises(ConfigError, match=f"has SHA-256 {right}, not {'0' * 64}; download it again"):
        interpreter.load(path, "0" * 64)
    with pytest.raises(ConfigError, match="--sha256 'abc' is no SHA-256"):
        interpreter.load(path, "abc")
    with pytest.raises(ConfigError, match=r"pico.uf2.sha256 'see' is no SHA-256"):
        interpreter.load(saved(tmp_path, beside="see the page"), None)


def test_a_file_that_is_not_there_or_too_old_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--interpreter .*none.uf2: No such file"):
        interpreter.load(tmp_path / "none.uf2", "0" * 64)
    old = made(banner=b"MicroPython v1.21.0 on 2023-10-06")
    with pytest.raises(ConfigError, match=r"is MicroPython 1.21.0; take 1.22.0 or newer"):
        interpreter.load(saved(tmp_path, old), hashlib.sha256(old).hexdigest())


def loaded(folder: Path) -> interpreter.Interpreter:
    return interpreter.load(saved(folder), hashlib.sha256(WHOLE).hexdigest())


def test_an_interpreter_goes_whole_to_the_drive_and_no_other_chips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    interpreter.put(loaded(tmp_path), Drive(tmp_path, "RP2040"), lambda *done: seen.append(done))
    assert (tmp_path / "evokd.uf2").read_bytes() == WHOLE and seen[-1] == (len(WHOLE), len(WHOLE))
    with pytest.raises(ConfigError, match=r"is for the RP2040, the board at .* is an RP2350; take the one"):
        interpreter.put(loaded(tmp_path), Drive(tmp_path, "RP2350"), lambda *done: None)


def test_a_copy_that_ends_half_way_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "evokd.uf2").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device after 0 of 3072 bytes; plug the"):
        interpreter.put(loaded(tmp_path), Drive(tmp_path, "RP2040"), lambda *done: None)


@pytest.mark.parametrize("gone", (True, False))
def test_a_drive_that_goes_with_the_last_block_is_no_fault(
    tmp_path: Path, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_file: int) -> None:
        raise OSError(5 if gone else 30, "failed")

    monkeypatch.setattr("os.fsync", failing)
    if gone:
        interpreter.put(loaded(tmp_path), Drive(tmp_path, "RP2040"), lambda *done: None)
    else:
        with pytest.raises(OSError, match="failed after 3072 of 3072 bytes"):
            interpreter.put(loaded(tmp_path), Drive(tmp_path, "RP2040"), lambda *done: None)
