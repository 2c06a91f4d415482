"""Faults of real processes: killed, stopped, crowded and lied to, in real time (`box.py`)."""

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import zmq

from hostd import casefile
from hostd.arrangement import arrange
from hostd.client import request
from tests.faults.box import Box, Record, box, memory_mb
from tests.faults.measured import Measured
from tests.support.session import ROOT, until

ON_RECORD_S = 1.0
"""A case that was just begun is not committed yet: nobody can take it up."""
TESTS = ("left_median", "right_median")
RATE_HZ = 4000
MOST_LAG = 3
BEFORE_NEXT_S = 0.3
"""What rises later may have been ordered by the next host."""
GROWS_MB = 50.0

Injure = Callable[[Box, random.Random, Measured], None]


def run(seed: int, injure: Injure, n: int, web: bool = False) -> Measured:
    """One box, `n` injuries of one kind at random moments, and the judgement of its files."""
    chance, measured = random.Random(seed), Measured()
    with box(seed % 1000, web) as one:
        for _ in range(n):
            _pass(chance.uniform(0.0, 0.6))
            injure(one, chance, measured)
            measured.injected += 1
        one.end()
        judge(one, measured)
    return measured


def _pass(seconds: float) -> None:
    end_ns = time.monotonic_ns() + round(seconds * 1e9)
    until(lambda: time.monotonic_ns() >= end_ns, "time to pass")


def judge(one: Box, measured: Measured) -> None:
    """Every recording opens, nothing is missing unnamed, every pulse lies where it was ordered."""
    plans = arrange(casefile.procedure("median_ssep"), float(RATE_HZ))
    grid = {p.line: (p.period, p.phase) for p in plans.values()}
    for folder in sorted(path for path in one.data.iterdir() if (path / "raw.bdf").exists()):
        record = Record(folder)
        measured.unopened += sum("open" in text for text in record.wrong)
        measured.uncounted += sum("fill" in text for text in record.wrong)
        measured.samples += record.samples
        measured.pulses += len(record.rises)
        for line, seen in record.unordered():
            period, phase = grid[line]
            if not any((seen - lag - phase) % period == 0 for lag in range(1, MOST_LAG + 1)):
                measured.uncommanded += 1
                record.wrong.append(f"line {line} rose at {seen}, off every plan's grid")
        measured.wrong += [f"{folder.name}: {text}" for text in record.wrong]


