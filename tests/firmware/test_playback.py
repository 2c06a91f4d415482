"""A recording as a source: every sample at its index, paced or not; one line for what cannot be played."""

import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import edfio
import numpy as np
import pytest

from firmware import playback
from firmware.errors import ConfigError, PortError
from firmware.playback import RecordingSource
from firmware.session import block_message
from hw.link import (
    ALL_PLANS,
    LEADS_NOBODY,
    Configure,
    Description,
    Ended,
    Message,
    Reply,
    Sender,
    StimStop,
    Timebase,
)
from hw.samples import SampleBlock
from tests.support.links import tiles
from tests.support.looped import plan
from tests.support.mouse_abr import CHANNEL, RATE_HZ, TRIGGER, write_mouse_abr
from tests.support.pace import PacedTime

RATE = 1000
N = 2000
ONSETS = (100, 700, 1900)
NAN = float("nan")


def physical(n: int, channel: int) -> np.ndarray:
    """(n,) whole numbers that fit 16 bits, other ones in every channel."""
    return (np.arange(n) * 7 + 1000 * channel) % 30011 - 15000.0


def write(path: Path, channels: int = 2, n: int = N, rate: int = RATE, record_s: float = 0.5) -> Path:
    """A BDF+ of signals A0, A1, ... in uV with one count per microvolt, a Stim signal and clicks."""
    limits = {"physical_range": (-(2**23), 2**23 - 1), "digital_range": (-(2**23), 2**23 - 1)}
    stim = np.zeros(n)
    for at in ONSETS:
        stim[at : at + 3] = 2
    signals = [
        edfio.BdfSignal(physical(n, k), rate, label=f"A{k}", physical_dimension="uV", **limits)
        for k in range(channels)
    ]
    signals.append(edfio.BdfSignal(stim, rate, label="Stim", **limits))
    notes = [edfio.EdfAnnotation(at / rate, None, "click") for at in ONSETS if at < n]
    edfio.Bdf(signals, data_record_duration=record_s, annotations=notes).write(path)
    return path


def wanted(**changes: object) -> Configure:
    basic = Configure(0.0, 0, ("A0", "A1"), (), ("", ""), "Stim", NAN, ())
    return replace(basic, **changes)  # type: ignore[arg-type]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "made.bdf")


def play(source: RecordingSource, stop: threading.Event | None = None) -> list[SampleBlock | Message]:
    items: list[SampleBlock | Message] = []
    source.run(items.append, stop or threading.Event())
    return items


def blocks_of(items: list[SampleBlock | Message]) -> list[SampleBlock]:
    return [item for item in items if isinstance(item, SampleBlock)]


def test_every_sample_and_trigger_comes_at_its_index(recording: Path) -> None:
    source = RecordingSource(recording, None, None)
    said = source.configure(wanted())
    scale = (1.0, 1.0), (0.0, 0.0)
    assert said == Description("file", 1000.0, ("A0", "A1"), *scale, 0.0, 0, LEADS_NOBODY)
    items = play(source)
    blocks = blocks_of(items)
    assert tiles(blocks, 0)
    counts = np.concatenate([b.counts for b in blocks])
    assert np.array_equal(counts, np.stack([physical(N, 0), physical(N, 1)], 1))
    bits = np.concatenate([b.trigger_bits for b in blocks])
    assert np.flatnonzero(bits).tolist() == [at + k for at in ONSETS for k in range(3)]
    assert set(bits.tolist()) == {0, 2}
    assert items[-1] == Ended(N)
    assert source.patient


def test_its_times_are_reported_each_before_its_block(tmp_path: Path) -> None:
    source = RecordingSource(write(tmp_path / "long.bdf", n=6000), 1e6, None)
    source.configure(wanted())
    items = play(source)
    reports = [(k, item) for k, item in enumerate(items) if isinstance(item, Timebase)]
    assert [b.index - a.index for (_, a), (_, b) in pairwise(reports)] == [RATE] * (len(reports) - 1)
    assert len(reports) == 6
    for k, report in reports:
        block = items[k + 1]
        assert isinstance(block, SampleBlock)
        assert report.index == block.end_index - 1
        assert (report.t_ns, report.refused) == (block.t_ns, 0)
        assert report.ppm == pytest.approx(0.0, abs=1e-3)


