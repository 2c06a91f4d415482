"""The current in the electrodes by the coprocessor's firmware: registers as written, the index true across
the pauses, nothing stimulated meanwhile, and no current without a host that wants it."""

from itertools import product

import numpy as np
import pytest

from hostd.errors import UsageError
from hw import lead_off
from hw.chips import CHIPS, SETTLING_CONVERSIONS, Family
from hw.link import (
    LEADS_HOST_SHARED,
    LOCK_IMPEDANCE,
    NOT_SEEN,
    Block,
    Excite,
    Excited,
    Fault,
    Heartbeat,
    Reply,
    StimArm,
    StimState,
    Stimulus,
)
from hw.model.faults import Fault as ChipFault
from hw.model.faults import FaultKind
from hw.registers import Address
from hw.samples import Gap, SampleBlock
from tests.support.edge import heard_block
from tests.support.edges import configure, ramp_model
from tests.support.links import tiles
from tests.support.looped import armed, plan, shot
from tests.support.pico_looped import board_modules
from tests.support.pico_model import PicoModel
from tests.support.pico_talk import Talk, of, talk
from tests.support.session import until

board = board_modules()
ON = Excite(20, 6, 31.25, 0xFF, 0, 0)
NONE = Excite(21, 0, 0.0, 0, 0, 0)
REGISTERS = lead_off.EXCITATION
QUIET = 3
"""A channel without a current in its leads."""


@pytest.mark.parametrize("name", CHIPS)
def test_the_boards_lead_off_bytes_and_tones_are_the_boxs(name: str) -> None:
    chip, part = CHIPS[name], board.registers.PARTS[name]
    assert set(part["lead_off"]) == set(lead_off.CURRENTS_NA[chip.family])
    for rate_hz in chip.rates_hz:
        tones = part["tones"][round(rate_hz)]
        for frequency_hz in (0.0, rate_hz / 4, lead_off.USUAL_HZ, lead_off.SLOW_HZ, 50.0):
            try:
                code = lead_off.tone(chip, rate_hz, frequency_hz).code
            except ValueError:
                assert frequency_hz not in tones
                continue
            assert tones[frequency_hz] == code
            for current_na in lead_off.CURRENTS_NA[chip.family]:
                theirs = lead_off.excitation_registers(chip, current_na, code, 0x5A, 0xA5)
                ours = (part["lead_off"][current_na][code], 0, 0x5A, 0xA5)
                assert dict(zip(board.registers.EXCITATION, ours, strict=True)) == theirs
    assert part["shared_negative"] == (chip.family is Family.ADS1299)


@pytest.mark.control("H18.1")
@pytest.mark.parametrize(("direct", "phantom"), list(product((False, True), repeat=2)))
def test_who_may_have_which_current_is_decided_by_the_boxs_own_words(direct: bool, phantom: bool) -> None:
    for current_na in (0, 6, 24, 25, 6_000, 10_000, 10_001, 24_000):
        ours = lead_off.refuse_current(current_na, direct, phantom)
        assert board.registers.refuse_current(current_na, direct, phantom) == ours


def registers(model: PicoModel) -> list[tuple[int, ...]]:
    return [tuple(chip.register(a) for a in REGISTERS) for chip in model.board.chips]


def true_counts(blocks: list[SampleBlock]) -> None:
    """The ramp says which sample is which, whatever was lost."""
    first, last = blocks[0], blocks[-1]
    base = int(first.counts[0, QUIET])
    slope = (int(last.counts[-1, QUIET]) - base) / (last.end_index - 1 - first.first_index)
    for block in blocks:
        expected = base + slope * (block.first_index - first.first_index + np.arange(len(block.counts)))
        assert np.abs(block.counts[:, QUIET] - expected).max() <= 1


def all_blocks(t: Talk) -> list[SampleBlock]:
    return [heard_block(m) for m in of(Block, t.heard)]


def flowing(t: Talk, current: Excite = ON) -> Excited:
    t.granted += 400  # pulses that are out must be proven first
    t.model.grant(400)
    assert t.ask(current) == [""]
    (said,) = of(Excited, t.heard)[-1:]
    assert said.end_index == NOT_SEEN
    return said


