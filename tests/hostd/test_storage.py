"""The recording's disk in a running case: told as it is, an alert while it fails, and nothing else stops."""

import errno
import functools
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.playback import RecordingSource
from hostd import casefile
from hostd.alerts import Alerts
from hostd.audit_check import check
from hostd.pipeline import Pipeline
from hostd.record_writer import Storage
from hostd.recorder import Recorder
from hostd.segments import opened, segment_paths
from hostd.storage import CALM_S, StorageWatch, told
from hw.link import Description
from hw.recording import RecordingReader
from hw.samples import SampleBlock
from tests.hostd.test_replay import identical, replayed
from tests.hostd.test_schema import check as declared
from tests.support import strict_bdf
from tests.support.session import Ear, LiveHost

CASE = casefile.procedure("median_ssep")
RATE_HZ = 1000.0
OK, SLOW, FULL = Storage("ok"), Storage("slow", 1.5), Storage("failing", 2.0, 0, "No space left on device")


def walked(*seen: Storage) -> list[tuple[int, str, int]]:
    """What a watch tells of a disk that it sees every half second: the sample, the state, what is lost."""
    watch = StorageWatch(RATE_HZ)
    changes = ((k, watch.look(disk, 500 * k)) for k, disk in enumerate(seen))
    return [(change["index"], change["state"], change["lost_samples"]) for _, change in changes if change]


def test_each_worsening_is_told_once_and_the_end_when_it_is_calm() -> None:
    calm = round(CALM_S * 2)
    assert walked(*[OK] * 30) == [] == walked(*[Storage()] * 30)
    assert walked(OK, SLOW, SLOW, *[OK] * 12) == [(500, "slow", 0), (500 * (2 + calm), "ok", 0)]
    assert walked(SLOW, *[OK] * 9, SLOW, *[OK] * 10) == [(0, "slow", 0), (500 * (10 + calm), "ok", 0)]
    assert walked(SLOW, FULL, SLOW, FULL, *[OK] * 11) == [
        (0, "slow", 0),
        (500, "failing", 0),
        (500 * (3 + calm), "ok", 0),
    ]


def test_samples_that_are_lost_make_it_failing_and_are_counted_from_the_last_calm() -> None:
    seen = [Storage("ok", 0.0, lost) for lost in (0, 40, 70, *[70] * 11, 75, *[75] * 10)]
    assert walked(*seen) == [
        (500, "failing", 40),
        (6000, "ok", 70),
        (7000, "failing", 5),
        (12_000, "ok", 5),
    ]


def test_the_alert_says_what_refuses_and_is_cleared_with_what_is_missing() -> None:
    watch, alerts = StorageWatch(RATE_HZ), Alerts()
    said = []
    seen = ((0, SLOW), (500, FULL), (1000, Storage("failing", 9.0, 250, "")), (1500, Storage("ok", 0, 250)))
    for index, disk in (*seen, (7000, Storage("ok", 0, 250))):
        if change := watch.look(disk, index):
            said += told(alerts, index, change)
    slow, failing, cleared, event = said
    fields = [(m.fields["priority"], m.fields["state"], m.fields["kind"]) for m in (slow, failing, cleared)]
    assert fields == [
        ("low", "raised", "storage"),
        ("medium", "raised", "storage"),
        ("medium", "cleared", "storage"),
    ]
    assert len({m.fields["id"] for m in (slow, failing, cleared)}) == 1
    assert "No space left on device; free or replace it, monitoring goes on" in failing.fields["text"]
    assert event.fields["text"] == "the recording's disk works again; 250 samples are missing in the file"


def test_the_pipeline_carries_it_out() -> None:
    description = Description("simulated", 4000.0, CASE.channels, (0.1,) * 8, (0.0,) * 8, -0.5, 2)
    pipeline = Pipeline(CASE, description)
    change = StorageWatch(RATE_HZ).look(FULL, 0)
    assert change is not None
    alert, alarms = pipeline.command("storage", change)
    assert (alarms.topic, alarms.fields["sounding"]) == ("alarms", "medium")
    assert (alert.topic, alert.fields["cause"], alert.fields["test"]) == ("alert", "technical", "")