def test_labels_annotations_and_order_are_as_wanted(recording: Path) -> None:
    source = RecordingSource(recording, None, None)
    said = source.configure(
        wanted(channels=("left", "A0"), labels=("A1", ""), trigger_channel="", annotations=("click=3",))
    )
    assert said.channels == ("left", "A0")
    blocks = blocks_of(play(source))
    assert np.array_equal(blocks[0].counts[:, 0], physical(len(blocks[0].counts), 1))
    bits = np.concatenate([b.trigger_bits for b in blocks])
    assert np.flatnonzero(bits & 4).tolist() == list(ONSETS)


def test_a_threshold_makes_an_analogue_trigger(recording: Path) -> None:
    source = RecordingSource(recording, None, None)
    source.configure(wanted(threshold=1.5))
    bits = np.concatenate([b.trigger_bits for b in blocks_of(play(source))])
    assert np.flatnonzero(bits).tolist() == [at + k for at in ONSETS for k in range(3)]
    assert set(bits.tolist()) == {0, 1}


def test_a_real_recording_plays_whole(tmp_path: Path) -> None:
    path = tmp_path / "mouse.bdf"
    laid = write_mouse_abr(path, "bdf-trigger")
    source = RecordingSource(path, None, None)
    said = source.configure(wanted(channels=(CHANNEL,), labels=("",), trigger_channel=TRIGGER))
    assert said.rate_hz == RATE_HZ
    items = play(source)
    blocks = blocks_of(items)
    assert tiles(blocks, 0)
    assert items[-1] == Ended(len(laid.uv))
    uv = np.concatenate([b.counts[:, 0] for b in blocks]) * said.lsb_uv[0] + said.offset_uv[0]
    assert np.abs(uv - laid.uv).max() <= said.lsb_uv[0]
    bits = np.concatenate([b.trigger_bits for b in blocks]).astype(int)
    assert np.flatnonzero(np.diff(bits, prepend=0) > 0).tolist() == laid.trigger_indices.tolist()


def test_the_directory_of_a_case_is_its_raw_file(tmp_path: Path) -> None:
    write(tmp_path / "raw.bdf")
    assert RecordingSource(tmp_path, None, None).configure(wanted()).rate_hz == RATE


@pytest.mark.parametrize("speed", [1.0, 4.0, 0.5])
def test_its_pace_is_the_recordings_times_the_speed(
    recording: Path, speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = PacedTime()
    monkeypatch.setattr(playback, "time", clock)
    source = RecordingSource(recording, speed, None)
    source.configure(wanted())
    start_ns, late_s = clock.now_ns, []

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, SampleBlock):
            late_s.append((clock.now_ns - start_ns) / 1e9 - item.end_index / RATE / speed)

    source.run(put, clock.stop_event())
    assert len(late_s) == N / 10
    assert late_s == pytest.approx([0.0] * len(late_s), abs=1e-6)


def test_seconds_end_it_early_where_it_says(recording: Path) -> None:
    source = RecordingSource(recording, 1e6, 0.5)
    source.configure(wanted())
    items = play(source)
    assert items[-1] == Ended(500)
    assert blocks_of(items)[-1].end_index == 500


def test_stop_ends_it_and_leaves_no_end_behind(recording: Path) -> None:
    source, stop, items = RecordingSource(recording, None, None), threading.Event(), []
    source.configure(wanted())

    def put(item: SampleBlock | Message) -> None:
        items.append(item)
        stop.set()

    source.run(put, stop)
    assert len(items) == 1
    assert isinstance(items[0], SampleBlock)