def host_killed(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGKILL of the host that serves; its keeper starts the next one."""
    killed(one, one.kill_serving, chance, measured)


def keeper_killed(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGKILL of the keeper, and with it of its host; both are started anew, Python and all."""
    killed(one, lambda: one.kill("host"), chance, measured)


def killed(one: Box, kill: Callable[[], int], chance: random.Random, measured: Measured) -> None:
    """The next host serves, records, goes on with the case, and has the pulses since in its samples."""
    before = one.beating("a beat")
    at_least = before["index"] + round(ON_RECORD_S * RATE_HZ)
    before = one.beating("a case that is on record", lambda h: h["index"] > at_least)
    for test in TESTS:  # who takes up a case stimulates nothing by itself
        request(one.bus, "test.start", {"test": test})
    began = before["index"] + RATE_HZ
    before = one.beating("pulses", lambda h: h["index"] > began + chance.randrange(RATE_HZ // 2))
    killed_ns = kill()
    after = one.beating("the next host", lambda h: h["boot"] != before["boot"])
    measured.recovery_s.append((time.monotonic_ns() - killed_ns) / 1e9)
    if after["case"] != before["case"]:
        measured.wrong.append(f"case {before['case']} was left for {after['case']}")
    at = before["index"] + round((killed_ns - before["t_ns"]) * RATE_HZ / 1e9)
    reached = at + round(BEFORE_NEXT_S * RATE_HZ)
    one.beating("what the edge had held", lambda h: h["index"] > reached + RATE_HZ // 2)
    record = so_far(one)
    late = [seen - at for _, seen in record.rises if at < seen < reached]
    measured.stops_ms.append(max(late, default=0) * 1e3 / RATE_HZ)
    measured.lost_s = max(measured.lost_s, sum(g.length for g in record.gaps) / RATE_HZ)


def so_far(one: Box) -> Record:
    """The recording that goes on, from a copy of its files as they are on disk now."""
    folder = one.recording()
    copy = one.data.parent / "copy" / folder.name
    copy.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("raw*"):
        (copy / path.name).write_bytes(path.read_bytes())
    return Record(copy)


def edge_killed(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGKILL of the edge: the case goes on with the next one, behind a gap."""
    before = one.status("a status", lambda h: True)
    one.kill("edge")
    after = one.status("samples of the next edge", lambda h: h["gaps"] > before["gaps"])
    lost_s = (after["lost_samples"] - before["lost_samples"]) / RATE_HZ
    measured.lost_s = max(measured.lost_s, lost_s)
    if (before["boot"], before["case"]) != (after["boot"], after["case"]):
        measured.wrong.append("the host did not outlive its edge")
    if set(after["tests"].values()) != {"stopped"}:
        measured.wrong.append(f"tests run by themselves: {after['tests']}")


def web_killed(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGKILL of the web display: the case does not notice, and the page is there again."""
    before = one.beating("a beat")
    one.kill("web")
    until(one.web_answers, "the page again")
    after = one.beating("a beat")
    if (before["boot"], before["case"]) != (after["boot"], after["case"]):
        measured.wrong.append("the host did not outlive the web display")


def host_stopped(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGSTOP of the host for up to 3 s: the edge stops by itself and keeps the samples."""
    one.stop(one.serving(), chance.uniform(0.3, 3.0))
    one.beating("the host again")


def edge_stopped(one: Box, chance: random.Random, measured: Measured) -> None:
    """SIGSTOP of the edge for up to 2 s."""
    one.stop(one.processes["edge"].pid, chance.uniform(0.05, 2.0))
    one.beating("the edge again")


def hogs(one: Box, chance: random.Random, measured: Measured) -> None:
    """Every processor busy and half a gigabyte taken for a second."""
    words = "import time; held = bytearray(1 << 28); end = time.time() + 1\nwhile time.time() < end: pass"
    crowd = [subprocess.Popen([sys.executable, "-c", words], cwd=ROOT) for _ in range(2)]
    for each in crowd:
        each.wait()
    one.beating("a beat")


def strangers(one: Box, chance: random.Random, measured: Measured) -> None:
    """Bytes that are no ZeroMQ into every port; connections that say nothing."""
    held = []
    for port in range(one.port, one.port + 4):
        for _ in range(5):
            peer = socket.create_connection(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                peer.sendall(chance.randbytes(chance.randrange(1, 3000)))
            held.append(peer)
    _answers(one, measured)
    for peer in held:
        peer.close()


def slow_readers(one: Box, chance: random.Random, measured: Measured) -> None:
    """Subscribers to all that never read, the raw samples too; the host must not grow with what they owe."""
    before_mb = memory_mb(one.serving())
    held = []
    for port in (one.port, one.port + 2, one.port + 3):
        for _ in range(3):
            peer = zmq.Context.instance().socket(zmq.SUB)
            peer.linger, peer.rcvhwm = 0, 1
            peer.subscribe("")
            peer.connect(f"tcp://127.0.0.1:{port}")
            held.append(peer)
    _pass(1.0)
    _answers(one, measured)
    grown = memory_mb(one.serving()) - before_mb
    if grown > GROWS_MB:
        measured.above += 1
        measured.wrong.append(f"the host grew by {grown:.0f} MB for peers that do not read")
    for peer in held:
        peer.close()


def _answers(one: Box, measured: Measured) -> None:
    """A good client is answered meanwhile."""
    began_ns = time.monotonic_ns()
    reply = request(one.bus, "hello", {"name": "good"})
    took_s = (time.monotonic_ns() - began_ns) / 1e9
    if not reply["ok"] or took_s > 1.0:
        measured.wrong.append(f"a good client waited {took_s:.1f} s: {reply.get('error')}")
    one.beating("a beat")


def configured_badly(one: Box, chance: random.Random, measured: Measured) -> None:
    """An update that brings a case file that is none: every error in its line, exit 2, and the box runs on
    as it was."""
    words = one.words["host"]
    bad = one.data.parent / "bad.toml"
    bad.write_bytes(chance.choice((b"[case\n", b"name = 3\n", chance.randbytes(300), b"", b"\xff" * 10)))
    ended = subprocess.run(
        [sys.executable, "-m", words[0], words[1], str(bad), *words[2:]],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    said = ended.stderr.decode(errors="replace").strip()
    if ended.returncode != 2 or "Traceback" in said or not said:
        measured.wrong.append(f"a bad case file: exit {ended.returncode}, {said[-200:]!r}")
    one.beating("a beat")