class Disk:
    """pwrite of the recording's files that refuses while it is `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = threading.Event()
        self._real = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, fd: int, content: Any, at: int) -> int:
        if self.full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._real(fd, content, at)


def counts_of(blocks: list[SampleBlock]) -> tuple[Any, Any]:
    for block, after in itertools.pairwise(blocks):
        assert block.end_index == after.first_index and not after.gaps
    return np.concatenate([b.counts for b in blocks]), np.concatenate([b.trigger_bits for b in blocks])


@pytest.mark.control("H9.5")
def test_a_disk_full_for_a_while_is_an_alert_and_every_segment_and_result_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("hostd.case_folder.Recorder", functools.partial(Recorder, segment_s=2.0))
    disk = Disk(monkeypatch)
    with LiveHost(data=tmp_path / "data", speed=8.0) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == "sweep.left_median", "a sweep")
        disk.full.set()
        alert = ear.until(lambda m: m.topic == "alert", "the alert").header
        assert (alert["kind"], alert["priority"], alert["state"]) == ("storage", "medium", "raised")
        status = ear.until(lambda m: m.topic == "status" and m.header["recording"]["state"] != "ok", "status")
        declared(status)
        assert status.header["recording"]["state"] == "failing"
        assert any("No space left on device" in fault for fault in status.header["faults"])
        ear.until(
            lambda m: m.topic == "average.left_median" and m.header["index"] > alert["index"] + 4000,
            "averages all the same",
        )
        disk.full.clear()
        ear.until(lambda m: m.topic == "alert" and m.header["state"] == "cleared", "its end")
        declared(ear.of("alert")[-1])
        host.ok("case.close")
        host.join()
        assert host.failure is None
        ear.listen()
        assert ear.of("status")[-1].header["recording"]["lost_samples"] == 0
    (case,) = (tmp_path / "data").iterdir()
    paths = segment_paths(case)
    *full, last = map(strict_bdf.check, paths)  # the last one takes what there is when it is closed
    assert len(full) >= 3 and all(n <= 20 for n in full) and last <= 40
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 50
    alerts = [header["state"] for (topic, _), (header, _) in said.items() if topic == "alert"]
    assert alerts == ["raised", "cleared"]
    report = check(case)
    assert (report.why, report.remarks) == ("", ()) and report.records == sum(map(strict_bdf.check, paths))
    with opened(paths) as (first, *further):
        recorded = counts_of(list(RecordingReader(first, CASE.channels, None, further).blocks(777)))
    played = RecordingSource(case, None, None)
    wanted = casefile_configure()
    assert played.configure(wanted).rate_hz == 4000.0
    items: list[Any] = []
    played.run(items.append, threading.Event())
    again = counts_of([item for item in items if isinstance(item, SampleBlock)])
    for one, other in zip(recorded, again, strict=True):
        np.testing.assert_array_equal(one, other)


def casefile_configure() -> Any:
    from hostd.daemon import configure_message

    return configure_message(CASE)


@pytest.mark.control("H9.5")
def test_a_disk_that_hangs_stops_neither_averages_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostd.record_writer.CLOSE_S", 0.05)
    gate = threading.Event()
    real = os.pwrite

    def hanging(fd: int, content: Any, at: int) -> int:
        assert gate.wait(60)
        return real(fd, content, at)

    with LiveHost(data=tmp_path, speed=8.0) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == "sweep.left_median", "a sweep")
        monkeypatch.setattr(os, "pwrite", hanging)
        alert = ear.until(lambda m: m.topic == "alert", "the alert").header
        assert (alert["kind"], alert["priority"], alert["evidence"]["rule"]) == (
            "storage",
            "low",
            "storage slow",
        )
        ear.until(
            lambda m: m.topic == "average.left_median" and m.header["index"] > alert["index"] + 4000,
            "averages all the same",
        )
        host.ok("case.close")
        host.join()
        assert "close failed: the disk has not answered for 0.05 s" in str(host.failure)
    gate.set()
