"""The recording's writer: slow, full, hung and pulled disks are told, block nobody, cost what is named."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from hostd.errors import RecordingError
from hostd.record_file import RecordFile
from hostd.record_writer import RecordWriter, Storage
from hw.record_crc import ENTRY_BYTES, decode_entries, record_crc
from hw.samples import Gap
from tests.hostd.test_recorder import a_block, a_recorder, joined, ramp, read
from tests.support.session import until

LATER_S = 30.0


class Clock:
    """A clock that stands until it is moved."""

    now = 0

    def __call__(self) -> int:
        return self.now


class FailingDisk:
    """pwrite that refuses behind `limit` bytes of a file, as a full disk does: short first, then `error`."""

    def __init__(self, monkeypatch, limit, error=errno.ENOSPC):
        self.limit, self.error = limit, error
        self._real = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, fd, content, at):
        room = self.limit - at
        if room <= 0:
            raise OSError(self.error, os.strerror(self.error))
        return self._real(fd, content[:room], at)


class Gate:
    """A call of `os` that hangs while the gate is shut."""

    def __init__(self, monkeypatch, name):
        self.open, self.entered = threading.Event(), threading.Event()
        self._real = getattr(os, name)
        monkeypatch.setattr(os, name, self)

    def __call__(self, *args):
        self.entered.set()
        assert self.open.wait(LATER_S)
        return self._real(*args)


def refusing(recorder):
    until(lambda: recorder.storage.why, "the disk to refuse")
    assert recorder.storage.state == "failing"


def test_each_record_is_one_write_and_one_line_of_the_sidecar(tmp_path, monkeypatch):
    writes = []
    real = os.pwrite

    def spy(fd, content, at):
        writes.append((at, len(content)))
        return real(fd, content, at)

    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    monkeypatch.setattr(os, "pwrite", spy)
    header, record = recorder._header.header_bytes, recorder._header.record_bytes
    recorder.append(ramp(0, 250))
    assert recorder._file.flush(LATER_S)
    assert writes == [
        (header, record),
        (0, ENTRY_BYTES),
        (header + record, record),
        (ENTRY_BYTES, ENTRY_BYTES),
    ]
    assert recorder.bytes_written == header + 2 * record
    recorder.close()
    assert writes[4:] == [(header + 2 * record, record), (2 * ENTRY_BYTES, ENTRY_BYTES), (236, 8)]
    whole = path.read_bytes()
    parts = [whole[at : at + record] for at in range(header, len(whole), record)]
    entries = {k: record_crc(part) for k, part in enumerate(parts)}
    assert decode_entries(path.with_suffix(".crc").read_bytes()) == (entries, 0)


def test_the_thread_that_hands_over_never_touches_the_disk(tmp_path, monkeypatch):
    recorder = a_recorder(tmp_path / "raw.bdf", segment_s=0.2)
    here = threading.current_thread()
    touched = []
    for name in ("open", "pwrite", "fdatasync", "fsync", "close"):
        real = getattr(os, name)

        def spy(*args, _real=real, _name=name):
            touched.append((_name, threading.current_thread()))
            return _real(*args)

        monkeypatch.setattr(os, name, spy)
    for k in range(0, 1000, 50):
        recorder.append(ramp(k, 50))
    recorder.close()
    assert {name for name, _ in touched} == {"open", "pwrite", "fdatasync", "fsync", "close"}
    assert here not in {thread for _, thread in touched}


def test_a_full_disk_is_said_once_and_nothing_is_lost_when_it_ends(tmp_path, monkeypatch):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    disk = FailingDisk(monkeypatch, recorder.bytes_written + recorder._header.record_bytes + 100)
    recorder.append(ramp(0, 250))
    refusing(recorder)
    assert "No space left" in recorder.storage.why
    with pytest.raises(RecordingError, match=r"raw\.bdf: write failed: No space left on device") as caught:
        recorder.append(ramp(250, 150))
    assert "\n" not in str(caught.value)
    recorder.append(ramp(400, 150))
    disk.limit = 10**9
    assert recorder._file.flush(LATER_S)
    assert (recorder.storage.state, recorder.storage.why) == ("ok", "")
    disk.limit = recorder.bytes_written
    recorder.append(ramp(550, 100))
    refusing(recorder)
    with pytest.raises(RecordingError, match="write failed"):
        recorder.append(ramp(650, 100))
    disk.limit = 10**9
    recorder.close()
    reader, blocks = read(path)
    assert reader.n_samples == 750
    assert recorder.lost_samples == 0
    np.testing.assert_array_equal(joined(blocks)[0], ramp(0, 750).counts)


@pytest.mark.control("H9.5")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.ENODEV])
def test_a_disk_that_refuses_for_too_long_becomes_a_gap(tmp_path, monkeypatch, error):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    recorder._file._backlog_bytes = 2 * recorder._header.record_bytes
    recorder.append(ramp(0, 100))
    assert recorder._file.flush(LATER_S)
    disk = FailingDisk(monkeypatch, recorder.bytes_written, error)
    recorder.append(ramp(100, 200))
    refusing(recorder)
    with pytest.raises(RecordingError, match=os.strerror(error)):
        recorder.append(ramp(300, 200))
    recorder.append(ramp(500, 50))
    assert (recorder.lost_samples, recorder.storage.lost_samples) == (250, 250)
    disk.limit = 10**9
    assert recorder._file.flush(LATER_S)
    recorder._file._backlog_bytes *= 10
    recorder.append(ramp(550, 50))
    recorder.close()
    assert recorder.storage.state == "ok"
    _, blocks = read(path, 10**6)
    assert [(b.first_index, len(b.counts), b.gaps) for b in blocks] == [
        (0, 300, ()),
        (550, 50, (Gap(300, 250, "file"),)),
    ]


def test_a_disk_that_fills_within_a_gap_keeps_the_rest_of_it(tmp_path, monkeypatch):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    record = recorder._header.record_bytes
    recorder._file._backlog_bytes = record
    recorder.append(ramp(0, 100))
    assert recorder._file.flush(LATER_S)
    disk = FailingDisk(monkeypatch, recorder.bytes_written)
    recorder.append(a_block(1000, np.ones((50, 2)), gaps=(Gap(100, 900, "link"),)))
    assert recorder.lost_samples == 50
    disk.limit = 10**9
    assert recorder._file.flush(LATER_S)
    recorder._file._backlog_bytes = 100 * record
    recorder._file.take_fault()
    recorder.append(ramp(1050, 50))
    recorder.close()
    _, blocks = read(path, 10**6)
    assert [(b.first_index, len(b.counts), b.gaps) for b in blocks] == [
        (0, 100, ()),
        (1050, 50, (Gap(100, 900, "link"), Gap(1000, 50, "file"))),
    ]


def test_a_disk_that_refuses_to_the_end_is_said_at_close(tmp_path, monkeypatch):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    recorder.append(ramp(0, 100))
    assert recorder._file.flush(LATER_S)
    FailingDisk(monkeypatch, recorder.bytes_written)
    recorder.append(ramp(100, 100))
    refusing(recorder)
    with pytest.raises(RecordingError, match="No space left"):
        recorder.append(ramp(200, 100))
    with pytest.raises(RecordingError, match="No space left"):
        recorder.close()
    recorder.close()
    reader, _ = read(path)
    assert (reader.n_samples, reader.header.n_records) == (100, -1)


def test_a_failing_sync_is_said_at_the_next_append_once(tmp_path, monkeypatch):
    def refuse(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    recorder = a_recorder(tmp_path / "raw.bdf", sync_interval_s=3600.0)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", refuse)
        recorder.append(ramp(0, 100))
        assert recorder._file.flush(LATER_S)
        recorder._file.sync()
        assert recorder.storage.state == "failing"
        with pytest.raises(RecordingError, match="sync failed: Input/output error"):
            recorder.append(ramp(100, 100))
        recorder._file.sync()
        recorder.append(ramp(200, 100))
        assert recorder._file.flush(LATER_S), "what fails to sync is written all the same"
    recorder._file.sync()
    assert recorder.storage.state == "ok"
    recorder.close()
    assert read(tmp_path / "raw.bdf")[0].n_samples == 300


@pytest.mark.control("H9.8")
def test_the_sync_comes_each_second_by_itself(tmp_path, monkeypatch):
    synced = threading.Semaphore(0)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.release() or real(fd))
    with a_recorder(tmp_path / "usual.bdf") as usual:
        assert usual._file._interval_s == 1.0
    recorder = a_recorder(tmp_path / "raw.bdf", sync_interval_s=0.001)
    for k in range(3):
        recorder.append(ramp(100 * k, 100))
        assert synced.acquire(timeout=LATER_S)
    recorder.close()


def test_a_sidecar_that_has_no_room_costs_no_record_and_comes_later(tmp_path, monkeypatch):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    sidecar, real, broken = recorder._file._file._sidecar, os.pwrite, [True]

    def refuse(fd, content, at):
        if fd == sidecar and broken[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, content, at)

    monkeypatch.setattr(os, "pwrite", refuse)
    recorder.append(ramp(0, 400))
    assert recorder._file.flush(LATER_S) and recorder.storage.state == "failing"
    with pytest.raises(RecordingError, match="sidecar failed: No space left"):
        recorder.append(ramp(400, 100))
    broken[0] = False
    recorder.close()
    assert read(path)[0].n_samples == 500
    entries, damaged = decode_entries(path.with_suffix(".crc").read_bytes())
    assert (sorted(entries), damaged) == ([0, 1, 2, 3, 4], 0)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_hangs_is_slow_blocks_no_append_and_loses_nothing(tmp_path, monkeypatch, call):
    clock, path = Clock(), tmp_path / "raw.bdf"
    recorder = a_recorder(path, now_ns=clock, sync_interval_s=0.001 if call == "fdatasync" else 3600.0)
    gate = Gate(monkeypatch, call)
    recorder.append(ramp(0, 100))
    assert gate.entered.wait(LATER_S)
    for k in range(1, 20):
        recorder.append(ramp(100 * k, 100))
    if call == "fdatasync":
        assert recorder._file.flush(LATER_S), "a sync that hangs keeps no record from the kernel"
    else:
        assert recorder.bytes_written == recorder._header.header_bytes
    clock.now += 1_000_000_000
    assert (recorder.storage.state, recorder.storage.waiting_s) == ("ok", 1.0)
    clock.now += 1
    assert recorder.storage.state == "slow" and recorder.storage.why == ""
    gate.open.set()
    assert recorder._file.flush(LATER_S)
    until(lambda: recorder.storage == Storage("ok"), "the sync to end")
    recorder.close()
    assert read(path)[0].n_samples == 2000 and recorder.lost_samples == 0


def test_a_disk_that_hangs_with_a_full_queue_fails_and_costs_the_file_alone(tmp_path, monkeypatch):
    recorder = a_recorder(tmp_path / "raw.bdf")
    record = recorder._header.record_bytes
    recorder._file._backlog_bytes = 3 * record
    gate = Gate(monkeypatch, "pwrite")
    for k in range(10):
        recorder.append(ramp(100 * k, 100))
    assert (recorder.storage.state, recorder.storage.lost_samples) == ("failing", 700)
    assert recorder._file._waiting_bytes == 3 * record, "the queue is bounded"
    gate.open.set()
    recorder.close()
    assert read(tmp_path / "raw.bdf")[0].n_samples == 300


def test_a_disk_that_hangs_at_the_end_is_said_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("hostd.record_writer.CLOSE_S", 0.02)
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path)
    gate = Gate(monkeypatch, "pwrite")
    recorder.append(ramp(0, 150))
    with pytest.raises(RecordingError, match=r"close failed: the disk has not answered for 0\.02 s"):
        recorder.close()
    gate.open.set()
    recorder._file._threads[0].join(LATER_S)
    assert read(path)[0].header.n_records == 2, "and when it does answer, the file is whole"


def test_a_segment_that_cannot_be_made_yet_is_made_later_without_loss(tmp_path, monkeypatch):
    path = tmp_path / "raw.bdf"
    recorder = a_recorder(path, segment_s=0.2)
    real, full = os.open, [True]

    def refuse(name, *args):
        if full[0] and "raw-0002.bdf" in str(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(name, *args)

    monkeypatch.setattr(os, "open", refuse)
    recorder.append(ramp(0, 300))
    refusing(recorder)
    with pytest.raises(RecordingError, match=r"raw-0002\.bdf cannot be created: No space left on device"):
        recorder.append(ramp(300, 50))
    assert read(path)[0].header.n_records == 2, "the finished one is whole"
    full[0] = False
    recorder.close()
    reader, _ = read(tmp_path / "raw-0002.bdf")
    assert (reader.first_index, reader.n_samples, reader.header.n_records) == (200, 150, 2)


def test_a_file_has_its_name_only_when_its_header_is_whole(tmp_path, monkeypatch):
    """Who dies before leaves none that cannot be opened, and nothing that is in the way of the next one."""
    path = tmp_path / "raw.bdf"

    class Died(BaseException):
        pass

    def die(fd, content, at):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(os, "pwrite", die)
        dying.setattr(Path, "unlink", lambda *_, **__: None)  # the dead tidy nothing up
        with pytest.raises(Died):
            RecordFile(path, b"a header")
    assert [one.name for one in tmp_path.iterdir()] == [".raw.bdf.new"]
    file = RecordFile(path, b"another header")
    file.release()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["raw.bdf", "raw.crc"]
    assert path.read_bytes() == b"another header"


@pytest.mark.parametrize("links", [True, False])
def test_no_file_is_ever_overwritten_with_or_without_hard_links(links, tmp_path, monkeypatch):
    if not links:

        def refuse(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "raw.bdf"
    RecordFile(path, b"a header").release()
    assert path.read_bytes() == b"a header" and path.stat().st_nlink == 1
    with pytest.raises(RecordingError, match=r"raw\.bdf exists already; a recording is never overwritten"):
        RecordFile(path, b"another")
    assert path.read_bytes() == b"a header"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["raw.bdf", "raw.crc"]


@pytest.mark.control("H9.8")
def test_close_syncs_the_records_before_their_count(tmp_path, monkeypatch):
    done = []
    real_write, real_sync = os.pwrite, os.fdatasync
    recorder = a_recorder(tmp_path / "raw.bdf", sync_interval_s=3600.0)
    recorder.append(ramp(0, 300))
    assert recorder._file.flush(LATER_S)
    monkeypatch.setattr(os, "pwrite", lambda fd, content, at: done.append(at) or real_write(fd, content, at))
    names = {recorder._file._file._fd: "records synced", recorder._file._file._sidecar: "sidecar synced"}
    monkeypatch.setattr(os, "fdatasync", lambda fd: done.append(names.get(fd)) or real_sync(fd))
    recorder.close()
    both = ["records synced", "sidecar synced"]
    assert done == [*both, 236, *both]


def test_a_disk_full_from_the_start_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    FailingDisk(monkeypatch, 0)
    with pytest.raises(RecordingError, match="cannot be written: No space left"):
        RecordFile(tmp_path / "raw.bdf", b"header")
    with pytest.raises(RecordingError, match="cannot be written: No space left"):
        RecordWriter(tmp_path / "raw.bdf", b"header")
    assert list(tmp_path.iterdir()) == []


def test_a_source_played_faster_than_time_waits_for_the_disk_and_a_live_one_never(tmp_path, monkeypatch):
    clock = Clock()
    recorder = a_recorder(tmp_path / "raw.bdf", now_ns=clock)
    recorder._file._backlog_bytes = recorder._header.record_bytes
    gate = Gate(monkeypatch, "pwrite")
    recorder.append(ramp(0, 20_000))
    clock.now += 20_000_000_000  # as many seconds as samples
    recorder.append(ramp(20_000, 100))
    assert recorder.lost_samples == 100
    clock.now = 0
    assert recorder.storage.state == "failing", "as long as what comes is lost"
    played = threading.Thread(target=recorder.append, args=(ramp(20_100, 100),))
    played.start()
    until(lambda: not recorder._file.ready(), "a full queue")
    assert played.is_alive() and recorder.lost_samples == 100
    gate.open.set()
    played.join(LATER_S)
    assert recorder.storage.state != "failing"
    recorder.close()
    assert (recorder.lost_samples, read(tmp_path / "raw.bdf")[0].n_samples) == (100, 20_200)
