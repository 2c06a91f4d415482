"""A slice of the stimulus campaign (`make faults` runs it whole), and that it can fail."""

import importlib
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from hw import limits
from hw.link import NOT_SEEN, Reply, StimPlan
from tests.support.looped import Looped, plan

SEQUENCES, COMPILED, SIMULATED, FAULTS = 2_000, 50_000, 5_000, 400


@cache
def campaign(part: str) -> Any:
    """A module of tests.stimuli, when a test needs it: a clone's first import compiles it, half a minute."""
    return importlib.import_module(f"tests.stimuli.{part}")


@pytest.mark.control("H1.9")
def test_random_commands_losses_and_faults_never_do_what_may_never_be() -> None:
    done = campaign("sequences").run_all(0, SEQUENCES)
    assert done.wrong == ()
    tally = done.tally
    assert tally["pulses"] > 10 * SEQUENCES and tally["trains cut"] > SEQUENCES / 10, "it is worth its name"
    assert min(tally.values()) > 10


FOUND_AS = {
    "grid": "unfired stimulus that was none",
    "guard": "within another plan's stimulus or window",
    "spacing": "less than 5 ms",
    "arm": "not armed was accepted",
    "hold": "held too long",
    "interval": "not the next one",
    "line": "another line",
    "dose": "above its ceiling",
    "lock": "while the box is locked",
    "stop": "does not run",
    "proofs unheard": "without a proof",
    "unfired unheard": "neither fired nor told",
    "replies unheard": "not answered exactly once",
    "a wire that lies": "proof seen at the wrong sample",
}


@pytest.mark.parametrize("tamper", FOUND_AS)
def test_what_is_broken_is_found(tamper: str) -> None:
    done = campaign("sequences").run_all(0, 400, tamper)
    assert sum(FOUND_AS[tamper] in wrong for wrong in done.wrong) >= 3


def test_everything_that_can_be_broken_was() -> None:
    assert list(FOUND_AS) == list(campaign("sequences").TAMPERS[1:])


def test_every_pulse_of_the_compiled_steps_is_matched() -> None:
    matched = campaign("pulses").compiled(COMPILED)
    assert matched.wrong == ()
    assert matched.pulses >= COMPILED and set(matched.lags) == {1, 2, 3}


def test_a_wire_that_is_one_sample_later_matches_nowhere() -> None:
    assert len(campaign("pulses").compiled(2100, lie=True).wrong) == 3 * len(campaign("pulses").RATES)


def test_every_pulse_through_the_simulated_box_is_matched_with_its_edge() -> None:
    matched = campaign("pulses").simulated(SIMULATED)
    assert matched.wrong == ()
    assert matched.pulses >= SIMULATED
    assert matched.lags == {1: matched.pulses}, "trigger to sample: no error"


def test_faults_are_found_on_their_line_at_their_sample() -> None:
    done = campaign("faults").run_all(0, FAULTS)
    assert done.wrong == ()
    assert set(done.kinds) == set(campaign("faults").KINDS[1:-1]) and min(done.kinds.values()) > FAULTS / 20
    longest = max(delay for held in done.delays.values() for delay in held)
    assert longest <= limits.RETURN_WITHIN_SAMPLES


def test_no_fault_is_invented() -> None:
    done = campaign("faults").run_all(0, FAULTS, injected=False)
    assert done.wrong == () and done.n == FAULTS


def test_an_edge_that_is_later_than_it_may_be_is_missing() -> None:
    """Found by the campaign: an edge one sample too late was its proof."""
    box = Looped(lag=limits.RETURN_WITHIN_SAMPLES + 1)
    box.sequencer.start(plan(period=400, phase=10, hold=6))
    box.run(100)
    assert [p.seen for p in box.proofs] == [NOT_SEEN]
    assert [code for code, _ in box.faults] == ["missing"]


def single(number: int, line: int) -> StimPlan:
    return replace(plan(number, line, period=0, count=1), phase=0)


def test_a_shot_whose_wait_passed_while_samples_were_lost_does_not_fire() -> None:
    """Found by the campaign: it fired behind the loss, however long that was."""
    box = Looped(4000.0)
    box.sequencer.start(replace(plan(1, 1, period=20_000), guard=2000))
    box.run(10)
    assert box.sequencer.start(single(2, 2)) is None
    box.run(20).lose(9000).run(9100)
    assert box.rises(2) == []
    said = [m.refusal for m in box.sequencer.said if isinstance(m, Reply) and m.command == 102]
    assert len(said) == 1 and "left no room" in said[0]


@pytest.mark.parametrize("first_lost", range(11, 19))
def test_a_loss_within_a_train_is_no_line_that_sticks(first_lost: int) -> None:
    """Found by the campaign: the pulse ended in the loss, and the next one was due right behind it."""
    box = Looped(4000.0)
    train = replace(plan(1, 1, period=4000, phase=10, hold=8), pulses=3, interval=10)
    assert box.sequencer.start(train) == ""
    box.run(first_lost).lose(20 - first_lost).run(200)
    assert box.faults == []
