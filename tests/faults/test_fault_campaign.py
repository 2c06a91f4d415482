"""A slice of the fault campaign (`make faults` runs it whole), and that it can fail."""

from typing import Any

import pytest

import firmware.acquisition
import firmware.ring
import firmware.session
import hostd.blocks
import hostd.control_desk
import hostd.recorder
import hostd.states
import hostd.stimulation
import hostd.succession
from tests.faults import __main__ as command
from tests.faults import afflictions, promises
from tests.faults.drama import Played, play
from tests.faults.measured import Measured, SkippedError
from tests.faults.promises import A_CASE, EVERY, LIST, SINGLE, Fault

SLICE = tuple(fault for fault in LIST if fault.ci)
LEAST = 300
Affliction = afflictions.Affliction


@pytest.mark.parametrize("fault", SLICE, ids=lambda fault: fault.name)
def test_its_promise_is_kept(fault: Fault) -> None:
    total = Measured()
    for seed in range(fault.ci):
        total.add(command.one(fault.name, seed))
    assert total.wrong == [] and total.injected >= fault.ci
    assert (total.uncommanded, total.uncounted, total.unopened, total.above) == (0, 0, 0, 0)


def test_the_slice_injects_what_it_should() -> None:
    played = A_CASE * sum(fault.ci for fault in SLICE if fault in SINGLE or fault.name == "all at once")
    assert played + sum(f.ci for f in SLICE if f.name.endswith("_harmed")) >= LEAST


def test_the_same_seed_takes_the_same_steps_and_another_one_others() -> None:
    first, again, other, flood, flooded = (play(seed, EVERY, A_CASE) for seed in (1, 1, 4, 95, 95))
    assert (first.trace, first.steps, first.injected) == (again.trace, again.steps, again.injected)
    assert first.trace != other.trace and first.steps > 1000
    assert (flood.trace, flood.steps) == (flooded.trace, flooded.steps), "also where requests come in floods"


def _complete(start: int, end: int, named: Any) -> Any:
    return named


MUTANTS: dict[str, tuple[Any, str, Any, Affliction, bool, str]] = {
    "heartbeat": (firmware.acquisition, "TIMEOUT_NS", 1 << 60, afflictions.host_killed, True, "nobody asked"),
    "hanging host": (
        *(firmware.acquisition, "TIMEOUT_NS", 1 << 60),
        *(afflictions.host_stopped, False, "nobody asked"),
    ),
    "gap not named": (hostd.blocks, "_complete", _complete, afflictions.link_drops, True, "nobody named"),
    "ring forgets": (
        *(firmware.ring.Ring, "rewind", lambda ring: ring._given.clear()),
        *(afflictions.link_cut, False, "could not be helped"),
    ),
    "gap not on file": (
        *(hostd.recorder.RecordNotes, "announce", lambda *_, **more: None),
        *(afflictions.link_drops, True, ""),
    ),
    "stop": (
        *(hostd.stimulation.Stimulation, "stop", lambda stimulation, test: None),
        *(afflictions.clock_stepped, False, "nobody asked"),
    ),
    "stop said once": (
        *(hostd.stimulation.Stimulation, "remind", lambda stimulation, now_ns: None),
        *(afflictions.link_drops, True, "nobody asked"),
    ),
    "unarmed": (
        *(hostd.states.TestState, "armed", lambda test, index: True),
        *(afflictions.clock_stepped, False, "never armed"),
    ),
    "another edge": (
        *(hostd.succession.Succession, "anew", lambda succession: None),
        *(afflictions.edge_killed, False, ""),
    ),
}
MOST_SEEDS = 40
FAULTS = {"ring forgets": A_CASE}
"""Of one case: what was on the way is rarely lost, since a kernel hands over what it has."""


def _found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Played] | None:
    owner, name, other, affliction, serial, _ = MUTANTS[mutant]
    monkeypatch.setattr(owner, name, other)
    for seed in range(MOST_SEEDS):
        played = play(seed, (affliction,), FAULTS.get(mutant, 3), serial=serial)
        if played.verdict.wrong:
            return seed, played
    return None


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_product_that_breaks_its_promise_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _found(mutant, monkeypatch)
    assert found is not None, "in so many seeds"
    assert any(MUTANTS[mutant][-1] in text for text in found[1].verdict.wrong), found


def test_a_link_that_gives_a_start_and_still_holds_its_stop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It rarely does, so that the seed is named."""
    assert play(3, (afflictions.link_still,), A_CASE).verdict.wrong == []
    monkeypatch.setattr(firmware.session, "SILENT_NS", 1 << 62)
    played = play(3, (afflictions.link_still,), A_CASE)
    assert (played.verdict.uncommanded, len(played.verdict.wrong)) == (1, 1)


def test_a_broken_promise_is_told_with_its_seed_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(seed: int) -> Measured:
        return Measured(1, uncounted=seed == 8, lost_s=3.0 * (seed == 9), wrong=["a sample"] * (seed == 8))

    fault = Fault("link", "broken", "nothing", broken, 3, most_lost_s=2.0)
    monkeypatch.setattr(command, "LIST", (fault,))
    monkeypatch.setattr(command, "find", lambda name: fault)
    assert command.main(["--seed", "7", "--workers", "1"]) == 1
    said = capsys.readouterr().out
    assert "seed 8: a sample" in said and "--only 'broken' --seed 8 --runs 1" in said
    assert "seed 9: 3.00 s lost, promised 2 s at most" in said
    assert "3 faults injected: 0 uncommanded pulses" in said.splitlines()[-1]
    assert command.main(["--seed", "10", "--workers", "1"]) == 0


def test_an_error_of_the_harness_is_a_broken_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(seed: int) -> Measured:
        raise OSError("no such device")

    monkeypatch.setattr(command, "find", lambda name: Fault("power", name, "", fails, 1))
    assert command.one("cut", 5).wrong == ["seed 5: OSError: no such device"]


def test_what_a_machine_cannot_do_is_skipped_with_the_reason_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(seed: int) -> Measured:
        raise SkippedError("packets need root")

    fault = Fault("link", "packets", "nothing lost", cannot, 3)
    monkeypatch.setattr(command, "LIST", (fault,))
    monkeypatch.setattr(command, "find", lambda name: fault)
    assert command.main(["--workers", "1"]) == 0
    shown = capsys.readouterr()
    assert "skipped" in shown.out and "yes" not in shown.out
    assert shown.out.splitlines()[-1].endswith("skipped: packets need root")
    assert "packets: skipped: packets need root" in shown.err


def test_a_late_host_breaks_the_campaign_though_nothing_else_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = Fault("process", "late", "", lambda seed: Measured(1, recovery_s=[2.1]), 1)
    monkeypatch.setattr(command, "LIST", (fault,))
    monkeypatch.setattr(command, "find", lambda name: fault)
    assert command.main(["--workers", "1"]) == 1


def test_a_database_whose_schema_is_no_text_any_more_is_refused_in_a_sentence() -> None:
    assert command.one("database_harmed", 184).wrong == []


def test_no_fault_stands_twice_in_the_list() -> None:
    names = [fault.name for fault in promises.LIST]
    assert len(names) == len(set(names))
