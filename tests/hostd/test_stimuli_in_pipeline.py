"""Trains, polarities, delivered current, electrosurgery and faults through the whole chain, in lockstep."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.link import Description, Message, Stimulus
from hw.model.scenario import NO_CHANGE, Electrosurgery, Scenario, StimulatorChange
from hw.samples import SampleBlock
from tests.support.lockstep import simulate, start

CASE = casefile.parse(
    """
name = "everything at once"
[acquisition]
rate_hz = 4000
channels = ["CP3", "CP4", "CPz", "Fpz", "C5S", "IMON", "VMON"]
monitor = { current = "IMON", voltage = "VMON" }
[test.left]
modality = "median_ssep"
side = "left"
line = 1
alternate_line = 2
current_ma = 25
[test.tof]
modality = "custom"
site = "right median"
stimulus = "peripheral"
line = 3
rate_hz = 0.51
pulses = 4
interval_ms = 90
current_ma = 40
width_us = 200
window_ms = [-10, 60]
derivations = ["C5S"]
""",
    "case.toml",
)
OPEN = Scenario(stimulator=(StimulatorChange(2.0, "loss"), StimulatorChange(4.0, "open", line=1)))


def of(messages: list[Outgoing], topic: str) -> list[Outgoing]:
    return [m for m in messages if m.topic == topic]


class Recorded:
    """A simulated session as its pieces, to be cut anew."""

    def __init__(self, seconds: float, case: Case = CASE, scenario: Scenario = NO_CHANGE) -> None:
        self.case = case
        source = SimulatedSource(None, seconds, 3, scenario)
        self.description: Description = source.configure(configure_message(case))
        self.plans = start(source, case, self.description)
        self.proofs: list[Stimulus] = []
        self.blocks: list[SampleBlock] = []

        def put(item: SampleBlock | Message) -> None:
            if isinstance(item, SampleBlock):
                self.blocks.append(item)
            elif isinstance(item, Stimulus):
                self.proofs.append(item)

        source.run(put, threading.Event())

    def said(self, pieces: Iterator[SampleBlock], proofs: list[Stimulus] | None = None) -> list[Outgoing]:
        """What a pipeline says to these pieces; a proof comes before the piece that holds its sample."""
        pipeline = Pipeline(self.case, self.description)
        messages: list[Outgoing] = []
        for args in self.plans:
            messages += pipeline.command("stim.plan", args)
            messages += pipeline.command("test.start", {"test": args["test"], "author": ""})
        waiting = list(self.proofs if proofs is None else proofs)
        for piece in pieces:
            while waiting and waiting[0].commanded < piece.end_index:
                messages += pipeline.prove(waiting.pop(0))
            messages += pipeline.feed(piece)
        return messages + pipeline.finish()

    def cut(self, seed: int) -> Iterator[SampleBlock]:
        """The same samples in pieces of random lengths."""
        counts = np.concatenate([b.counts for b in self.blocks])
        bits = np.concatenate([b.trigger_bits for b in self.blocks])
        rng, at = np.random.default_rng(seed), 0
        while at < len(counts):
            end = min(at + int(rng.choice([1, 7, 40, 333, 2000])), len(counts))
            yield SampleBlock(at, counts[at:end], bits[at:end], 0, ())
            at = end


def plain(message: Outgoing) -> tuple[str, int, str]:
    fields = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in message.fields.items()}
    return message.topic, message.index, repr(fields)


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    surgery = (Electrosurgery(5.0, 0.6),)
    return Recorded(8.0, scenario=replace(OPEN, electrosurgery=surgery))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_cutting_into_blocks_says_the_same(recorded: Recorded, seed: int) -> None:
    whole, cut = recorded.said(iter(recorded.blocks)), recorded.said(recorded.cut(seed))
    for topic in sorted({m.topic for m in whole}):
        assert list(map(plain, of(cut, topic))) == list(map(plain, of(whole, topic))), topic
    assert {"alert", "mains", "stim", "sweep.left", "sweep.tof"} <= {m.topic for m in whole}
    assert {"low", "open", "ok"} <= {m.fields["delivery"] for m in of(whole, "stim")}


def test_only_the_first_pulse_of_a_train_begins_a_sweep_and_each_is_told(recorded: Recorded) -> None:
    said = recorded.said(iter(recorded.blocks))
    pulses = [m.fields["pulse"] for m in of(said, "stim") if m.fields["test"] == "tof"]
    assert pulses == ([1, 2, 3, 4] * len(pulses))[: len(pulses)] and len(pulses) >= 8
    sweeps = of(said, "sweep.tof")
    firsts = [m.index for m in of(said, "stim") if m.fields["test"] == "tof" and m.fields["pulse"] == 1]
    assert [m.fields["trigger_index"] for m in sweeps] == firsts[: len(sweeps)]


def test_a_recording_without_proofs_counts_trains_alike(recorded: Recorded) -> None:
    proven, bare = recorded.said(iter(recorded.blocks)), recorded.said(iter(recorded.blocks), [])
    numbers = [
        [(m.index, m.fields["line"], m.fields["pulse"]) for m in of(s, "stim")] for s in (proven, bare)
    ]
    assert numbers[0] == numbers[1]


def test_both_polarities_are_sweeps_of_the_test(recorded: Recorded) -> None:
    said = recorded.said(iter(recorded.blocks))
    lines = [m.fields["line"] for m in of(said, "stim") if m.fields["test"] == "left"]
    assert set(lines) == {1, 2} and all(a != b for a, b in pairwise(lines))
    told = {m.fields["trigger_index"] for m in of(said, "sweep.left")}
    assert {m.index for m in of(said, "stim") if m.fields["test"] == "left"} - told <= {
        m.index for m in of(said, "stim") if m.index > 31_000
    }


def test_the_current_of_every_pulse_is_measured_and_judged_in_that_pulse() -> None:
    said = Recorded(6.0, scenario=OPEN)
    for m in of(said.said(iter(said.blocks)), "stim"):
        f, at_s = m.fields, m.index / 4000
        if m.index < 40:  # nothing to compare with before it
            assert f["delivery"] == "unknown" and "samples of baseline" in f["delivery_text"]
            continue
        line_open = at_s > 4.0 and f["line"] == 1
        share = 0.0 if line_open else 0.6 if at_s > 2.0 else 1.0
        assert f["delivery"] == {0.0: "open", 0.6: "low", 1.0: "ok"}[share], f
        expected = share * f["commanded_ma"]
        assert abs(f["current_ma"] - expected) < max(4 * f["current_error_ma"], 0.05)


def test_a_lost_current_is_one_alert_a_test_and_a_worse_one_is_told_anew() -> None:
    said = Recorded(6.0, scenario=OPEN)
    alerts = [m.fields for m in of(said.said(iter(said.blocks)), "alert") if m.fields["test"] == "left"]
    assert [(a["priority"], a["evidence"]["stop"]) for a in alerts[:2]] == [("medium", False), ("high", True)]
    assert alerts[0]["id"] == alerts[1]["id"]
    assert alerts[1]["evidence"]["first_cause"] == alerts[0]["text"]


def test_sweeps_in_electrosurgery_are_rejected_for_it(recorded: Recorded) -> None:
    said = recorded.said(iter(recorded.blocks))
    events = [(m.fields["text"], m.index) for m in of(said, "event") if m.fields["kind"] == "electrosurgery"]
    (begun, on), (ended, off) = events
    assert begun == "electrosurgery has begun"
    told = re.fullmatch(r"electrosurgery has ended: 1\.1 s, (0\.\d) s of them kept out of averages", ended)
    assert told and 0.6 <= float(told[1]) <= 0.7
    assert 20_000 <= on <= 20_080 and 22_400 <= off <= 24_600
    for m in of(said, "sweep.left"):
        index = m.fields["trigger_index"]
        if 20_000 <= index < 22_400:
            assert m.fields["reason"] == "electrosurgery" and not m.fields["accepted"]
    # The first that has a quiet interval before it counts again, while it still holds on.
    sweeps = [m for m in said if m.topic.startswith("sweep.") and m.index > 22_400]
    again = min(m.index for m in sweeps if m.fields["accepted"])
    assert 22_400 < again < min(off, 22_400 + 2400), (again, off)


def fault(pipeline: Pipeline, index: int, code: str = "stuck") -> list[Outgoing]:
    args: dict[str, Any] = {"code": code, "text": f"line 1 {code}", "line": 1, "index": index}
    return pipeline.command("stim.fault", args)


def test_a_fault_rejects_the_sweep_that_sees_it_and_raises_one_alert() -> None:
    one = Recorded(3.0)
    pipeline = Pipeline(one.case, one.description)
    for args in one.plans:
        pipeline.command("stim.plan", args)
        pipeline.command("test.start", {"test": args["test"], "author": ""})
    seen = [p.seen for p in one.proofs if p.line in (1, 2)][3]
    messages: list[Outgoing] = []
    for block in one.blocks:
        if block.first_index <= seen + 20 < block.end_index:
            messages += fault(pipeline, seen + 8) + fault(pipeline, seen + 9, "unexpected")
        for proof in one.proofs:
            if block.first_index <= proof.seen < block.end_index:
                messages += pipeline.prove(proof)
        messages += pipeline.feed(block)
    sweeps = {m.fields["trigger_index"]: m.fields for m in of(messages + pipeline.finish(), "sweep.left")}
    assert sweeps[seen]["reason"] == "stimulus fault" and not sweeps[seen]["accepted"]
    alerts = [m.fields for m in of(messages, "alert")]
    assert [a["state"] for a in alerts] == ["raised", "cleared"], "cleared by the next proven pulse"
    assert alerts[0]["priority"] == "high" and alerts[0]["text"] == "line 1 stuck", "the first cause"
    assert alerts[0]["evidence"]["line"] == 1 and alerts[0]["evidence"]["site"] == "left median"


def test_pulses_of_a_plan_that_was_replaced_enter_no_new_average(recorded: Recorded) -> None:
    pipeline = Pipeline(recorded.case, recorded.description)
    for args in recorded.plans:
        pipeline.command("stim.plan", args)
        pipeline.command("test.start", {"test": args["test"], "author": ""})
    messages: list[Outgoing] = []
    waiting, changed = list(recorded.proofs), recorded.blocks[150].first_index
    for block in recorded.blocks[:400]:
        if block.first_index == changed:
            rate = {"test": "left", "rate_hz": 4.5977, "period": 870, "author": ""}
            pipeline.command("test.rate", rate)
            newer = next(a for a in recorded.plans if a["test"] == "left") | {"command": 1000}
            pipeline.command("stim.plan", newer)
        while waiting and waiting[0].commanded < block.end_index:
            messages += pipeline.prove(waiting.pop(0))
        messages += pipeline.feed(block)
    assert [m for m in of(messages, "stim") if m.fields["test"] == "left" and m.index > changed]
    assert not [m for m in of(messages, "sweep.left") if m.fields["trigger_index"] >= changed]
    assert [m for m in of(messages, "sweep.tof") if m.fields["trigger_index"] >= changed]


@pytest.mark.control("H10.3")
def test_another_rate_is_another_average_and_another_baseline() -> None:
    messages = simulate(8.0)
    assert max(m.fields["n_sweeps"] for m in of(messages, "average.left_median")) > 16
    one = Recorded(12.0, casefile.procedure("median_ssep"))
    pipeline = Pipeline(one.case, one.description)
    said: list[Outgoing] = []
    for test in ("left_median", "right_median"):
        pipeline.command("test.start", {"test": test, "author": ""})
    for block in one.blocks:
        if block.first_index == 32_000:
            pipeline.command("baseline.set", {"test": "left_median", "author": ""})
            args = {"test": "left_median", "rate_hz": 4.5977, "period": 870, "author": ""}
            said += pipeline.command("test.rate", args)
        said += pipeline.feed(block)
    left = [m.fields for m in of(said, "average.left_median") if m.index > 32_000]
    assert left[0]["n_sweeps"] <= 2 and left[0]["rate_hz"] == 4.5977
    (cleared,) = of(said, "baseline.left_median")
    assert cleared.fields["n_sweeps"] == 0
    right = [m.fields["n_sweeps"] for m in of(said, "average.right_median")]
    assert right == sorted(right), "the other test goes on"
