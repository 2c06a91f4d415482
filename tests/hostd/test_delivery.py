"""Delivered current: every verdict and its alert, overlapping pulses, the same however samples come."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hostd import casefile
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.limits import RETURN_WITHIN_SAMPLES
from hw.link import NOT_SEEN, Description, Stimulus
from hw.samples import Gap, SampleBlock

RATE_HZ = 4000
TEXT = """
name = "monitored"
[acquisition]
rate_hz = 4000
channels = ["CP3", "CP4", "VMON", "Fpz", "C5S", "IMON"]
monitor = { current = "IMON", voltage = "VMON", ma_per_mv = 10, v_per_mv = 10 }
[test.median]
modality = "median_ssep"
side = "left"
line = 1
current_ma = 25
[test.motor]
modality = "custom"
site = "cortex"
stimulus = "transcranial"
fire = "single"
line = 2
volts = 300
width_us = 50
pulses = 5
interval_ms = 1
hold_ms = 0.5
window_ms = [-1, 60]
derivations = ["CP3-CP4"]
"""
CASE = casefile.parse(TEXT, "case.toml")
LSB_UV = 0.02
SHAPE = (0.2, 0.6, 0.2)
"""What the converter's filter makes of a pulse much shorter than a sample."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse at sample `at`: what was asked for, and what the load had."""

    at: int
    ma: float
    ohm: float = 1000.0
    line: int = 1
    number: int = 1
    pulse: int = 1

    @property
    def width_us(self) -> float:
        return 200.0 if self.line == 1 else 50.0

    @property
    def proof(self) -> Stimulus:
        return Stimulus(self.line, self.line, self.number, self.line, self.at - 1, self.at, self.pulse)


def samples(pulses: Iterable[Pulse], n: int = 12_000, seed: int = 1) -> tuple[Any, Any]:
    """Counts and trigger bits of what the converter shows; its noise is 1 uV."""
    uv = np.random.default_rng(seed).normal(0.0, 1.0, (n, len(CASE.channels)))
    bits = np.zeros(n, np.uint8)
    for p in pulses:
        rows = p.width_us * 1e-6 * RATE_HZ
        for k, part in enumerate(SHAPE):
            uv[p.at + k, 5] += p.ma / 10 * 1e3 * rows * part
            uv[p.at + k, 2] += p.ma * p.ohm / 1e3 / 10 * 1e3 * rows * part
        bits[p.at : p.at + 2] |= np.uint8(1 << p.line - 1)
    return np.rint(uv / LSB_UV).astype(np.int32), bits


def plans(known: bool = True, width_us: float = 200.0) -> list[dict[str, Any]]:
    motor = {"test": "motor", "command": 2, "current_ma": 300.0, "width_us": 50, "known": True, "author": ""}
    median = {"test": "median", "command": 1, "current_ma": 25.0, "known": known, "author": ""}
    return [median | {"width_us": width_us}, motor]


def play(
    pulses: Sequence[Pulse],
    cuts: Iterable[int] = range(0, 12_000, 40),
    proofs: Sequence[Stimulus] | None = None,
    early: bool = True,
    case: Case = CASE,
    said: Sequence[dict[str, Any]] | None = None,
) -> list[Outgoing]:
    """All messages; proofs come before everything (`early`), or right before they would be too late."""
    n = len(case.channels)
    description = Description("bench", 4000.0, case.channels, (LSB_UV,) * n, (0.0,) * n, 0.0, 4)
    pipeline = Pipeline(case, description)
    messages: list[Outgoing] = []
    for args in said or plans():
        messages += pipeline.command("stim.plan", args)
    counts, bits = samples(pulses)
    waiting = list(proofs if proofs is not None else [p.proof for p in pulses])
    edges = sorted({0, len(counts), *(c for c in cuts if 0 < c < len(counts))})
    for first, end in pairwise(edges):
        while waiting and (early or shown_at(waiting[0]) < end):
            messages += pipeline.prove(waiting.pop(0))
        messages += pipeline.feed(SampleBlock(first, counts[first:end], bits[first:end]))
    return messages + pipeline.finish()


def shown_at(proof: Stimulus) -> int:
    """The sample with which the edge knew."""
    return proof.commanded + RETURN_WITHIN_SAMPLES + 1 if proof.seen == NOT_SEEN else proof.seen


def of(messages: Iterable[Outgoing], topic: str) -> list[dict[str, Any]]:
    return [m.fields | {"index": m.index} for m in messages if m.topic == topic]


