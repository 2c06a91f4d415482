"""What the kernel grants is asked for in a thread of its own and said in one line."""

import os
import threading
from pathlib import Path

import pytest

from firmware import realtime
from firmware.realtime import Granted


def in_thread(work):
    """The result of `work` in a thread whose scheduling nobody else shares."""
    results: list = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_what_was_granted_is_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.ctypes, "CDLL", _Locks(0))
    cpu = min(os.sched_getaffinity(0))

    def claim() -> tuple[Granted, int, set[int]]:
        granted = realtime.claim(10, cpu)
        return granted, os.sched_getscheduler(0), os.sched_getaffinity(0)

    granted, policy, cpus = in_thread(claim)
    assert cpus == {cpu} and granted.cpu == cpu
    assert (policy == os.SCHED_FIFO) == (granted.fifo == 10)
    assert granted.locked


class _Locks:
    """A C library whose mlockall answers `code`."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __call__(self, name: None, use_errno: bool) -> "_Locks":
        return self

    def mlockall(self, flags: int) -> int:
        return self.code


def test_every_refusal_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(realtime.ctypes, "CDLL", _Locks(-1))
    granted = in_thread(lambda: realtime.claim(50, 7))
    assert (granted.fifo, granted.locked, granted.cpu) == (0, False, None)
    assert "no SCHED_FIFO, memory not locked, any CPU (" in granted.text()
    assert "allow rtprio 50" in granted.text()
    assert "raise the memlock limit" in granted.text()
    assert "CPU 7" in granted.text()


@pytest.mark.parametrize(("text", "cpu"), [("3\n", 3), ("2-3\n", 2), ("\n", None), ("1,3\n", 1)])
def test_an_isolated_cpu_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cpu: int | None
) -> None:
    (tmp_path / "isolated").write_text(text)
    monkeypatch.setattr(realtime, "ISOLATED", tmp_path / "isolated")
    assert realtime.isolated_cpu() == cpu


def test_a_kernel_that_says_nothing_of_isolation_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "ISOLATED", tmp_path / "nothing")
    assert realtime.isolated_cpu() is None
