"""A reader's own average is the box's pipeline over the raw samples, whatever he chose."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hostd import casefile, wire
from hostd.case import Case
from hostd.errors import UsageError
from hostd.fixture.course import Course
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.web.reading import Averaging, planned, wanted
from hostd.web.ring import Ring
from hostd.wire import Message
from hw.link import Description
from hw.model.scenario import Scenario
from hw.samples import Gap, SampleBlock
from tests.support.fakebus import MEDIAN

RATE_HZ, LSB_UV = 4000.0, 0.1
CHANNELS = ("CP3", "CP4", "Fpz", "C5S", "EPL", "EPR")
TOML = """
name = "Two wrists"
[acquisition]
rate_hz = 4000
channels = ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR"]
[test.left]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = 5.1613
derivations = ["CP4-CP3", "C5S-Fpz", "EPL-EPR"]
[test.right]
modality = "median_ssep"
side = "right"
line = 2
rate_hz = 5.1613
derivations = ["CP3-CP4"]
"""
OF = Description("raw", RATE_HZ, CHANNELS, (LSB_UV,) * 6, (0.0,) * 6, -0.5, 8)
PERIOD = 775


@cache
def case() -> Case:
    return casefile.parse(TOML, "test")


@cache
def samples(seconds: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Counts and trigger bits: noise, and at CP4 and EPL an answer to every stimulus of line 1."""
    rng = np.random.default_rng(5)
    n = round(seconds * RATE_HZ)
    uv = rng.normal(0, 2.0, (n, 6))
    bits = np.zeros(n, np.uint8)
    t_ms = np.arange(200) / RATE_HZ * 1e3
    for _, at_ms, wide_ms, size_uv in (one for one in MEDIAN if one[0] in (0, 3)):
        answer = size_uv * np.exp(-(((t_ms - at_ms) / wide_ms) ** 2))
        for first in range(400, n - 400, PERIOD):
            uv[first : first + 200, 1 if at_ms > 12 else 4] += answer
    for first in range(400, n - 400, PERIOD):
        bits[first : first + 4] = 1
    return np.rint(uv / LSB_UV).astype(np.int32), bits


def blocks(cut: int = 160, first: int = 0, end: int | None = None) -> list[SampleBlock]:
    counts, bits = samples()
    end = len(counts) if end is None else end
    return [
        SampleBlock(at, counts[at : min(at + cut, end)], bits[at : min(at + cut, end)])
        for at in range(first, end, cut)
    ]


def raw(block: SampleBlock, boot: str = "b1") -> Message:
    fields = {
        "boot": boot,
        "first_index": block.first_index,
        "counts": block.counts,
        "trigger_bits": block.trigger_bits,
        "gaps": [(gap.index, gap.length) for gap in block.gaps],
        "lsb_uv": list(OF.lsb_uv),
        "offset_uv": list(OF.offset_uv),
        "latency_offset_samples": OF.latency_offset_samples,
    }
    return Message("raw", *wire.pack_arrays(fields))


def raw_fields(block: SampleBlock) -> dict[str, Any]:
    """The same as a fake box is told to publish it."""
    message = raw(block)
    return {**message.header, **{key: message.array(key) for key in ("counts", "trigger_bits")}}


def ring(given: Sequence[SampleBlock], most: int = 1 << 26) -> Ring:
    filled = Ring(most)
    for block in given:
        filled.add(raw(block))
    return filled


def averaged(chosen: dict, of: Ring, first: int = 0, end: int | None = None) -> dict:
    said = wanted({"test": "left", **chosen})
    averaging = Averaging(case(), planned(case(), said, RATE_HZ), OF, first, end)
    averaging.advance(of)
    return averaging.newest


def n20_uv(average: Any) -> float:
    """The first derivation 20 ms after the stimulus."""
    at = round((20.0 - average["t0_ms"]) / average["dt_ms"])
    return float(average["mean_uv"][at, 0])


def test_what_the_case_has_comes_out_as_the_box_would_say_it_bit_for_bit() -> None:
    plan = replace(planned(case(), wanted({"test": "left"}), RATE_HZ))
    box = Pipeline(replace(case(), tests=(plan,), watches=()), OF)
    box.command("test.start", {"test": "left", "author": ""})
    said = [one for block in blocks(1000) for one in box.feed(block) if one.topic == "average.left"]
    newest = averaged({}, ring(blocks(160)))
    assert newest["average"].index == said[-1].index and newest["average"].fields["n_sweeps"] > 60
    assert newest["average"].fields["mean_uv"].tobytes() == said[-1].fields["mean_uv"].tobytes()
    assert [peak["present"] for peak in newest["measure"].fields["peaks"]][-1] is True