VERDICTS = {
    "ok": Pulse(2000, 25.0),
    "open": Pulse(2000, 0.4),
    "low": Pulse(2000, 15.0),
    "high": Pulse(2000, 38.0),
    "short": Pulse(2000, 25.0, ohm=20.0),
    "ok at 300 V": Pulse(2000, 310.0, line=2),
    "low at 300 V": Pulse(2000, 150.0, ohm=2000.0, line=2),
    "short at 300 V": Pulse(2000, 700.0, ohm=400.0, line=2),
    "unknown without a baseline": Pulse(5, 25.0),
    "unknown when cut": Pulse(2000, 1900.0, line=2),
}


@pytest.mark.control("H3.3")
@pytest.mark.parametrize("what", VERDICTS)
def test_each_verdict_with_its_numbers_and_its_alert(what: str) -> None:
    word, pulse = what.partition(" ")[0], VERDICTS[what]
    messages = play([pulse])
    (stim,) = of(messages, "stim")
    alerts = of(messages, "alert")
    assert stim["delivery"] == word and stim["delivery_text"].startswith(f"{word}: ")
    assert stim["commanded_ma"] == (25.0 if pulse.line == 1 else 300.0)
    if word == "unknown":
        assert stim["current_ma"] is stim["load_ohm"] is None and alerts == []
        return
    assert abs(stim["current_ma"] - pulse.ma) < max(2 * stim["current_error_ma"], 0.01 * pulse.ma)
    if word != "open":
        assert stim["load_ohm"] == pytest.approx(pulse.ohm, rel=0.05, abs=5.0)
    if word == "ok":
        assert alerts == []
        return
    (alert,) = alerts
    stops = word in ("open", "short")
    assert (alert["priority"], alert["evidence"]["stop"]) == (("high", True) if stops else ("medium", False))
    assert (alert["kind"], alert["state"], alert["index"]) == ("delivery", "raised", pulse.at)
    assert alert["test"] == stim["test"] and stim["delivery_text"] in alert["text"]
    assert alert["evidence"]["current_ma"] == stim["current_ma"]


def test_a_good_pulse_clears_what_a_bad_one_raised_and_worse_is_told_once_more() -> None:
    currents = (25.0, 15.0, 14.0, 0.4, 0.5, 25.0, 15.0)
    pulses = [Pulse(2000 + 1000 * k, ma, number=k + 1) for k, ma in enumerate(currents)]
    told = [(a["state"], a["priority"], a["index"]) for a in of(play(pulses), "alert")]
    assert told == [
        ("raised", "medium", 3000),
        ("raised", "high", 5000),
        ("cleared", "high", 7000),
        ("raised", "medium", 8000),
    ]


def test_nobody_is_blamed_for_a_current_that_nobody_stated() -> None:
    messages = play([Pulse(2000, 2.0)], said=plans(known=False))
    (stim,) = of(messages, "stim")
    assert stim["commanded_ma"] is None and stim["current_ma"] == pytest.approx(2.0, abs=0.1)
    assert stim["delivery"] == "unknown" and "no current was commanded" in stim["delivery_text"]
    assert of(messages, "alert") == []


def test_a_width_that_is_not_known_gives_no_current() -> None:
    (stim,) = of(play([Pulse(2000, 25.0)], said=plans(width_us=0)), "stim")
    assert (
        stim["current_ma"] is None and stim["delivery"] == "unknown" and "width_us" in stim["delivery_text"]
    )


def test_without_a_monitor_or_a_proof_nothing_is_said_of_currents() -> None:
    none = replace(CASE, monitor=None)
    for stim in (
        *of(play([Pulse(2000, 25.0)], case=none), "stim"),
        *of(play([Pulse(2000, 25.0)], proofs=[]), "stim"),
    ):
        names = ("current_ma", "current_error_ma", "load_ohm", "delivery", "delivery_text")
        assert all(stim[name] is None for name in names)


def train(at: int, ma: float, number: int = 1, apart: int = 4) -> list[Pulse]:
    return [Pulse(at + apart * k, ma, line=2, number=number, pulse=k + 1) for k in range(5)]


def test_pulses_that_overlap_are_each_told_with_the_mean_of_their_train() -> None:
    stims = of(play([Pulse(1000, 25.0), *train(2000, 300.0)]), "stim")
    assert [s["pulse"] for s in stims] == [1, 1, 2, 3, 4, 5]
    for s in stims[1:]:
        assert s["delivery"] == "ok" and "train of 5 pulses as a whole" in s["delivery_text"]
        assert s["current_ma"] == stims[1]["current_ma"] == pytest.approx(300.0, rel=0.02)
    apart = of(play(train(2000, 300.0, apart=8)), "stim")
    assert all("train" not in s["delivery_text"] for s in apart), "3 ms and 50 us are told one by one"


