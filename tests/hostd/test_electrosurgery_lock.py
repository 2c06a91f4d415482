"""Electrosurgery seen in the samples: nothing fires until it is over, and its sweeps are rejected."""

import random
import threading
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from firmware.simulated import SimulatedSource
from hostd import casefile, daemon
from hostd.audit_check import check
from hostd.daemon import configure_message
from hostd.edge_events import EdgeEvents
from hostd.errors import LinkError
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.stim_status import StimStatus
from hostd.stimulation import Stimulation
from hostd.store import read_rows
from hw.link import LOCK_ELECTROSURGERY, Description, Fault, Lockout, Message, Stimulus
from hw.model.scenario import Electrosurgery, NoiseChange, Scenario
from hw.samples import SampleBlock
from tests.support.lockstep import start
from tests.support.session import Ear, LiveHost, until

BASE = casefile.procedure("median_ssep")
RATE_HZ = 4000
QUICK = replace(
    BASE,
    tests=tuple(replace(t, stimulus_hz=4.703, sweeps=32, baseline_sweeps=16) for t in BASE.tests),
)
HARM = (Electrosurgery(3.55, 0.1), Electrosurgery(5.0, 0.7, mode="coag"))
CALM = NoiseChange(0.0, emg=0.1, mains=0.1, eeg=0.3)