def test_registers_are_written_in_the_running_stream_and_put_back() -> None:
    with talk(ramp_model(2)) as t:
        said = t.begin({"rate_hz": 4000.0, "channels": 12})
        assert (said.leads, said.parts) == (LEADS_HOST_SHARED, ("ADS1299", "ADS1299"))
        t.samples(700)
        before = registers(t.model)
        begun = flowing(t, Excite(20, 24, 7.8125, 0xAA5, 0, 0))
        code = lead_off.tone(CHIPS["ADS1299"], 4000.0, 7.8125).code
        loff = lead_off.excitation_registers(CHIPS["ADS1299"], 24, code, 0, 0)[Address.LOFF]
        assert registers(t.model) == [(loff, 0, 0xA5, 0), (loff, 0, 0x0A, 0)]
        t.samples(1500)
        assert t.ask(Excite(22, 24, 0.0, 0x7, 0, 0)) == [""]
        assert [r[2:] for r in registers(t.model)] == [(7, 0), (0, 0)]
        t.samples(2300)
        assert t.ask(NONE) == [""]
        assert registers(t.model) == before
        ended = of(Excited, t.heard)[-1]
        assert (ended.command, ended.first_index) == (20, begun.first_index)
        t.samples(ended.end_index + 400)
        blocks = all_blocks(t)
        assert tiles(blocks, 0)
        true_counts(blocks)
        gaps = [g for b in blocks for g in b.gaps]
        assert gaps == [Gap(a, b - a, "missed") for a, b in t.model.pauses]
        assert begun.first_index == t.model.pauses[0][0]
        assert ended.end_index == t.model.pauses[-1][1] + SETTLING_CONVERSIONS
        assert of(Fault, t.heard) == []
        assert [e.end_index for e in of(Excited, t.heard)] == [NOT_SEEN, ended.end_index], "one span"


def test_no_frame_is_lost_beyond_the_pause_at_the_highest_rate() -> None:
    model = ramp_model()
    model.pause_ns = 10_000_000
    with talk(model) as t:
        t.begin({"rate_hz": 16_000.0})
        t.samples(3000)
        flowing(t, Excite(20, 6, 0.0, 0xF7, 0, 0))
        t.samples(6000)
        assert t.ask(NONE) == [""]
        t.samples(9000)
        blocks = all_blocks(t)
        assert tiles(blocks, 0)
        true_counts(blocks)
        assert sum(g.length for b in blocks for g in b.gaps) == sum(b - a for a, b in model.pauses) <= 330
        before, after = (blocks[k] for k in (0, -1))
        ns = (after.t_ns - before.t_ns) / (after.end_index - before.end_index)
        assert ns == pytest.approx(1e9 / 16_000, rel=1e-6), "time goes on across the pauses"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Excite(1, 24_000, 0.0, 1, 0, 0), "24 uA in every lead is not for people"),
        (Excite(1, 6_000, 0.0, 1, 0, 0), "6 uA in every lead is not for people"),
        (Excite(1, 7, 0.0, 1, 0, 0), "the ADS1299 has no lead-off current of 7 nA: use one of 6, 24, 6000"),
        (Excite(1, 6, 50.0, 1, 0, 0), "the ADS1299 excites at 7.8125, 31.25, 1000 Hz here, not 50; use one"),
        (Excite(1, 6, 0.0, 0, 0, 0), "leads 0 and 0: bits of 8 channels are expected"),
        (Excite(1, 6, 0.0, 1, 0x100, 0), "leads 1 and 100: bits of 8 channels are expected"),
    ],
)
def test_what_must_not_or_cannot_flow_is_refused_and_nothing_is_locked(
    refusals: dict[Excite, tuple[str, int]], wanted: Excite, words: str
) -> None:
    told, pauses = refusals[wanted]
    assert told.startswith(words)
    assert pauses == 0


REFUSED = test_what_must_not_or_cannot_flow_is_refused_and_nothing_is_locked.pytestmark[0].args[1]


