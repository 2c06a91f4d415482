"""Who answers at an edge's address without being one: told in one line, with the cure."""

import contextlib
import os
import random
import subprocess
import threading
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostd import edge_link, strangers
from hostd.edge_link import EdgeLink
from hostd.errors import LinkError
from hw.link import Heartbeat, Sender, hello
from tests.support.beside import beside
from tests.support.edge import WITHIN_S, wanted
from tests.support.links import other_version

FLASH = "evokd flash --port /dev/ttyX"
OTHER = "whole frames of a link came, as from an edge of another version"
NOISE = "bytes came at another baud rate, with noise, or from another kind"
FRAME = Sender().frame(Heartbeat(5))


@pytest.mark.parametrize(
    ("heard", "port", "says"),
    [
        (b"", "/dev/ttyX", f"It says nothing; a board without evokd: {FLASH}"),
        (b"", "", "free of another host? It says nothing"),
        (b"\r\n>>> ", "/dev/ttyX", f"the board runs MicroPython but not evokd: {FLASH}"),
        (b"x\0MPY: soft reboot\r\nTraceback", "/dev/ttyX", "the board runs MicroPython but not evokd: "),
        (b"junk\0" + 2 * FRAME, "/dev/ttyX", f"2 {OTHER}: {FLASH}"),
        (FRAME, "", f"1 {OTHER}: update the older end"),
        (b"AT\r\r\nERROR\r\n", "/dev/ttyX", "It says 'AT ERROR', as another kind of device does"),
        (b"220 mail.example.org ESMTP\r\n\0", "", "It says '220 mail.example.org ESMTP'"),
        (bytes(range(128, 256)), "/dev/ttyX", f"128 {NOISE}"),
        (b"\0\0\0", "/dev/ttyX", f"3 {NOISE}"),
        (bytes(range(128, 256)), "", "128 bytes came of another kind, and no whole frame"),
    ],
)  # fmt: skip
def test_what_it_is_is_told_from_what_it_says(heard: bytes, port: str, says: str) -> None:
    told = strangers.told(heard, port)
    assert says in told and "\n" not in told


def test_garbage_of_a_wrong_baud_rate_is_never_taken_for_frames_or_text() -> None:
    """What a port at half the speed makes of frames: each bit twice, sampled with errors at the edges."""
    rng = random.Random(1)
    for _ in range(50):
        garbled = bytes(rng.choice((0x00, 0x80, 0xE0, 0xF8, 0xFE, 0x66, 0x78, 0x9E)) for _ in range(400))
        assert strangers.whole_frames(garbled) == 0
        assert "baud rate" in strangers.told(garbled, "/dev/ttyX")


def test_a_frame_with_a_flipped_bit_is_none() -> None:
    assert strangers.whole_frames(FRAME) == 1
    for bit in range(8 * (len(FRAME) - 1)):
        flipped = bytearray(FRAME)
        flipped[bit // 8] ^= 1 << bit % 8
        assert strangers.whole_frames(bytes(flipped)) == 0


@contextlib.contextmanager
def terminal(answer: bytes = b"", echoes: bool = False, at_first: bytes = b"") -> Iterator[str]:
    """A serial device that says `at_first`, and answers each piece that it gets."""
    master, slave = os.openpty()
    for end in (master, slave):
        tty.setraw(end)
    told, end = os.pipe()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(master, 4096):
                os.write(master, at_first + (data if echoes else b"") + answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(slave)  # with nobody left at the other end, the read fails
        thread.join(WITHIN_S)
        assert not thread.is_alive()
        for descriptor in (master, told, end):
            os.close(descriptor)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_link, "ANSWER_S", 0.08)
    monkeypatch.setattr(edge_link, "PROMPT_NS", 0)


def refused(path: str) -> str:
    """What opening a link there says."""
    link = EdgeLink(f"serial:{path}")
    try:
        with pytest.raises(LinkError) as caught:
            link.open(wanted())
    finally:
        link.close()
    assert str(caught.value).startswith(f"serial:{path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_device_that_says_nothing_is_one_line() -> None:
    with terminal() as path:
        assert refused(path).endswith(f"It says nothing; a board without evokd: evokd flash --port {path}")


def test_a_modem_is_one_line() -> None:
    with terminal(answer=b"\r\nERROR\r\n") as path:
        assert "It says 'ERROR" in refused(path)


def test_a_device_that_echoes_is_no_edge_although_its_frames_are_whole() -> None:
    with terminal(echoes=True) as path:
        assert "It says what it is told" in refused(path)


def test_a_board_of_another_table_or_version_is_told_apart_from_noise_and_is_to_be_flashed() -> None:
    foreign = Sender().frame(replace(hello("edge", 1), table=7))
    with terminal(answer=foreign, at_first=b"\x81noise\0") as path:
        said = refused(path)
    assert "edge has message table 00000007" in said and said.endswith(f"evokd flash --port {path}")
    with terminal(answer=other_version()) as path:
        said = refused(path)
    assert "peer speaks link version 4" in said and said.endswith(f": evokd flash --port {path}")


def test_micropythons_own_prompt_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real interpreter on a terminal, long at its prompt, as a board without our program answers."""
    interpreter = beside("micropython")
    if interpreter is None:
        pytest.skip("no micropython here (make setup brings it)")
    monkeypatch.setattr(edge_link, "ANSWER_S", WITHIN_S)
    master, slave = os.openpty()
    back, device = os.openpty()
    for end in (master, back, device):
        tty.setraw(end)
    process = subprocess.Popen([interpreter], stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path)
    banner = b""
    while not banner.endswith(b">>> "):
        banner += os.read(master, 4096)

    def carry(source: int, sink: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(source, 4096):
                os.write(sink, data)

    threads = [
        threading.Thread(target=carry, args=ends, daemon=True) for ends in ((master, back), (back, master))
    ]
    for thread in threads:
        thread.start()
    path = os.ttyname(device)
    try:
        said = refused(path)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(device)
        for thread in threads:
            thread.join(WITHIN_S)
        os.close(master)
        os.close(back)
    assert said == f"serial:{path}: the board runs MicroPython but not evokd: evokd flash --port {path}"