def test_commands_are_answered_at_any_time_and_never_with_a_stimulus(recording: Path) -> None:
    source = RecordingSource(recording, None, None)
    source.configure(wanted())
    source.command(plan())  # the loop has not begun
    source.command(StimStop(5, ALL_PLANS))
    items: list[SampleBlock | Message] = []

    def put(item: SampleBlock | Message) -> None:
        items.append(item)
        if isinstance(item, SampleBlock) and item.end_index == N:
            source.command(plan(2))

    source.run(put, threading.Event())
    assert [item for item in items if isinstance(item, Reply)] == [
        Reply(101, "a recording cannot stimulate"),
        Reply(5, ""),
        Reply(102, "a recording cannot stimulate"),
    ]
    assert isinstance(items[-1], Ended)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": ("A0", "Z9")}, "'Z9' is not in the recording"),
        ({"labels": ("",)}, "2 channels and 1 labels"),
        ({"labels": ("", "", "A0")}, "2 channels and 3 labels"),
        ({"trigger_channel": "No"}, "'No' is not in the recording"),
        ({"annotations": ("click",)}, "annotation 'click' is not TEXT=LINE"),
        ({"annotations": ("click=",)}, "annotation 'click=' is not TEXT=LINE"),
        ({"annotations": ("click=one",)}, "annotation 'click=one' is not TEXT=LINE"),
        ({"annotations": ("click=9",)}, "line 9"),
        ({"annotations": ("clack=1",)}, "'clack' is not in the recording"),
    ],
)
def test_what_does_not_fit_the_recording_is_one_line(recording: Path, changes: dict, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RecordingSource(recording, None, None).configure(wanted(**changes))
    assert says in str(caught.value)
    assert str(recording) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_or_no_recording_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"absent\.bdf: No such file or directory; check the path"):
        RecordingSource(tmp_path / "absent.bdf", None, None).configure(wanted())
    with pytest.raises(PortError, match=r"raw\.bdf: No such file"):
        RecordingSource(tmp_path, None, None).configure(wanted())
    (tmp_path / "noise.edf").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ConfigError, match=r"noise\.edf: ") as caught:
        RecordingSource(tmp_path / "noise.edf", None, None).configure(wanted())
    assert "\n" not in str(caught.value)


def test_more_channels_than_the_link_can_carry_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "many.bdf", channels=256, n=8, rate=8, record_s=1)
    names = tuple(f"A{k}" for k in range(256))
    source = RecordingSource(path, None, None)
    with pytest.raises(ConfigError, match="256 channels, the link carries 255; name fewer"):
        source.configure(wanted(channels=names, labels=("",) * 256))
    assert len(source.configure(wanted(channels=names[:255], labels=("",) * 255)).channels) == 255


def test_blocks_of_many_fast_channels_fit_into_a_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "fast.bdf", channels=180, n=4000, rate=20000, record_s=0.1)
    source = RecordingSource(path, None, None)
    names = tuple(f"A{k}" for k in range(180))
    source.configure(wanted(channels=names, labels=("",) * 180))
    sender, blocks = Sender(), blocks_of(play(source))
    assert tiles(blocks, 0)
    assert blocks[-1].end_index == 4000
    assert all(sender.frame(block_message(block)) for block in blocks)


def test_nothing_runs_before_it_is_configured(recording: Path) -> None:
    with pytest.raises(ConfigError, match="not configured"):
        RecordingSource(recording, None, None).run(lambda item: None, threading.Event())


def test_a_recording_that_is_cut_while_it_plays_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "long.bdf", n=400_000)  # more than is read at once
    source = RecordingSource(path, None, None)
    source.configure(wanted())
    items: list[SampleBlock | Message] = []

    def put(item: SampleBlock | Message) -> None:
        if not items:
            with path.open("r+b") as file:
                file.truncate(1_500_000)
        items.append(item)

    with pytest.raises(PortError, match=r"recording .*long\.bdf: .*cut") as caught:
        source.run(put, threading.Event())
    assert "\n" not in str(caught.value)
    assert tiles(blocks_of(items), 0)