def test_other_derivations_are_what_their_electrodes_say() -> None:
    of = ring(blocks())
    both = averaged({"derivations": ["CP4-CP3", "CP4-Fpz", "EPL-EPR", "CP3-Fpz"]}, of)["average"].fields
    assert both["derivations"] == ["CP4-CP3", "CP4-Fpz", "EPL-EPR", "CP3-Fpz"]
    mean = both["mean_uv"]
    # Each derivation has weights of its own, so that montages add up nearly, and so does one alone.
    alone = averaged({"derivations": ["CP4-Fpz"]}, of)["average"].fields["mean_uv"]
    at = round((20.0 - both["t0_ms"]) / both["dt_ms"])
    assert mean[at, 0] == pytest.approx(mean[at, 1] - mean[at, 3], abs=0.4)
    assert mean[at, 0] < -1.2 and mean[at, 1] < -1.2 and abs(mean[at, 3]) < 0.8
    assert alone[at, 0] == pytest.approx(mean[at, 1], abs=0.05)
    peaks = averaged({"derivations": ["EPL-EPR"]}, of)["measure"].fields
    assert [peak["name"] for peak in peaks["peaks"]] == ["N9"] and peaks["leading"] == "N9"


def test_a_narrower_filter_is_quieter_and_a_window_is_as_asked() -> None:
    of = ring(blocks())
    wide = averaged({"band_hz": [30, 1500]}, of)["average"].fields
    narrow = averaged({"band_hz": [30, 250], "window_ms": [-5, 45]}, of)["average"].fields
    assert narrow["noise_uv"][0] < 0.6 * wide["noise_uv"][0]
    end = narrow["t0_ms"] + (len(narrow["mean_uv"]) - 1) * narrow["dt_ms"]
    assert narrow["t0_ms"] == pytest.approx(-5, abs=0.6) and end == pytest.approx(45, abs=0.6)
    assert narrow["band_hz"] == [30, 250] or narrow["band_hz"] == (30, 250)


def test_a_span_is_averaged_and_nothing_outside_it_and_live_goes_on() -> None:
    of = ring(blocks(end=40_000))
    part = averaged({}, of, 8000, 24_000)["average"].fields
    assert part["first_index"] >= 8000 and part["last_index"] < 24_160
    assert part["n_sweeps"] == pytest.approx(16_000 / PERIOD, abs=2)
    said = wanted({"test": "left"})
    live = Averaging(case(), planned(case(), said, RATE_HZ), OF, 8000, None)
    assert live.advance(of)
    before = live.newest["average"].fields["n_sweeps"]
    assert not live.advance(of), "nothing new"
    for block in blocks(first=40_000):
        of.add(raw(block))
    assert live.advance(of) and live.newest["average"].fields["n_sweeps"] > before + 20


def test_no_sweep_crosses_what_was_lost() -> None:
    whole = blocks()
    torn = [block for block in whole if not 20_000 <= block.first_index < 20_800]
    lost = ring(torn)
    seen = averaged({}, lost)["average"].fields
    n = seen["n_sweeps"]
    assert 1 <= averaged({}, ring(whole))["average"].fields["n_sweeps"] - n <= 3
    told = [replace(b, gaps=(Gap(20_000, 800, "link"),)) if b.first_index == 20_800 else b for b in torn]
    by_the_box = averaged({}, ring(told))["average"].fields
    assert by_the_box["mean_uv"].tobytes() == seen["mean_uv"].tobytes(), (
        "a gap that the box tells is the same"
    )
    assert n20_uv(seen) < -1.2, "what follows is in its place"


def test_the_ring_is_bounded_and_forgets_the_oldest_and_another_start() -> None:
    one = blocks()[0].counts.nbytes
    small = ring(blocks(), most=100 * one)
    first, end = small.span
    assert end == len(samples()[0]) and end - first == 100 * 160
    late = Averaging(case(), planned(case(), wanted({"test": "left"}), RATE_HZ), OF, 0, None)
    assert late.advance(small) and late.newest["average"].fields["first_index"] >= first
    small.add(raw(blocks()[3]))
    assert small.span == (first, end), "older than what is here"
    small.add(raw(blocks()[0], boot="b2"))
    assert small.span == (0, 160) and small.boot == "b2"
    behind = ring(blocks(), most=100 * one)
    slow = Averaging(case(), planned(case(), wanted({"test": "left"}), RATE_HZ), OF, 0, None)
    slow.advance(ring(blocks(end=3200)))
    slow.advance(behind)
    caught_up = slow.newest["average"].fields
    assert caught_up["n_rejected"] <= 3 and n20_uv(caught_up) < -1.2, "what ran past is a gap, not a sweep"