def test_pulses_without_end_are_told_all_the_same_and_in_time() -> None:
    pulses = [Pulse(2000 + 4 * k, 300.0, line=2, number=k + 1) for k in range(1500)]
    at_the_end = play(pulses, range(0, 12_000, 40))
    assert len(of(at_the_end, "stim")) == 1500
    cut = [p for p in pulses if p.at < 6000]
    n, half = len(cut), []
    description = Description("bench", 4000.0, CASE.channels, (LSB_UV,) * 6, (0.0,) * 6, 0.0, 4)
    pipeline = Pipeline(CASE, description)
    pipeline.command("stim.plan", plans()[1])
    counts, bits = samples(pulses)
    for p in cut:
        pipeline.prove(p.proof)
    half = pipeline.feed(SampleBlock(0, counts[:6000], bits[:6000]))
    assert len(of(half, "stim")) >= n - 0.1 * RATE_HZ / 4 - 2, "none waits longer than a tenth of a second"


@cache
def eventful() -> tuple[Pulse, ...]:
    bad = [Pulse(500 + 700 * k, ma, number=k + 1) for k, ma in enumerate((25, 25, 14, 0.3, 24, 39, 25, 25))]
    trains = [p for k, ma in enumerate((300.0, 120.0, 20.0)) for p in train(900 + 2100 * k, ma, k + 1)]
    return tuple(sorted([*bad, *trains], key=lambda p: p.at))


def plain(messages: Iterable[Outgoing]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for m in messages:
        fields = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in m.fields.items()}
        out.setdefault(m.topic, []).append(f"{m.index} {fields!r}")
    return out


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    "cuts",
    [[], range(1, 12_000), range(13, 12_000, 17), random.Random(5).sample(range(12_000), 60)],
    ids=["one block", "single samples", "of 17", "any"],
)
def test_blocks_and_the_time_of_proofs_change_nothing(cuts: Sequence[int], early: bool) -> None:
    never = replace(eventful()[5].proof, seen=NOT_SEEN)
    lost = [never if p is eventful()[5] else p.proof for p in eventful()]
    wanted = plain(play(eventful(), proofs=lost))
    got = plain(play(eventful(), cuts, lost, early))
    assert set(got) == set(wanted) and {"stim", "alert"} <= set(got)
    for topic in wanted:
        assert got[topic] == wanted[topic], topic
    assert {s["delivery"] for s in of(play(eventful()), "stim")} == {"ok", "low", "open", "high"}


def test_a_pulse_cut_off_by_a_gap_is_told_at_the_gap_without_a_number() -> None:
    description = Description("bench", 4000.0, CASE.channels, (LSB_UV,) * 6, (0.0,) * 6, 0.0, 4)
    pipeline = Pipeline(CASE, description)
    for args in plans():
        pipeline.command("stim.plan", args)
    pulse = Pulse(2000, 25.0)
    counts, bits = samples([pulse])
    pipeline.prove(pulse.proof)
    assert of(pipeline.feed(SampleBlock(0, counts[:2003], bits[:2003])), "stim") == []
    behind = SampleBlock(2010, counts[2010:], bits[2010:], 0, (Gap(2003, 7, "missed"),))
    (stim,) = of(pipeline.feed(behind), "stim")
    assert stim["delivery"] == "unknown" and stim["verified"] and stim["index"] == 2000


def test_a_pulse_never_seen_behind_a_gap_is_told_in_its_place() -> None:
    """In replay its proof comes before the block behind the gap, live only with the samples behind it."""
    description = Description("bench", 4000.0, CASE.channels, (LSB_UV,) * 6, (0.0,) * 6, 0.0, 4)
    shown, never = Pulse(2020, 25.0), replace(Pulse(2100, 25.0).proof, seen=NOT_SEEN)
    counts, bits = samples([shown])
    told = []
    for early in (True, False):
        pipeline = Pipeline(CASE, description)
        pipeline.feed(SampleBlock(0, counts[:2000], bits[:2000]))
        pipeline.prove(shown.proof)
        messages = pipeline.prove(never) if early else []
        messages += pipeline.feed(
            SampleBlock(2010, counts[2010:2090], bits[2010:2090], 0, (Gap(2000, 10, "missed"),))
        )
        messages += [] if early else pipeline.prove(never)
        messages += pipeline.feed(SampleBlock(2090, counts[2090:2200], bits[2090:2200]))
        told.append([(s["index"], s["verified"]) for s in of(messages, "stim")])
    assert told == [[(2020, True), (2099, False)]] * 2
