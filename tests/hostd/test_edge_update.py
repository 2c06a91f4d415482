"""`evokd flash --edge`: an update sent to real link servers that start anew, break and refuse."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.transport import Listener, Stream
from hostd import cli, edge_update, flash_command
from hostd.edge_update import RefusedError, opened, update
from hostd.errors import LinkError, UsageError
from hw.link import VERSION
from hw.link_update import PART_BYTES, UpdateOffer, UpdatePart, UpdateState
from tests.support.cut_disk import CutDisk
from tests.support.edge import ScriptedSource, Served, poll_fast, serial_wire, unix
from tests.support.updates import Box, Made, files, keys


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)
    monkeypatch.setattr(edge_update, "RETRY_S", 0.02)
    monkeypatch.setattr(edge_update, "REACH_S", 0.2)


class Shown:
    """What a terminal would show."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.done: list[int] = []

    def say(self, topic: str, text: str) -> None:
        self.lines.append((topic, text))

    def sent(self, done: int, of: int) -> None:
        self.done.append(done)


class Machine:
    """A box whose edge is started anew by its launcher for as long as updates end it."""

    def __init__(self, folder: Path, edge: str = "", host: str = "") -> None:
        self.edge = edge or unix(folder)
        self.address, self.box = host or self.edge, Box(CutDisk(), folder)
        keys(folder)  # now, and not by two threads at once
        self.breaks: list[int] = []
        self.starts = 0
        self.comes_up = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.starts += 1
            slot = self.box.power_up()
            served = Served(ScriptedSource(), _Breaking(self), self.box.updates())  # type: ignore[arg-type]
            assert slot == self.box.slot
            while served.alive and not self._stop.wait(0.005):
                pass
            served.close()

    @contextlib.contextmanager
    def on(self) -> Iterator["Machine"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)


