"""Impedance measured by the host through registers that it asks for: all that an edge says, said here."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from firmware.leads.excitation import Excitation
from hostd.errors import LinkError
from hostd.lead_meter import AGAIN_S, NOT_WATCHED, OWN, TRIES, LeadMeter, meter
from hw.lead_off import tone
from hw.leads.impedance import RAILED
from hw.link import (
    LEADS_EDGE,
    LEADS_HOST_OWN,
    LEADS_HOST_SHARED,
    LEADS_NOBODY,
    NOT_SEEN,
    Description,
    Excite,
    Excited,
    Fault,
    Impedance,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Message,
    Reply,
)
from hw.model.ads1299_options import Surroundings
from hw.registers import Address
from hw.samples import SampleBlock
from tests.support.leads import OFF, LeadRig, by_lead, resistor, true_ohm
from tests.support.networks import NETWORKS

START = ImpedanceStart(7, 6, 0.0, 0, 0)
RATE_HZ = 500.0


class Asked:
    """An edge by its chips: a current that is asked for flows after `delay` blocks and a pause of `pause`
    samples, and is answered then; `lost` questions and `lost_answers` get nowhere. `said`: what came out."""

    def __init__(self, rig: LeadRig, delay: int = 0, pause: int = 3, leads: int = LEADS_HOST_SHARED) -> None:
        self.rig, self.delay, self.pause = rig, delay, pause
        n = len(rig.names)
        parts = tuple(part.name for part in rig.info.chips)
        own = (0.0,) * n
        self.description = Description(
            "pico", rig.rate_hz, rig.names, rig.info.lsb_uv[:n], own, -0.5, 4, leads, parts
        )
        self.asked: list[Excite] = []
        self.lost = self.lost_answers = 0
        self.refusal = ""
        self.gone = self.ends_first = False
        self._due: deque[tuple[int, Excite]] = deque()
        self._excitation = Excitation(rig.front_end, rig.info, rig.clock)
        self._flows: Excited | None = None
        made = meter(self.description, self.send)
        assert made is not None
        self.meter: LeadMeter = made
        self.said: list[SampleBlock | Message] = []
        self._blocks = 0

    def send(self, message: Message) -> None:
        assert isinstance(message, Excite)
        if self.gone:
            raise LinkError("the link is lost")
        self.asked.append(message)
        if self.lost:
            self.lost -= 1
        else:
            self._due.append((self._blocks + 1 + self.delay, message))

    def hear(self, message: Message) -> None:
        if not self.meter.heard(message):
            self.said.append(message)

    def play(self, seconds: float) -> None:
        rows = max(1, round(0.01 * self.rig.rate_hz))
        for _ in range(round(seconds * self.rig.rate_hz / rows)):
            self.step(rows)

    def step(self, rows: int = 5) -> None:
        gap = 0
        self._blocks += 1
        answers: list[Message] = []
        while self._due and self._due[0][0] <= self._blocks:
            gap, order = self.pause, self._due.popleft()[1]
            answers += self._do(order)
        block = self.rig.block(rows, gap)
        for answer in answers:
            if self.lost_answers and isinstance(answer, Reply):
                self.lost_answers -= 1
            else:
                self.hear(answer)
        self.said.append(block)
        self.said += self.meter.block(block)

    def _do(self, order: Excite) -> list[Message]:
        if self.refusal and order.current_na:
            ended = [Excited(order.command, 0, 9)] if self.ends_first else []
            return [*ended, Reply(order.command, self.refusal)]
        over = self.end() if not order.current_na else []
        if order.current_na:
            codes = tuple(tone(c, self.rig.rate_hz, order.frequency_hz).code for c in self.rig.info.chips)
            if self._flows is None:
                self._excitation.begin()
                self._flows = Excited(order.command, self.rig.index, NOT_SEEN)
                over = [self._flows]
            self._excitation.excite(order.current_na, codes, order.sense_p, order.sense_n)
        return [*over, Reply(order.command, "")]

    def end(self) -> list[Message]:
        """The current ends; what the edge says then."""
        self._excitation.restore()
        flowed, self._flows = self._flows, None
        return [] if flowed is None else [replace(flowed, end_index=self.rig.index + self.pause + 4)]

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        return [m for m in self.said if isinstance(m, kind)]

    def measure(self, command: ImpedanceStart = START, longest_s: float = 9.0) -> Impedance:
        before = len(self.of(Impedance))
        self.meter.command(command)
        for _ in range(round(longest_s * self.rig.rate_hz / 5)):
            self.step()
            if len(self.of(Impedance)) > before:
                return self.of(Impedance)[before]
        raise AssertionError("nothing was measured")


@pytest.fixture
def asked() -> Iterator[Asked]:
    edge = Asked(LeadRig(RATE_HZ).electrodes(*NETWORKS))
    edge.play(0.1)
    yield edge
    assert edge.rig.wires[0].model.register(Address.LOFF_SENSP) == 0, "a current was left in the electrodes"


def within(result: Impedance, percent: float = 2.0) -> None:
    rows = by_lead(result)
    for k, network in enumerate(NETWORKS):
        ohm, low, high, phase_deg, note = rows[f"E{k + 1}+"]
        truth = true_ohm(network, result.frequency_hz)
        assert ohm == pytest.approx(abs(truth), rel=percent / 100), note
        assert low < abs(truth) < high
        assert phase_deg == pytest.approx(math.degrees(math.atan2(truth.imag, truth.real)), abs=1.0)


@pytest.mark.parametrize(("rate_hz", "delay", "pause"), [(250.0, 0, 0), (500.0, 3, 11), (1000.0, 25, 2)])
def test_true_networks_are_measured_as_by_an_edge_itself(rate_hz: float, delay: int, pause: int) -> None:
    edge = Asked(LeadRig(rate_hz).electrodes(*NETWORKS), delay, pause)
    before = edge.rig.registers()
    result = edge.measure()
    within(result)
    assert edge.rig.registers() == before
    opened, closed = edge.of(Excited)
    assert (opened.command, opened.end_index) == (7, NOT_SEEN)
    assert closed == Excited(7, result.first_index, result.end_index)
    assert edge.of(Reply) == [Reply(7, "")] and edge.of(Fault) == []
    assert (result.command, result.board, result.frequency_hz, result.current_na) == (7, "", 31.25, 6)
    assert result.leads[-1] == "REF"
    assert [e.command for e in edge.asked] == [OWN, OWN + 1]
    assert (edge.asked[0].sense_p, edge.asked[0].sense_n, edge.asked[1].current_na) == (0xFF, 0, 0)


def test_the_same_samples_give_the_same_ohms_as_on_the_edge(asked: Asked) -> None:
    here = asked.measure()
    there = LeadRig(RATE_HZ).electrodes(*NETWORKS).measure(START)
    assert here.ohm == pytest.approx(there.ohm, rel=2e-3, nan_ok=True)
    assert here.notes == there.notes and here.leads == there.leads


def test_a_span_holds_every_sample_with_a_current_in_it() -> None:
    edge = Asked(LeadRig(RATE_HZ, noise=False).electrodes(*NETWORKS), delay=4)
    edge.play(0.2)
    result = edge.measure()
    edge.play(0.3)
    for block in edge.of(SampleBlock):
        for row, counts in enumerate(block.counts):
            if np.ptp(counts) > 20:
                assert result.first_index <= block.first_index + row < result.end_index


def test_both_sides_are_measured_where_each_input_has_its_own_electrode() -> None:
    rig = LeadRig(RATE_HZ, around=Surroundings(negative_input="pins")).electrodes(*NETWORKS)
    rig.electrodes(*(resistor(3_000 + 1_000 * k) for k in range(8)), side="n")
    edge = Asked(rig, delay=45, pause=0, leads=LEADS_HOST_OWN)
    rows = by_lead(edge.measure())
    within(edge.of(Impedance)[0])
    for k in range(8):
        assert rows[f"E{k + 1}-"][0] == pytest.approx(3_000 + 1_000 * k, rel=0.02)
    assert [(e.sense_p, e.sense_n) for e in edge.asked] == [(0xFF, 0), (0, 0xFF), (0, 0)]
    assert [e.end_index == NOT_SEEN for e in edge.of(Excited)] == [True, False], "one span"


def test_a_lead_that_is_off_is_dropped_and_told_as_railed(asked: Asked) -> None:
    asked.rig.electrodes(OFF)
    asked.play(0.3)
    assert asked.of(Leads)[-1].railed == 1
    result = asked.measure()
    assert by_lead(result)["E1+"][4] == f"not measured: {RAILED}"
    assert result.ohm[1] == pytest.approx(2_200, rel=0.02)
    assert asked.asked[0].sense_p == 0xFE
    asked.rig.electrodes(NETWORKS[0])
    asked.play(1.5)
    assert asked.of(Leads)[-1].railed == 0


def test_what_is_asked_and_answered_may_get_lost(asked: Asked) -> None:
    asked.lost, asked.lost_answers = 1, 1
    result = asked.measure()
    within(result)
    assert [e.current_na for e in asked.asked] == [6, 6, 6, 0]
    assert result.end_index - result.first_index > (2 * AGAIN_S + 2.048) * RATE_HZ


def test_an_edge_that_never_answers_is_told_and_asked_for_no_current_until_it_does(asked: Asked) -> None:
    asked.lost = 2 * TRIES
    result = asked.measure()
    assert set(result.notes[:8]) == {
        "not measured: the edge does not answer; are its frames lost on the way?"
    }
    assert result.end_index == NOT_SEEN
    (fault,) = asked.of(Fault)
    assert fault.text.startswith("the lead-off registers are not back, currents may flow; tried again")
    assert "is being measured" in refused(asked, START)
    asked.play(2.0)
    assert asked.of(Excited)[-1].end_index != NOT_SEEN
    within(asked.measure(replace(START, command=9)))


def test_an_old_answer_is_none(asked: Asked) -> None:
    asked.meter.command(START)
    asked.delay = 10
    asked.step()
    for command in (OWN - 1, OWN + 1, OWN + 77):
        asked.hear(Reply(command, "no"))
    assert len(asked.of(Impedance)) == 0
    asked.play(4.0)
    within(asked.of(Impedance)[0])


def refused(edge: Asked, command: ImpedanceStart | ImpedanceStop | LeadWatch) -> str:
    edge.meter.command(command)
    edge.step()
    return [r for r in edge.of(Reply) if r.command == command.command][-1].refusal


def test_what_must_not_or_cannot_flow_is_refused_and_the_edge_is_not_asked(asked: Asked) -> None:
    for command, words in (
        (ImpedanceStart(1, 24_000, 0.0, 0, 0), "24 uA in every lead is not for people"),
        (ImpedanceStart(2, 7, 0.0, 0, 0), "the ADS1299 has no current of 7 nA"),
        (ImpedanceStart(3, 6, 50.0, 0, 0), "the ADS1299 excites at"),
        (ImpedanceStart(4, 6, 0.0, 9, 0), "sides 9"),
        (LeadWatch(5, 6), NOT_WATCHED),
    ):
        assert refused(asked, command).startswith(words)
    assert refused(asked, LeadWatch(6, 0)) == ""
    assert refused(asked, ImpedanceStop(7)) == ""
    assert asked.asked == []
    assert refused(asked, ImpedanceStart(8, 24_000, 0.0, 0, 1)) == ""
    assert asked.asked[0].phantom == 1
    assert "is being measured" in refused(asked, replace(START, command=9))
    assert refused(asked, ImpedanceStop(10)) == ""
    asked.play(0.1)


def test_the_edges_refusal_is_the_reason_of_the_result(asked: Asked) -> None:
    asked.refusal = "not acquiring"
    asked.ends_first = True
    result = asked.measure()
    assert set(result.notes[:8]) == {"not measured: not acquiring"}
    assert asked.of(Fault) == []
    assert result.end_index != NOT_SEEN


def test_a_measurement_that_is_stopped_says_so_and_ends_the_current(asked: Asked) -> None:
    asked.meter.command(START)
    asked.play(1.0)
    asked.meter.command(ImpedanceStop(8))
    asked.play(0.2)
    (result,) = asked.of(Impedance)
    assert set(result.notes[:8]) == {"not measured: it was stopped"}
    assert asked.of(Excited)[-1].end_index == result.end_index != NOT_SEEN
    assert asked.asked[-1].current_na == 0
    within(asked.measure(replace(START, command=9)))


def test_a_current_that_the_edge_ended_by_itself_ends_the_measurement(asked: Asked) -> None:
    asked.meter.command(START)
    asked.play(1.0)
    for message in asked.end():
        asked.hear(message)
    asked.play(0.2)
    (result,) = asked.of(Impedance)
    assert set(result.notes[:8]) == {"not measured: the edge has ended the current"}
    assert len(asked.of(Excited)) == 2
    within(asked.measure(replace(START, command=9)))


@pytest.mark.parametrize("anew", [False, True])
def test_a_link_that_broke_ends_the_measurement_with_the_reason(asked: Asked, anew: bool) -> None:
    asked.meter.command(START)
    asked.play(1.0)
    asked.meter.command(ImpedanceStop(8))
    asked.gone = True
    asked.meter.lost()
    asked.end()
    if anew:
        asked.meter.anew()
    asked.gone = False
    asked.play(0.2)
    (result,) = asked.of(Impedance)
    assert set(result.notes[:8]) == {"not measured: the link broke"}
    assert [r.command for r in asked.of(Reply)] == [7], "who asked was answered when it broke"
    assert asked.of(Excited)[-1].end_index == result.end_index != NOT_SEEN
    again = asked.measure(replace(START, command=9))
    assert again.ohm[1] == pytest.approx(2_200, rel=0.02)
    assert ("phase unknown" in again.notes[0]) == anew


def test_a_link_that_is_gone_when_a_current_is_asked_for_is_the_reason(asked: Asked) -> None:
    asked.gone = True
    result = asked.measure()
    assert set(result.notes[:8]) == {"not measured: the link is lost"}
    asked.gone = False
    asked.play(1.3)
    assert asked.of(Excited)[-1].end_index != NOT_SEEN


def test_who_measures_is_what_the_edge_says_and_its_parts_must_be_known() -> None:
    told = Description("x", 500.0, ("A",), (1.0,), (0.0,), 0.0, 4)
    for leads in (LEADS_NOBODY, LEADS_EDGE, 9):
        assert meter(replace(told, leads=leads), print) is None
    assert told.leads == LEADS_EDGE
    for leads in (LEADS_HOST_SHARED, LEADS_HOST_OWN):
        assert meter(replace(told, leads=leads, parts=("ADS1299",)), print) is not None
    with pytest.raises(LinkError, match="has no part for converters"):
        meter(replace(told, leads=LEADS_HOST_OWN), print)
    with pytest.raises(LinkError, match="has AD7 for converters, which cannot be measured"):
        meter(replace(told, leads=LEADS_HOST_OWN, parts=("ADS1299", "AD7")), print)
