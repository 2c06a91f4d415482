"""The pipeline: a pure function of samples and timed commands, whose averages are what the sweeps say."""

import itertools
import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.simulated import SimulatedSource
from hostd import casefile, wire
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.link import Description, Stimulus
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Change, NoiseChange, Scenario
from hw.samples import Gap, SampleBlock
from tests.support.lockstep import simulate, start

BASE = casefile.procedure("median_ssep")
SOON = replace(BASE.tests[0].stimulus, lockout_ms=10.0)  # the other limb's window does not keep it off
# Two limbs at unlike rates, short averages, both kinds of baseline, so that everything happens in 12 s.
CASE = replace(
    BASE,
    tests=(
        replace(
            BASE.tests[0],
            stimulus_hz=2.692,
            sweeps=32,
            baseline_sweeps=16,
            window_ms=(-10.0, 120.0),
            stimulus=SOON,
        ),
        # The second test's own baseline falls just behind the first one's, but is known before it.
        replace(BASE.tests[1], stimulus_hz=4.703, sweeps=32, baseline_sweeps=28, stimulus=SOON),
    ),
)
LEFT, RIGHT = (t.name for t in CASE.tests)
SECONDS = 12.0
QUIET = NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0)
CALM = NoiseChange(0.0, emg=0.1, mains=0.1, eeg=0.3)
CALM_BODY = Scenario(noise=(CALM,))