@pytest.mark.parametrize(
    "broken",
    [
        {"counts": np.zeros((3, 6), np.int16)},
        {"counts": np.zeros((0, 6), np.int32), "trigger_bits": np.zeros(0, np.uint8)},
        {"trigger_bits": np.zeros(7, np.uint8)},
        {"first_index": -1},
        {"first_index": "0"},
        {"lsb_uv": [0.1]},
        {"lsb_uv": None},
        {"gaps": [[1]]},
    ],
)
def test_what_is_no_block_of_samples_is_left_out(broken: dict) -> None:
    good = raw(blocks()[0])
    fields = {
        **good.header,
        "counts": good.array("counts"),
        "trigger_bits": good.array("trigger_bits"),
        **broken,
    }
    held = Ring(1 << 20)
    held.add(Message("raw", *wire.pack_arrays(fields)))
    assert held.span == (0, 0)
    held.add(Message("raw", {"boot": "b1"}, []))
    assert held.span == (0, 0)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"test": "nowhere"}, "no test 'nowhere' to average; there are left, right"),
        ({"derivations": ["CP4-XX"]}, "'CP4-XX': no channel XX; there are CP3"),
        ({"derivations": []}, "0 derivations; from 1 to 16"),
        ({"derivations": ["CP4", "CP4"]}, "twice"),
        ({"band_hz": [300, 30]}, "band 300 to 30 Hz"),
        ({"band_hz": [30, 2000]}, "below 2000 Hz, half the rate"),
        ({"window_ms": [5, 50]}, "it holds the stimulus"),
        ({"window_ms": [-5, 5000]}, "within 1000 ms"),
        ({"sweeps": 3}, "3 sweeps; from 16 to 5000"),
        ({"reject_uv": 0}, "reject_uv 0 is not above 0"),
        ({"span_s": [9, 3]}, "span_s 9 to 3 s is no span"),
        ({"reference_s": [-1, 3]}, "reference_s -1 to 3 s is no span"),
        ({"sweeps": "many"}, "Expected `int | null`"),
        ({"colour": "red"}, "unknown field"),
        ({"band_hz": [float("nan"), 300]}, "band nan to 300 Hz"),
    ],
)
def test_what_makes_no_sense_is_one_line(chosen: dict, words: str) -> None:
    with pytest.raises(UsageError, match="reading") as caught:
        said = wanted({"test": "left", **chosen})
        Averaging(case(), planned(case(), said, RATE_HZ), OF, 0, None)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_reading_of_what_a_box_sends_raw_is_the_boxs_own_average() -> None:
    """The whole way: a simulated box, its raw messages, the ring, the reader; times of rows included."""
    of_case = casefile.procedure("median_ssep")
    course = Course(of_case, Scenario(), 14.0, 3, raw=True)
    said: dict[tuple[int, int], Outgoing] = {}
    kept = Ring(1 << 26)
    for _, message in course.messages():
        if message.topic == "raw":
            header = {"boot": "b1", **message.fields}
            kept.add(Message("raw", *wire.pack_arrays(header)))
        if message.topic == "average.left_median":
            said[message.fields["first_index"], message.fields["last_index"]] = message
    assert kept.latency_offset_samples == course.description.latency_offset_samples != 0.0
    scale = kept.lsb_uv, kept.offset_uv
    of = Description("raw", of_case.rate_hz, of_case.channels, *scale, kept.latency_offset_samples, 8)
    reading = Averaging(
        of_case, planned(of_case, wanted({"test": "left_median"}), of_case.rate_hz), of, 0, None
    )
    assert reading.advance(kept)
    mine = reading.newest["average"].fields
    box = said[mine["first_index"], mine["last_index"]].fields
    assert mine["n_sweeps"] == box["n_sweeps"] > 25 and mine["t0_ms"] == box["t0_ms"]
    assert mine["mean_uv"].tobytes() == box["mean_uv"].tobytes()