class _Breaking(Listener):
    """A listener whose connections break after so many bytes as the machine says."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.edge)
        self._machine = machine

    def accept(self, stopped):  # type: ignore[no-untyped-def]
        stream = super().accept(stopped)
        if stream is not None and self._machine.breaks:
            _break_after(stream, self._machine.breaks)
        return stream


def _break_after(stream: Stream, breaks: list[int]) -> None:
    read = stream.read

    def counted(timeout_s: float) -> bytes:
        data = read(timeout_s)
        if breaks:
            breaks[0] -= len(data)
            if breaks[0] < 0:
                breaks.pop(0)
                raise EOFError("broken")
        return data

    stream.read = counted  # type: ignore[method-assign]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path).on() as machine:
        yield machine


def bundle(folder: Path, build: int, scale: int = 1) -> Path:
    path = folder / f"{build}.bundle"
    path.write_bytes(Made(folder, build, files(build, scale)).file)
    return path


def sent(machine: Machine, path: Path) -> Shown:
    shown = Shown()
    with opened(path) as held:
        update(machine.address, held, shown)
    return shown


def test_an_edge_is_brought_from_one_version_to_the_next(machine: Machine, tmp_path: Path) -> None:
    sent(machine, bundle(tmp_path, 1))
    shown = sent(machine, bundle(tmp_path, 2, scale=300))
    assert machine.box.runs() == files(2, scale=300)
    assert [topic for topic, _ in shown.lines] == ["edge", "bundle", "written", "done"]
    assert shown.lines[-1][1] == "evokd 0.1.0 (build 1, slot a) -> 0.2.0 (build 2, slot b)"
    assert shown.done[-1] == 3256 * 300
    assert shown.done == sorted(shown.done)
    assert machine.starts == 3


def test_a_link_that_breaks_again_and_again_is_gone_on_with(machine: Machine, tmp_path: Path) -> None:
    machine.breaks = [3 * PART_BYTES, 9 * PART_BYTES, 1000, 500_000]
    shown = sent(machine, bundle(tmp_path, 1, scale=300))
    assert machine.breaks == []
    assert machine.box.runs() == files(1, scale=300)
    assert "resumed" in {topic for topic, _ in shown.lines}


def test_an_edge_on_a_serial_line_is_updated_as_well(tmp_path: Path) -> None:
    with serial_wire() as wire, Machine(tmp_path, wire.edge, wire.host).on() as machine:
        sent(machine, bundle(tmp_path, 1, scale=30))
        shown = sent(machine, bundle(tmp_path, 2, scale=30))
        assert machine.box.runs() == files(2, scale=30)
        assert shown.lines[-1][1] == "evokd 0.1.0 (build 1, slot a) -> 0.2.0 (build 2, slot b)"


def test_an_update_that_was_given_up_is_told_with_its_reason(machine: Machine, tmp_path: Path) -> None:
    sent(machine, bundle(tmp_path, 1))
    machine.box.ill = {2}
    with pytest.raises(RefusedError) as raised:
        sent(machine, bundle(tmp_path, 2))
    assert str(raised.value) == (
        "the update was given up, evokd 0.1.0 (build 1, slot a) runs: slot b, 0.2.0 (build 2), did not pass "
        "its trial: its link is silent"
    )
    assert machine.box.runs() == files(1)


def test_what_the_edge_refuses_is_said_in_its_words(machine: Machine, tmp_path: Path) -> None:
    sent(machine, bundle(tmp_path, 2))
    with pytest.raises(RefusedError, match=r"the edge refuses: .* is not newer than build 2"):
        sent(machine, bundle(tmp_path, 1))


@pytest.mark.parametrize(("lost", "offers"), [({2}, 1), ({3, 5, 6}, 1), ({9}, 2)])
def test_parts_that_were_lost_are_sent_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: set[int], offers: int
) -> None:
    """What the edge sees missing it asks for; only where the last one is lost must the host ask."""
    real, parts, offered = edge_update.EdgeLink.send, [0], [0]

    def send(self, message):  # type: ignore[no-untyped-def]
        offered[0] += isinstance(message, UpdateOffer)
        if isinstance(message, UpdatePart):
            parts[0] += 1
            if parts[0] - 1 in lost:
                return
        real(self, message)

    monkeypatch.setattr(edge_update.EdgeLink, "send", send)
    monkeypatch.setattr(edge_update, "SILENT_S", 0.3 if offers > 1 else 30.0)
    sent(machine, bundle(tmp_path, 1, scale=100))
    assert machine.box.runs() == files(1, scale=100)
    assert offered[0] == offers


def test_the_edge_is_asked_until_it_started_anew_and_its_trial_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = UpdateState(1, "idle", 0, "", "0.1.0", 1, "a", 0)
    new = replace(old, version="0.2.0", build=2, slot="b")
    answers = iter([(7, old), None, (8, replace(new, trial=1)), (8, new)])

    def asked(address: str) -> tuple[int, UpdateState]:
        if (answer := next(answers)) is None:
            raise LinkError("nobody there")
        return answer

    monkeypatch.setattr(edge_update, "asked", asked)
    manifest = Made(tmp_path, 2, files(2)).manifest
    assert edge_update._back("x", manifest, 7) == new
    answers = iter([(8, replace(old, text="it was ill"))])
    with pytest.raises(RefusedError, match=r"given up, evokd 0\.1\.0 \(build 1, slot a\) runs: it was ill"):
        edge_update._back("x", manifest, 7)
    monkeypatch.setattr(edge_update, "TRIAL_S", 0.0)
    with pytest.raises(LinkError, match="did not come back within 0 s"):
        edge_update._back("x", manifest, 7)


def test_a_link_that_stays_broken_is_given_up_with_what_to_do(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_update, "LOST_S", 0.0)
    path = bundle(tmp_path, 1, scale=100)
    machine.breaks = [2 * PART_BYTES] * 50
    with pytest.raises(LinkError, match="the same command goes on where it was"):
        sent(machine, path)


def test_an_edge_that_knows_no_updates_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_update, "ANSWER_S", 0.1)
    monkeypatch.setattr("firmware.session.Session._update", lambda self, request: None)
    served = Served(ScriptedSource(), unix(tmp_path))
    try:
        with pytest.raises(LinkError, match="a coprocessor takes evokd flash --port"):
            flash_command.main(["--edge", unix(tmp_path), "--check"])
    finally:
        served.close()


def test_the_command_shows_and_updates(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle(tmp_path, 1)
    assert cli.main(["flash", "--edge", machine.address, "--bundle", str(path)]) == 0
    out = capsys.readouterr().out
    assert "done:" in out
    assert "-> 0.1.0 (build 1, slot a)" in out
    assert cli.main(["flash", f"--edge={machine.address}", "--check"]) == 0
    assert capsys.readouterr().out == f"edge:     {machine.address}, evokd 0.1.0 (build 1, slot a)\n"
    assert cli.main(["flash", "--edge", machine.address, "--bundle", str(path)]) == 1
    err = capsys.readouterr().err
    assert err == "evokd: the edge refuses: 0.1.0 (build 1) runs here already\n"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--edge", "nowhere", "--check"], 2, "is no edge"),
        (["--edge", "tcp:127.0.0.1:1", "--check"], 1, "no edge at"),
        (["--edge", "x"], 2, "either --bundle FILE or --check"),
        (["--edge", "x", "--check", "--bundle", "y"], 2, "either --bundle FILE or --check"),
        (["--edge"], 2, "expected one argument"),
        (["--edge", "x", "--bundle", "none"], 2, "check the path"),
    ],
)
def test_bad_words_are_one_line(
    words: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["flash", *words]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert why in err


def test_an_update_that_this_machine_could_not_talk_with_is_refused_unless_asked_for(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["flash", "--edge", machine.address, "--bundle", str(bundle(tmp_path, 1))]
    monkeypatch.setattr(edge_update, "TABLE", 0xDEADBEEF)
    assert cli.main(words) == 2
    assert (
        f"this machine's evokd {VERSION} deadbeef, which could not run a case with it"
        in capsys.readouterr().err
    )
    assert machine.box.runs() is None
    assert cli.main([*words, "--other-link"]) == 0
    assert machine.box.runs() == files(1)


def test_a_file_that_is_no_whole_bundle_never_leaves(tmp_path: Path) -> None:
    whole = bundle(tmp_path, 1).read_bytes()
    path = tmp_path / "bad.bundle"
    for data in (b"", b"PK", whole[:20], whole[:-1], whole + b"!"):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"bad\.bundle is no bundle: .*; get it anew"), opened(path):
            pass