Item = SampleBlock | Stimulus
Commands = Sequence[tuple[int, str, dict[str, Any]]]
STARTS: Commands = tuple((0, "test.start", {"test": name, "author": ""}) for name in (LEFT, RIGHT))


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an edge sent: blocks and proofs in order."""

    description: Description
    items: tuple[Item, ...]

    @property
    def end(self) -> int:
        return max(i.end_index for i in self.items if isinstance(i, SampleBlock))


@cache
def recorded(seed: int = 1, scenario: Scenario = NO_CHANGE) -> Recorded:
    source = SimulatedSource(None, SECONDS, seed, scenario)
    description = source.configure(configure_message(CASE))
    start(source, CASE, description)
    items: list[Item] = []
    source.run(
        lambda i: items.append(i) if isinstance(i, SampleBlock | Stimulus) else None, threading.Event()
    )
    return Recorded(description, tuple(items))


def split(block: SampleBlock, cuts: Iterable[int]) -> list[SampleBlock]:
    """`block` in pieces that end at the given indices."""
    edges = sorted(
        {block.first_index, block.end_index, *(c for c in cuts if block.first_index < c < block.end_index)}
    )
    pieces = []
    for first, end in itertools.pairwise(edges):
        rows = slice(first - block.first_index, end - block.first_index)
        gaps = block.gaps if first == block.first_index else ()
        pieces.append(SampleBlock(first, block.counts[rows], block.trigger_bits[rows], 0, gaps))
    return pieces


def joined(blocks: Sequence[SampleBlock]) -> SampleBlock:
    """Contiguous blocks as one."""
    counts = np.concatenate([b.counts for b in blocks])
    bits = np.concatenate([b.trigger_bits for b in blocks])
    return SampleBlock(blocks[0].first_index, counts, bits, 0, blocks[0].gaps)


def lossy(items: Iterable[Item], lost: Sequence[tuple[int, int]]) -> list[Item]:
    """The same with the samples of every (index, length) in `lost` gone, and named as gaps."""
    out: list[Item] = []
    gaps: list[Gap] = []
    for item in items:
        if isinstance(item, Stimulus):
            out.append(item)
            continue
        edges = [index for first, length in lost for index in (first, first + length)]
        for piece in split(item, edges):
            if any(first <= piece.first_index < first + length for first, length in lost):
                if gaps and gaps[-1].index + gaps[-1].length == piece.first_index:
                    gaps[-1] = replace(gaps[-1], length=gaps[-1].length + len(piece.counts))
                else:
                    gaps.append(Gap(piece.first_index, len(piece.counts), "missed"))
            else:
                out.append(replace(piece, gaps=tuple(gaps)))
                gaps = []
    return out


def resplit(items: Sequence[Item], cuts: Sequence[int], commands: Commands) -> list[Item]:
    """Contiguous blocks joined and cut again at `cuts` and at the commands; proofs first."""
    out: list[Item] = [i for i in items if isinstance(i, Stimulus)]
    run: list[SampleBlock] = []
    for item in [*(i for i in items if isinstance(i, SampleBlock)), None]:
        if run and (item is None or item.gaps or item.first_index != run[-1].end_index):
            out += split(joined(run), [*cuts, *(index for index, _, _ in commands)])
            run = []
        if item is not None:
            run.append(item)
    return out


def play(recording: Recorded, items: Iterable[Item], commands: Commands = STARTS) -> list[Outgoing]:
    """Every message of `items`, with commands at their sample indices (which begin a block)."""
    pipeline = Pipeline(CASE, recording.description)
    due = list(commands)
    messages: list[Outgoing] = []
    for item in items:
        if isinstance(item, Stimulus):
            messages += pipeline.prove(item)
            continue
        while due and due[0][0] <= item.first_index:
            _, name, args = due.pop(0)
            messages += pipeline.command(name, args)
        messages += pipeline.feed(item)
    return messages + pipeline.finish()


def by_topic(messages: Iterable[Outgoing]) -> dict[str, list[bytes]]:
    """Messages as they would lie on the wire, per topic in order."""
    out: dict[str, list[bytes]] = {}
    for m in messages:
        header, parts = wire.pack_arrays(m.fields)
        out.setdefault(m.topic, []).append(b"".join(wire.encode(str(m.index), header, parts)))
    return out


def of(messages: Iterable[Outgoing], topic: str) -> list[Outgoing]:
    return [m for m in messages if m.topic == topic]


def command(index: int, name: str, test: str) -> tuple[int, str, dict[str, Any]]:
    return index, name, {"test": test, "author": "me"}


BUSY: Commands = (
    *STARTS,
    command(8_000, "test.stop", LEFT),
    (12_345, "mark", {"text": "dura", "kind": "note", "author": "me"}),
    command(16_001, "test.start", LEFT),
    command(30_000, "baseline.set", RIGHT),
    command(35_555, "baseline.clear", RIGHT),
    command(43_000, "test.stop", RIGHT),
)
LOST = [(20_000, 7), (33_333, 400), (41_000, 1)]


@cache
def reference(lost: bool, busy: bool) -> dict[str, list[bytes]]:
    recording = recorded(1, CALM_BODY)
    commands = BUSY if busy else STARTS
    items = lossy(recording.items, LOST) if lost else recording.items
    cut: list[Item] = []
    for item in items:
        cut += split(item, [i for i, _, _ in commands]) if isinstance(item, SampleBlock) else [item]
    return by_topic(play(recording, cut, commands))


def same(lost: bool, busy: bool, cuts: Sequence[int]) -> None:
    recording = recorded(1, CALM_BODY)
    commands = BUSY if busy else STARTS
    items = lossy(recording.items, LOST) if lost else list(recording.items)
    got = by_topic(play(recording, resplit(items, cuts, commands), commands))
    wanted = reference(lost, busy)
    assert set(got) == set(wanted)
    for topic in wanted:
        assert len(got[topic]) == len(wanted[topic]), topic
        assert got[topic] == wanted[topic], topic


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("busy", [False, True])
def test_one_block_or_blocks_of_any_length_give_the_same_bits(lost: bool, busy: bool) -> None:
    end = recorded(1, CALM_BODY).end
    same(lost, busy, [])
    same(lost, busy, range(0, end, 400))
    same(lost, busy, range(13, end, 1777))


def test_single_samples_give_the_same_bits() -> None:
    same(True, True, range(6_000, 22_000))


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3_000))
def test_any_splits_give_the_same_bits(seed: int, mean_samples: int) -> None:
    end = recorded(1, CALM_BODY).end
    cuts = random.Random(seed).sample(range(end), max(1, end // mean_samples))
    same(True, True, cuts)


def test_the_reference_itself_has_everything_in_it() -> None:
    wanted = reference(True, True)
    families = {topic.partition(".")[0] for topic in wanted}
    assert families == {"stim", "sweep", "average", "measure", "event", "baseline", "mains", "case", "plugs"}
    assert len(wanted[f"average.{LEFT}"]) > 15 and len(wanted[f"average.{RIGHT}"]) > 35
    assert len(wanted["stim"]) > 80
    lossless = by_topic(simulate(SECONDS, CASE, 1, CALM_BODY))
    assert lossless == reference(False, False), "the lockstep simulation is this very chain"


def test_another_seed_gives_other_bits() -> None:
    other = by_topic(play(recorded(2, CALM_BODY), recorded(2, CALM_BODY).items))
    assert other[f"average.{LEFT}"] != reference(False, False)[f"average.{LEFT}"]


def check_averages(messages: Sequence[Outgoing], test: str) -> int:
    """Every average is the weighted mean of accepted sweeps told before it, and counts them; how many."""
    sweeps: list[dict[str, Any]] = []
    checked = 0
    for m in messages:
        f = dict(m.fields)
        if m.topic == "event" and f["text"] == f"test.start {test}":
            sweeps = []
        if m.topic == f"sweep.{test}":
            sweeps.append(f)
        if m.topic != f"average.{test}":
            continue
        used = [s for s in sweeps if f["first_index"] <= s["trigger_index"] <= f["last_index"]]
        accepted = [s for s in used if s["accepted"]]
        assert f["n_sweeps"] == len(accepted) and f["n_rejected"] == len(used) - len(accepted)
        if accepted:
            weights = np.array([s["weights"] for s in accepted])
            stacked = np.stack([s["sweep_uv"].astype(np.float64) for s in accepted])
            mean = np.einsum("ktd,kd->td", stacked, weights) / weights.sum(axis=0)
            np.testing.assert_allclose(f["mean_uv"], mean, atol=1e-4)
            effective = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
            np.testing.assert_allclose(f["n_effective_each"], effective, rtol=1e-6)
            checked += 1
    return checked


def test_averages_are_the_weighted_means_of_the_accepted_sweeps() -> None:
    recording = recorded()
    for commands, lost in ((STARTS, []), (BUSY, LOST)):
        items = resplit(lossy(recording.items, lost), range(0, recording.end, 40), commands)
        messages = play(recording, items, commands)
        assert check_averages(messages, LEFT) > 15
        assert check_averages(messages, RIGHT) > 35


@pytest.mark.control("H9.3")
@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 46_000), st.integers(1, 900)), min_size=1, max_size=6))
def test_no_average_ever_uses_a_sweep_that_a_gap_touched(lost: list[tuple[int, int]]) -> None:
    recording = recorded()
    messages = play(recording, lossy(recording.items, lost))
    for test, plan in ((LEFT, CASE.tests[0]), (RIGHT, CASE.tests[1])):
        check_averages(messages, test)
        for m in of(messages, f"sweep.{test}"):
            first = m.index + plan.window_ms[0] * 4
            last = m.index + plan.window_ms[1] * 4 - 2
            if any(index <= last and index + length > first for index, length in lost):
                assert not m.fields["accepted"] and m.fields["reason"] in ("gap", "settling")
                assert m.fields["weights"] == [0.0] * len(plan.derivations)
            if m.fields["reason"] == "gap":
                assert m.fields["sweep_uv"].shape == (0, len(plan.derivations))


def test_a_gap_inside_a_window_rejects_that_sweep_and_a_lost_trigger_makes_none() -> None:
    recording = recorded()
    whole = of(play(recording, recording.items), f"sweep.{LEFT}")
    hit, missed = whole[10].index, whole[20].index
    lost = [(hit + 100, 5), (missed - 2, 10)]
    messages = play(recording, lossy(recording.items, lost))
    sweeps = {m.index: m.fields["reason"] for m in of(messages, f"sweep.{LEFT}")}
    assert sweeps[hit] == "gap"
    assert missed not in sweeps, "the rising edge was never seen"
    told = [m for m in of(messages, "stim") if m.index == missed]
    assert told == [], "a stimulus whose sample was lost is neither proven nor refuted"
    untouched = set(sweeps) - {hit}
    assert untouched == {m.index for m in whole} - {hit, missed}
    pipeline = Pipeline(CASE, recording.description)
    for item in lossy(recording.items, lost):
        if isinstance(item, SampleBlock):
            pipeline.feed(item)
    assert (pipeline.lost_samples, pipeline.gaps) == (15, 2)
    assert pipeline.samples + pipeline.lost_samples == recording.end == pipeline.next_index


def test_a_stopped_test_takes_no_sweeps_and_starts_a_new_average() -> None:
    recording = recorded()
    stop, start = 19_400, 36_000  # just behind a stimulus
    commands = [*STARTS, command(stop, "test.stop", LEFT), command(start, "test.start", LEFT)]
    messages = play(recording, resplit(recording.items, range(0, recording.end, 40), commands), commands)
    taken = [m.index for m in of(messages, f"sweep.{LEFT}")]
    reach = round(CASE.tests[0].window_ms[1] * 4)
    assert not [i for i in taken if stop - reach < i < start], "sweeps under way are dropped"
    first = next(m for m in of(messages, f"average.{LEFT}") if m.index >= start)
    assert first.fields["n_sweeps"] <= 2 and first.fields["first_index"] >= start
    whole = by_topic(play(recording, recording.items))
    assert by_topic(messages)[f"sweep.{RIGHT}"] == whole[f"sweep.{RIGHT}"], "the other test goes on"
    events = [(m.index, m.fields["kind"], m.fields["author"]) for m in of(messages, "event")]
    assert (stop, "test.stop", "me") in events and (start, "test.start", "me") in events


def test_the_automatic_baseline_comes_at_its_sweep_and_changes_are_against_it() -> None:
    recording = recorded(1, CALM_BODY)
    messages = play(recording, recording.items)
    for test, plan in zip((LEFT, RIGHT), CASE.tests, strict=True):
        (baseline,) = of(messages, f"baseline.{test}")
        assert baseline.fields["n_sweeps"] == plan.baseline_sweeps
        event = next(
            m
            for m in of(messages, "event")
            if m.fields["kind"] == "baseline" and plan.site in m.fields["text"]
        )
        assert event.index == baseline.index and event.fields["author"] == "auto"
        average = next(m for m in of(messages, f"average.{test}") if m.index == baseline.index)
        assert average.fields["mean_uv"].tobytes() == baseline.fields["mean_uv"].tobytes()
        check_changes(messages, test, baseline.index, None)


def check_changes(messages: Sequence[Outgoing], test: str, set_at: int, cleared_at: int | None) -> None:
    """`measure` compares with the measure at `set_at` from then on, until `cleared_at`."""
    measures = of(messages, f"measure.{test}")
    base = {p["name"]: p for p in next(m for m in measures if m.index == set_at).fields["peaks"]}
    compared = 0
    for m in measures:
        for p in m.fields["peaks"]:
            if m.index < set_at or (cleared_at is not None and m.index >= cleared_at):
                assert p["baseline_latency_ms"] is p["baseline_amplitude_uv"] is p["change_pct"] is None
                continue
            of_then = base[p["name"]]
            assert p["baseline_latency_ms"] == of_then["latency_ms"]
            assert p["baseline_amplitude_uv"] == of_then["amplitude_uv"]
            if p["present"] and of_then["present"] and of_then["amplitude_ci_uv"][0] > 0.0:
                wanted = 100 * (p["amplitude_uv"] / of_then["amplitude_uv"] - 1)
                assert p["change_pct"] == pytest.approx(wanted)
                compared += 1
            else:
                assert p["change_pct"] is None
    assert compared > 10


@pytest.mark.control("H10.5")
def test_a_baseline_by_command_replaces_and_a_cleared_one_compares_with_nothing() -> None:
    recording = recorded(1, CALM_BODY)
    at, cleared = 32_000, 40_600  # no sweep of the right limb is under way then
    commands = [*STARTS, command(at, "baseline.set", RIGHT), command(cleared, "baseline.clear", RIGHT)]
    messages = play(recording, resplit(recording.items, [], commands), commands)
    automatic, chosen, none = of(messages, f"baseline.{RIGHT}")
    assert (automatic.index, chosen.index, none.index) == (automatic.index, at, cleared)
    latest = [m.fields for m in of(messages, f"average.{RIGHT}") if m.fields["last_index"] <= at][-1]
    assert chosen.fields["last_index"] == latest["last_index"] > at - 4000
    assert chosen.fields["mean_uv"].tobytes() == latest["mean_uv"].tobytes()
    assert none.fields["n_sweeps"] == 0 and none.fields["mean_uv"].shape == (0, 4)
    for m in of(messages, f"measure.{RIGHT}"):
        p = m.fields["peaks"][0]
        assert (p["baseline_latency_ms"] is None) == (
            m.index < automatic.index or m.fields["last_index"] >= cleared
        )


@pytest.mark.control("H10.1")
def test_a_baseline_of_too_few_sweeps_is_refused_and_changes_nothing() -> None:
    recording = recorded()
    pipeline = Pipeline(CASE, recording.description)
    pipeline.command("test.start", {"test": LEFT, "author": ""})
    with pytest.raises(ValueError, match="a baseline needs 16 sweeps, there are 0"):
        pipeline.command("baseline.set", {"test": LEFT, "author": ""})
    with pytest.raises(ValueError, match=f"test {LEFT} has no baseline"):
        pipeline.command("baseline.clear", {"test": LEFT, "author": ""})
    with pytest.raises(ValueError, match="no command of the pipeline"):
        pipeline.command("test.pause", {"test": LEFT, "author": ""})


def test_a_case_that_does_not_fit_the_stream_is_refused_when_built() -> None:
    description = replace(
        recorded().description, channels=CASE.channels[:3], lsb_uv=(1.0,) * 3, offset_uv=(0.0,) * 3
    )
    with pytest.raises(ValueError, match="channels"):
        Pipeline(CASE, description)


def test_stimuli_are_told_with_their_proof_and_without_one_as_found() -> None:
    recording = recorded()
    proven = of(play(recording, recording.items), "stim")
    assert len(proven) > 80 and all(m.fields["verified"] for m in proven)
    assert {m.fields["lag_samples"] for m in proven} <= {1, 2}
    for test in (LEFT, RIGHT):
        numbers = [m.fields["number"] for m in proven if m.fields["test"] == test]
        assert numbers == list(range(1, len(numbers) + 1))
    found = of(play(recording, [i for i in recording.items if isinstance(i, SampleBlock)]), "stim")
    assert [m.index for m in found] == [m.index for m in proven]
    assert all(m.fields["command_id"] is m.fields["number"] is m.fields["lag_samples"] is None for m in found)
    assert all(m.fields["verified"] for m in found)


FAST = replace(
    BASE,
    tests=tuple(replace(t, stimulus_hz=4.703, sweeps=48, baseline_sweeps=36) for t in BASE.tests),
)


@pytest.mark.control("H14.3")
@pytest.mark.parametrize("seed", [1, 3])
def test_a_response_removed_is_absent_in_the_next_average_and_the_other_limbs_is_not(seed: int) -> None:
    rate_hz = 4000
    gone_s = 10.27  # between the 48th sweep of either limb and the next one
    gone = Change(gone_s, site=FAST.tests[0].site, amplitude=0.0)
    messages = simulate(21.0, FAST, seed, Scenario((gone,), (CALM,)))
    for test, stays in ((LEFT, False), (RIGHT, True)):
        finals = [m for m in of(messages, f"measure.{test}") if m.fields["final"]]
        averages = {m.index: m.fields for m in of(messages, f"average.{test}")}
        before = [m for m in finals if averages[m.index]["last_index"] < gone_s * rate_hz]
        after = [m for m in finals if averages[m.index]["first_index"] >= gone_s * rate_hz]
        assert before and after
        for m in before:
            assert [p["present"] for p in m.fields["peaks"]] == [True] * 3, f"{test} before"
        for m in after[:1]:
            for p in m.fields["peaks"]:
                assert p["present"] is stays, (test, p)
                assert p["noise_uv"] > 0
                if not stays:
                    assert p["latency_ms"] is p["amplitude_uv"] is p["change_pct"] is None
                    assert p["baseline_amplitude_uv"] is not None, "what was lost stays named"


def test_a_halved_cortical_response_reads_as_half_and_the_nerve_as_whole() -> None:
    short = replace(FAST, tests=tuple(replace(t, sweeps=24, baseline_sweeps=20) for t in FAST.tests))
    half = Change(5.3, site=FAST.tests[0].site, response="cortical", amplitude=0.5)
    messages = simulate(11.0, short, 1, Scenario((half,), (QUIET,)), converter_noise=False)
    kept = {}
    for test in (LEFT, RIGHT):
        last = {p["name"]: p["change_pct"] for p in of(messages, f"measure.{test}")[-1].fields["peaks"]}
        kept[test] = 1 + last["N20"] / 100
        assert last["N9"] == pytest.approx(0.0, abs=3.0)
    # Against the other limb, since the rate itself has tired the cortex since the baselines were taken.
    assert kept[LEFT] / kept[RIGHT] == pytest.approx(0.5, abs=0.04)


@pytest.mark.control("H12.3")
@pytest.mark.parametrize("later_ms", [0.0, 2.0])
def test_without_noise_the_latency_is_the_true_one(later_ms: float) -> None:
    scenario = Scenario((Change(0.0, latency_ms=later_ms),), (QUIET,))
    messages = simulate(9.0, BASE, 1, scenario, converter_noise=False)
    patient = Patient(BASE.channels, BASE.rate_hz, 1, scenario=scenario)
    for plan in BASE.tests:
        peaks = {p["name"]: p for p in of(messages, f"measure.{plan.name}")[-1].fields["peaks"]}
        n20 = peaks["N20"]
        active, reference = n20["derivation"].split("-")
        true = next(
            t
            for t in patient.truth(plan.site, (active, reference), stimulus_hz=plan.stimulus_hz)
            if t.name == "N20"
        )
        assert n20["present"] is True
        assert n20["latency_ms"] == pytest.approx(true.latency_ms, abs=0.02)
        low, high = n20["latency_ci_ms"]
        assert low <= n20["latency_ms"] <= high


def test_averages_come_no_more_often_than_five_a_second_and_the_last_one_always() -> None:
    quick: Case = replace(
        BASE, tests=(replace(BASE.tests[0], stimulus_hz=9.7, sweeps=1000, window_ms=(-10.0, 60.0)),)
    )
    messages = simulate(8.0, quick, 1)
    averages = of(messages, f"average.{LEFT}")
    apart = np.diff([m.fields["last_index"] for m in averages[:-1]])
    assert apart.min() >= 800
    sweeps = of(messages, f"sweep.{LEFT}")
    assert averages[-1].fields["last_index"] == sweeps[-1].index
    assert len(averages) < len(sweeps)