class Link:
    """Where commands go; `broken` refuses them."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken = False

    def __call__(self, message: Message) -> None:
        if self.broken:
            raise LinkError("cut")
        self.sent.append(message)


class Folder:
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def audit(self, actor: str, action: str, detail: object, sample: int) -> None:
        self.noted.append((actor, action))


class Bench:
    """Events of an edge with `lines` lines, and what becomes of them."""

    def __init__(self, lines: int = 4) -> None:
        n = len(BASE.channels)
        description = Description("bench", 4000.0, BASE.channels, (1.0,) * n, (0.0,) * n, 0.0, lines)
        self.link, self.folder = Link(), Folder()
        self.happened: list[tuple[str, int]] = []
        self.faults: list[str] = []
        stimulation = Stimulation(BASE, description, self.link)
        status = StimStatus(BASE, 4000.0)
        happen = lambda kind, value: self.happened.append((kind, value))  # noqa: E731
        self.edge = EdgeEvents(stimulation, status, self.folder, lambda: 7, happen, self.faults)  # type: ignore[arg-type]

    @property
    def locked(self) -> list[int]:
        """What was asked for, lock by lock."""
        assert all(isinstance(m, Lockout) and m.reason == LOCK_ELECTROSURGERY for m in self.link.sent)
        return [m.on for m in self.link.sent if isinstance(m, Lockout)]


@pytest.mark.control("H4.3")
def test_it_locks_the_edge_and_frees_it_and_both_are_noted() -> None:
    bench = Bench()
    bench.edge.electrosurgery(True)
    bench.edge.electrosurgery(False)
    assert bench.locked == [1, 0]
    assert bench.folder.noted == [("evokd", "stim.lock"), ("evokd", "stim.unlock")]
    assert bench.happened == [], "what runs goes on when it is over"


def test_an_edge_that_cannot_stimulate_is_not_locked() -> None:
    bench = Bench(lines=0)
    bench.edge.electrosurgery(True)
    assert bench.locked == [] and bench.faults == []


def test_a_fault_of_the_edge_locks_nothing_by_itself() -> None:
    """An edge that was lost and came back is told again by the intake (tests/hostd/test_taken_back.py)."""
    bench = Bench()
    bench.edge.electrosurgery(True)
    for fault in (Fault("missing", "pulse 3", 0, 90, 1), Fault("link", "the link broke", 0)):
        bench.edge.fault(fault)
    assert bench.locked == [1]
    assert bench.happened == [("edge.fault", 0)] * 2


def test_a_lock_that_cannot_be_sent_is_told() -> None:
    bench = Bench()
    bench.link.broken = True
    bench.edge.electrosurgery(True)
    assert bench.faults == ["cut"]


Session = tuple[Description, tuple[SampleBlock, ...], tuple[Stimulus, ...]]


@cache
def recorded() -> Session:
    source = SimulatedSource(None, 9.0, 1, Scenario(noise=(CALM,), electrosurgery=HARM))
    description = source.configure(configure_message(QUICK))
    start(source, QUICK, description)
    items: list[SampleBlock | Message] = []
    source.run(items.append, threading.Event())
    return (
        description,
        tuple(i for i in items if isinstance(i, SampleBlock)),
        tuple(i for i in items if isinstance(i, Stimulus)),
    )


@cache
def joined() -> tuple[np.ndarray, np.ndarray]:
    blocks = recorded()[1]
    return np.concatenate([b.counts for b in blocks]), np.concatenate([b.trigger_bits for b in blocks])


def play(cuts: Iterable[int]) -> list[Outgoing]:
    description, _, proofs = recorded()
    counts, bits = joined()
    pipeline = Pipeline(QUICK, description)
    messages: list[Outgoing] = []
    for test in QUICK.tests:
        messages += pipeline.command("test.start", {"test": test.name, "author": ""})
    for proof in proofs:
        messages += pipeline.prove(proof)
    for first, end in pairwise(sorted({0, len(counts), *cuts})):
        messages += pipeline.feed(SampleBlock(first, counts[first:end], bits[first:end]))
    return messages + pipeline.finish()


def plain(messages: Iterable[Outgoing]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for m in messages:
        fields = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in m.fields.items()}
        out.setdefault(m.topic, []).append(f"{m.index} {fields!r}")
    return out


@cache
def reference() -> list[Outgoing]:
    return play(range(0, 9 * RATE_HZ, 40))


def test_the_reference_has_both_events_and_baselines_close_to_them() -> None:
    events = [(m.fields["kind"], m.index) for m in reference() if m.topic == "event"]
    seen = [index for kind, index in events if kind == "electrosurgery"]
    assert len(seen) == 4
    begun = [14_200, 20_000]
    for at, on in zip(begun, seen[::2], strict=True):
        assert at < on <= at + 0.03 * RATE_HZ
    for off, ended in zip((14_600, 22_800), seen[1::2], strict=True):
        assert off + 0.45 * RATE_HZ <= ended <= off + 0.6 * RATE_HZ
    baselines = [index for kind, index in events if kind == "baseline"]
    assert any(abs(one - other) < 0.7 * RATE_HZ for one in baselines for other in seen), (
        "or order is no matter"
    )


@pytest.mark.parametrize(
    "cuts",
    [[], range(1, 9 * RATE_HZ, 3), range(13, 9 * RATE_HZ, 1777), random.Random(2).sample(range(36_000), 90)],
    ids=["one block", "of 3", "of 1777", "any"],
)
def test_blocks_change_nothing_also_not_the_order_of_events(cuts: Iterable[int]) -> None:
    wanted, got = plain(reference()), plain(play(cuts))
    assert set(got) == set(wanted)
    for topic in wanted:
        assert got[topic] == wanted[topic], topic


@pytest.mark.control("H14.4")
def test_sweeps_that_see_it_are_rejected_and_others_are_not() -> None:
    for test in QUICK.tests:
        sweeps = [m.fields for m in reference() if m.topic == f"sweep.{test.name}"]
        for s in sweeps:
            at_s = s["trigger_index"] / RATE_HZ
            for harm in HARM:
                if harm.at_s - 0.08 < at_s - 0.02 and at_s < harm.at_s + harm.for_s:
                    assert s["reason"] == "electrosurgery" and not s["accepted"]
            if 0.5 < at_s < 3.4 or at_s > 6.6:
                assert s["reason"] != "electrosurgery"
        assert any(s["accepted"] for s in sweeps if s["trigger_index"] > 6.6 * RATE_HZ)


@pytest.mark.control("H4.3")
def test_a_whole_host_lets_nothing_fire_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "STATUS_NS", 50_000_000)
    on_s, for_s = 4.0, 3.0
    scenario = Scenario(electrosurgery=(Electrosurgery(on_s, for_s),))
    source = SimulatedSource(4.0, None, 1, scenario)
    with LiveHost(source=source, data=tmp_path) as host, Ear(host.bus, ("status", "event", "stim")) as ear:
        locked = ear.until(
            lambda m: m.topic == "status" and m.header["stimulation"]["locks"] == ["electrosurgery is on"],
            "the lock",
        ).header
        assert host.error("stim.fire", test="left_median")[0] == "bad_state"
        ended = ear.until(
            lambda m: m.topic == "event" and m.header["text"].startswith("electrosurgery has ended"),
            "the end",
        ).header
        (begun,) = [m.header for m in ear.of("event") if m.header["text"] == "electrosurgery has begun"]
        assert begun["index"] < (on_s + 0.05) * RATE_HZ
        assert (on_s + for_s) * RATE_HZ < ended["index"] < (on_s + for_s + 0.7) * RATE_HZ
        later = ear.until(
            lambda m: m.topic == "status" and m.header["index"] > ended["index"] + 6000, "a later status"
        ).header
        assert later["stimulation"]["locks"] == [] and set(later["tests"].values()) == {"running"}
        left_out = {name: test["left_out"] for name, test in later["stimulation"]["tests"].items()}
        assert min(left_out.values()) >= 1
        assert later["stimulation"]["tests"]["left_median"]["last_reason"] == "electrosurgery is on"
        fired = [m.header["index"] for m in ear.of("stim")]
        assert [i for i in fired if locked["index"] < i < ended["index"]] == [], "from then on the edge knew"
        assert max(fired) > ended["index"] and locked["index"] > begun["index"]
        host.ok("case.close")
        host.join()
    (case,) = tmp_path.iterdir()
    until(lambda: not (case / "case.sqlite-wal").exists(), "the database")
    rows = read_rows(case / "case.sqlite", "SELECT action FROM audit WHERE action LIKE 'stim.%lock'")
    assert [action for (action,) in rows] == ["stim.lock", "stim.unlock"]
    report = check(case)
    assert report.why == "" and report.closed and report.pulses == report.edges