@pytest.fixture(scope="module")
def refusals() -> dict[Excite, tuple[str, int]]:
    with talk() as t:
        t.link.open(configure({"rate_hz": 4000.0}))
        assert t.ask(ON) == ["not acquiring"]
        t.begin()
        t.model.grant(2000)
        told = {wanted: (t.ask(wanted)[0], len(t.model.pauses)) for wanted, _ in REFUSED}
        assert t.ask(NONE, *armed(shot(1))) == ["", "", ""], "nothing flows, nothing is locked"
        t.model.grant(2000)
        assert t.ask(Excite(1, 24_000, 0.0, 1, 0, 1)) == [""], "a phantom"
        return told


@pytest.mark.control("H4.2")
def test_stimulation_is_locked_before_and_while_a_current_flows() -> None:
    with talk() as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        t.samples(1000)
        begun = flowing(t)
        t.samples(2400)
        locked = [s for s in of(StimState, t.heard) if s.locks]
        assert {s.locks for s in locked} == {LOCK_IMPEDANCE}
        fired = [i for i, _ in t.model.pulses]
        assert fired and max(fired) < begun.first_index
        assert {s.seen for s in of(Stimulus, t.heard)} == {i + 1 for i in fired}, "all proven before"
        told = t.ask(StimArm(30, 2, 4000), shot(2))
        assert told[1].startswith("impedance is being measured")
        assert t.ask(NONE) == [""]
        t.samples(4000)
        assert of(StimState, t.heard)[-1].locks == 0
        assert max(i for i, _ in t.model.pulses) > of(Excited, t.heard)[-1].end_index, "the grid goes on"
        assert of(Fault, t.heard) == []


def test_a_train_under_way_ends_before_any_register_is_touched() -> None:
    with talk() as t:
        t.begin()
        t.ask(StimArm(1, 2, 4000))
        t.send(shot(2, pulses=8, interval=80))
        t.samples(200)
        assert 0 < len(t.model.pulses) < 8
        t.send(ON)
        t.samples(1200)
        assert [r.refusal for r in of(Reply, t.heard) if r.command == ON.command] == [""]
        begun = of(Excited, t.heard)[0]
        assert max(i for i, _ in t.model.pulses) < begun.first_index
        assert t.model.level == 0
        assert of(Fault, t.heard) == []


@pytest.mark.control("H18.2")
def test_a_silent_host_ends_the_current() -> None:
    ticks = [0]
    with talk(ramp_model(rate_ticks=lambda: ticks[0])) as t:
        t.begin()
        t.samples(400)
        before = registers(t.model)
        flowing(t)
        t.samples(1200)
        assert registers(t.model) != before
        t.model.until_granted()
        ticks[0] = 201
        ended = t.until(lambda m: isinstance(m, Excited))[-1]
        assert isinstance(ended, Excited)
        assert ended.end_index != NOT_SEEN
        assert registers(t.model) == before
        t.samples(ended.end_index + 200)
        assert tiles(all_blocks(t), 0)
        assert of(StimState, t.heard)[-1].locks == 0


def test_a_host_that_takes_nothing_and_says_nothing_has_no_current_either() -> None:
    ticks = [0]
    model = ramp_model(rate_ticks=lambda: ticks[0])
    with talk(model) as t:
        t.begin()
        t.samples(400)
        before = registers(model)
        model.patient = False
        model.grant(12_000)  # nobody reads: the port is full, and the rings are
        model.until_granted()
        t.send(ON)
        model.grant(2_000)
        until(lambda: registers(model) != before, "the current")
        for now_ms in (400, 450):
            ticks[0] = now_ms
            model.grant(400)
            model.until_granted()
            assert registers(model) != before, "what was read before may still be taken"
        ticks[0] = 600
        model.grant(400)
        model.until_granted()
        until(lambda: registers(model) == before, "the end of the current")
        model.patient = True
        t.samples(20_000)
        blocks = all_blocks(t)
        assert tiles(blocks, 0)
        true_counts(blocks[-40:])
        assert {g.reason for b in blocks for g in b.gaps} >= {"overflow", "missed"}


def test_a_second_host_finds_no_current_and_a_board_that_begins_anew_neither() -> None:
    with talk() as t:
        t.begin()
        t.samples(400)
        before = registers(t.model)
        for job in ({"rate_hz": 4000.0}, {"rate_hz": 1000.0}, {"rate_hz": 4000.5}):
            flowing(t)
            t.again()
            if job["rate_hz"] == 4000.5:  # refused before any converter is reset
                with pytest.raises(UsageError, match="cannot be"):
                    t.begin(job)
            else:
                t.begin(job)
                assert t.ask(Excite(40, 0, 0.0, 0, 0, 0)) == [""]
            assert registers(t.model) == before


def test_a_configuration_that_is_refused_before_any_converter_is_reset_ends_the_current_too() -> None:
    with talk() as t:
        t.begin()
        t.samples(400)
        before = registers(t.model)
        flowing(t)
        t.send(configure({"rate_hz": 4000.5}))
        t.until(lambda m: isinstance(m, Fault))
        assert registers(t.model) == before


def test_a_converter_that_does_not_obey_is_told_and_left_without_current() -> None:
    with talk() as t:
        t.begin()
        t.samples(400)
        before = registers(t.model)
        t.model.board.apply(ChipFault(FaultKind.REGISTER_STUCK, address=Address.LOFF_SENSP))
        (why,) = t.ask(ON)
        assert why.startswith("chip 1: expected")
        assert "LOFF_SENSP" in why
        assert registers(t.model) == before
        t.samples(1000)
        assert tiles(all_blocks(t), 0)
        assert of(Excited, t.heard) == []
        assert of(StimState, t.heard)[-1].locks == 0


def test_registers_that_cannot_be_put_back_are_told_locked_and_tried_again() -> None:
    ticks = [0]
    model = ramp_model(rate_ticks=lambda: ticks[0])
    with talk(model) as t:
        t.begin()
        t.samples(400)
        before = registers(model)
        flowing(t)
        stuck = ChipFault(FaultKind.REGISTER_STUCK, address=Address.LOFF_SENSP, value=1)
        model.board.apply(stuck)
        (why,) = t.ask(NONE)
        assert why.startswith("chip 1: expected")
        fault = t.until(lambda m: isinstance(m, Fault))[-1]
        assert isinstance(fault, Fault)
        assert (fault.code, fault.fatal) == ("impedance", 0)
        assert fault.text.startswith("the lead-off registers are not back, currents may flow; tried again: ")
        assert [e.end_index for e in of(Excited, t.heard)] == [NOT_SEEN]
        assert of(StimState, t.heard)[-1].locks == LOCK_IMPEDANCE
        model.board.chips[0].trouble.register_stuck.clear()
        paused = len(model.pauses)
        t.samples(1500)
        assert len(model.pauses) == paused, "not at once"
        t.send(Heartbeat(0))
        t.ask(StimArm(90, 1, 1))
        ticks[0] = 150
        t.ask(StimArm(91, 1, 1))
        for later in range(300, 1400, 150):
            ticks[0] = later
            t.model.grant(100)
            t.ask(StimArm(later, 1, 1))
        t.samples(3000)
        assert [e.end_index == NOT_SEEN for e in of(Excited, t.heard)] == [True, False]
        assert registers(model) == before
        assert len(of(Fault, t.heard)) == 1


def test_a_second_wish_goes_before_one_that_waits_for_a_pulse_to_be_proven() -> None:
    with talk() as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        t.samples(640)
        t.model.until_granted()
        t.send(ON, NONE)
        t.samples(1600)
        told = {r.command: r.refusal for r in of(Reply, t.heard) if r.command in (ON.command, NONE.command)}
        assert told in (
            {ON.command: "another current was asked for before it began", NONE.command: ""},
            {ON.command: "", NONE.command: ""},
        )
        assert of(StimState, t.heard)[-1].locks == 0
        assert registers(t.model)[0][2:] == (0, 0)
