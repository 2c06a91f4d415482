"""Impedance through true bytes: networks within 2 %, what is not measured says why, registers come back."""

import math
from collections.abc import Callable

import pytest

from firmware.errors import ChipError
from firmware.leads.calibration import Calibration, Excited, Pin
from hw.chips import ADS1298, ADS1299, ADS1299_4, SETTLING_CONVERSIONS, Opcode
from hw.lead_off import SIDE_N, SIDE_P
from hw.link import NOT_SEEN, Fault, Impedance, ImpedanceStart, ImpedanceStop, Message, Reply
from hw.model.ads1299_options import Surroundings
from hw.registers import Address
from hw.samples import SampleBlock
from tests.support.leads import GOOD, OFF, LeadRig, by_lead, resistor, true_ohm
from tests.support.networks import NETWORKS

START = ImpedanceStart(1, 6, 0.0, 0, 0)
PINS = Surroundings(negative_input="pins")


def within(rig: LeadRig, result: Impedance, percent: float, count: int = 8) -> None:
    """The first `count` networks are what they are, and every interval holds the truth."""
    rows = by_lead(result)
    for k, network in enumerate(NETWORKS[:count]):
        ohm, low, high, phase_deg, note = rows[f"E{k + 1}+"]
        truth = true_ohm(network, result.frequency_hz)
        assert ohm == pytest.approx(abs(truth), rel=percent / 100), note
        assert low < abs(truth) < high
        assert phase_deg == pytest.approx(math.degrees(math.atan2(truth.imag, truth.real)), abs=1.0)


@pytest.mark.parametrize("rate_hz", [250.0, 1000.0, 4000.0])
def test_true_networks_within_2_percent_in_seconds_and_registers_as_before(rate_hz: float) -> None:
    rig = LeadRig(rate_hz).electrodes(*NETWORKS)
    before = rig.registers()
    result = rig.measure(START)
    within(rig, result, 2.0)
    assert result.frequency_hz == 31.25 and result.current_na == 6
    assert (result.end_index - result.first_index) / rate_hz < 3.0
    assert max(result.drift_deg[:8]) < 1.0
    assert rig.registers() == before
    assert [r.refusal for r in rig.said(Reply)] == [""]


@pytest.mark.parametrize(
    ("rate_hz", "frequency_hz", "current_na", "percent"),
    [(250.0, 7.8125, 6, 2.0), (250.0, 62.5, 6, 2.5), (16_000.0, 0.0, 24, 2.0), (500.0, 0.0, 24, 2.0)],
)
def test_every_tone_and_current(rate_hz: float, frequency_hz: float, current_na: int, percent: float) -> None:
    rig = LeadRig(rate_hz).electrodes(*NETWORKS[:4])
    result = rig.measure(ImpedanceStart(1, current_na, frequency_hz, 0, 0))
    within(rig, result, percent, 4)
    assert result.frequency_hz == (frequency_hz or 31.25)


def test_the_older_family_has_a_quarter_of_the_rate_and_three_percent() -> None:
    rig = LeadRig(500.0, (ADS1298,), around=PINS).electrodes(*NETWORKS[:5])
    before = rig.registers()
    result = rig.measure(ImpedanceStart(1, 12, 0.0, SIDE_P, 0))
    within(rig, result, 3.0, 5)
    assert result.frequency_hz == 125.0 and rig.registers() == before


def test_without_a_tone_nothing_is_measured() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    rig.wires[0].model.trouble.lead_off_current_dead = True
    result = rig.measure(START)
    assert all(math.isnan(x) for x in (*result.ohm, *result.low_ohm, *result.high_ohm, *result.phase_deg))
    assert all(note.startswith("not measured: no tone") for note in result.notes[:8])


def test_a_tone_too_small_for_the_boards_own_resistor_is_none() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    for channel in range(8):
        rig.wires[0].model.set_lead_off_current(channel, "p", 0.1 if channel == 0 else 1.0)
    rows = by_lead(rig.measure(START))
    assert "the current does not flow" in rows["E1+"][4]
    assert rows["E2+"][0] == pytest.approx(2_200, rel=0.02)


def test_mains_and_a_drifting_offset_leave_the_value_and_the_interval_true() -> None:
    rig = LeadRig(1000.0, gain=1).electrodes(*NETWORKS)
    rig.volts = lambda n: [200e-6 * math.sin(2 * math.pi * 50.3 * n / 1000) + 1e-6 * n] * 8
    within(rig, rig.measure(START), 2.5)


def test_noise_widens_the_interval_and_more_noise_leaves_nothing() -> None:
    def width(hum_uv: float) -> tuple[float, str]:
        rig = LeadRig(250.0, noise=False).electrodes(*NETWORKS)
        lines = [31.25 + d for d in (-2.93, -2.44, 2.44, 2.93)]
        rig.volts = lambda n: [1e-6 * hum_uv * sum(math.sin(6.2832 * f * n / 250) for f in lines)] * 8
        _, low, high, _, note = by_lead(rig.measure(START))["E3+"]
        return high - low, note

    quiet, _ = width(0.5)
    loud, _ = width(20.0)
    assert loud > quiet + 500
    assert "noise beside it" in width(2_000.0)[1]


def test_an_interference_on_the_tone_shows_as_drift() -> None:
    rig = LeadRig(250.0, noise=False).electrodes(*NETWORKS)
    rig.volts = lambda n: [20e-6 * math.sin(6.283185 * 31.45 * n / 250)] * 8
    assert rig.measure(START).drift_deg[2] > 5.0


def calibration(factors: dict[int, float], nominal_na: int = 6) -> Calibration:
    currents = {
        Excited(Pin(1, channel + 1, "p"), nominal_na, 31.25): complex(nominal_na * 1e-9 * factor)
        for channel, factor in factors.items()
    }
    return Calibration("SN7", 2_200.0, currents)


def test_calibrated_leads_are_within_2_percent_whatever_their_currents() -> None:
    factors = {k: (0.8, 1.2, 0.87, 1.13, 0.92, 1.08, 0.83, 1.17)[k] for k in range(8)}
    rig = LeadRig(250.0, calibration=calibration(factors)).electrodes(*NETWORKS)
    for channel, factor in factors.items():
        rig.wires[0].model.set_lead_off_current(channel, "p", factor)
    result = rig.measure(START)
    within(rig, result, 2.0)
    assert result.board == "SN7" and set(result.notes[:8]) == {""}
    assert all(high / low < 1.2 for low, high in zip(result.low_ohm[1:8], result.high_ohm[1:8], strict=True))


def test_uncalibrated_leads_say_so_and_their_interval_holds_the_truth() -> None:
    rig = LeadRig(250.0, tolerance=0.2).electrodes(*NETWORKS)
    result = rig.measure(START)
    assert result.board == "" and all("uncalibrated" in note for note in result.notes[:8])
    off_by = []
    for k, network in enumerate(NETWORKS):
        truth = abs(true_ohm(network, 31.25))
        assert result.low_ohm[k] < truth < result.high_ohm[k]
        off_by.append(abs(result.ohm[k] / truth - 1))
    assert max(off_by) > 0.05


def test_a_lead_that_is_off_is_not_excited_and_spoils_no_other() -> None:
    rig = LeadRig().electrodes(*NETWORKS[:2], OFF, *NETWORKS[3:])
    rig.play(0.2)
    result = rig.measure(START)
    rows = by_lead(result)
    assert "railed" in rows["E3+"][4] and math.isnan(rows["E3+"][0])
    for k in (0, 1, 3, 4, 5, 6, 7):
        assert rows[f"E{k + 1}+"][0] == pytest.approx(abs(true_ohm(NETWORKS[k], 31.25)), rel=0.02)
    assert [w[2] for w in written(rig, Address.LOFF_SENSP)] == [0xFB, 0]


def written(rig: LeadRig, address: int, chip: int = 0) -> list[bytes]:
    """Writes to one register after the chips were brought up."""
    sent = rig.wires[chip].sent[rig.brought_up[chip] :]
    return [mosi for mosi in sent if mosi[:1] == bytes([Opcode.WREG | address])]


def test_a_lead_that_comes_off_in_the_window_is_dropped_and_the_others_measured_again() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    rig.monitor.command(START)
    with rig.running() as put:
        for number, block in enumerate(rig.blocks(8.0)):
            put(block)
            if number == 120:
                rig.electrodes(OFF)
            if rig.said(Impedance):
                break
    rows = by_lead(rig.said(Impedance)[0])
    assert "railed" in rows["E1+"][4]
    for k in range(1, 8):
        assert rows[f"E{k + 1}+"][0] == pytest.approx(abs(true_ohm(NETWORKS[k], 31.25)), rel=0.02)


def test_a_lead_of_megohms_is_off_and_the_others_are_measured_again_without_it() -> None:
    rig = LeadRig(gain=1).electrodes(resistor(3e6), *NETWORKS[1:])
    rows = by_lead(rig.measure(START))
    assert "not measured: the electrode is off, it reads 3 megohm" in rows["E1+"][4]
    assert rows["E2+"][0] == pytest.approx(2_200, rel=0.03)
    assert [w[2] for w in written(rig, Address.LOFF_SENSP)] == [0xFF, 0xFE, 0]


def test_nothing_connected_is_said_of_every_lead() -> None:
    rig = LeadRig().electrodes(*[OFF] * 8)
    rig.play(0.2)
    result = rig.measure(START)
    assert all("railed" in note for note in result.notes[:8])
    assert [w[2] for w in written(rig, Address.LOFF_SENSP)] == [0]


def test_both_sides_of_bipolar_channels_one_after_the_other() -> None:
    rig = LeadRig(around=PINS)
    rig.electrodes(*NETWORKS).electrodes(*reversed(NETWORKS), side="n")
    result = rig.measure(START)
    within(rig, result, 2.0)
    rows = by_lead(result)
    for k, network in enumerate(reversed(NETWORKS)):
        assert rows[f"E{k + 1}-"][0] == pytest.approx(abs(true_ohm(network, 31.25)), rel=0.02)
    assert (result.end_index - result.first_index) / 250.0 < 6.0
    assert len(result.leads) == 16


def test_a_shared_reference_is_named_as_what_cannot_be_measured() -> None:
    result = LeadRig().measure(ImpedanceStart(1, 6, 0.0, SIDE_N, 0))
    assert by_lead(result)["REF"][4].startswith("not measured: one electrode for all channels")
    assert all(math.isnan(x) for x in result.ohm)


def test_only_the_channels_of_the_case_are_excited() -> None:
    rig = LeadRig(channels=3).electrodes(*NETWORKS)
    result = rig.measure(START)
    assert result.leads == ("E1+", "E2+", "E3+", "REF")
    assert [w[2] for w in written(rig, Address.LOFF_SENSP)] == [0x07, 0]


def test_what_switching_a_current_on_disturbs_is_waited_for() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    rig.volts = lambda n: [5e-3 if 0 < n < 55 else 0.0] * 8
    within(rig, rig.measure(START), 2.0)


def test_bits_of_the_second_chip_count_from_its_own_first_channel() -> None:
    rig = LeadRig(500.0, (ADS1299, ADS1299), channels=10)
    rig.measure(START)
    for chip, bits in ((0, 0xFF), (1, 0x03)):
        assert [w[2] for w in written(rig, Address.LOFF_SENSP, chip)] == [bits, 0]


def test_two_chips_each_lead_at_its_place_and_its_own_calibration() -> None:
    currents = {
        Excited(Pin(chip, channel, "p"), 6, 31.25): 6e-9 * (0.9 if chip == 1 else 1.1) + 0j
        for chip in (1, 2)
        for channel in range(1, 9)
    }
    rig = LeadRig(500.0, (ADS1299, ADS1299_4), calibration=Calibration("SN8", 2_200.0, currents))
    rig.electrodes(*NETWORKS, chip=0).electrodes(*NETWORKS[:4][::-1], chip=1)
    for chip, factor in ((0, 0.9), (1, 1.1)):
        for channel in range(rig.wires[chip].model.chip.channels):
            rig.wires[chip].model.set_lead_off_current(channel, "p", factor)
    before = rig.registers()
    result = rig.measure(START)
    within(rig, result, 2.0)
    for k, network in enumerate(NETWORKS[:4][::-1]):
        assert result.ohm[8 + k] == pytest.approx(abs(true_ohm(network, 31.25)), rel=0.02)
    assert rig.registers() == before


def test_the_span_holds_every_sample_that_the_current_has_touched() -> None:
    rig = LeadRig(1000.0, noise=False).electrodes(*NETWORKS)
    rig.play(4.0, START)
    begun, ended = rig.spans
    result = rig.said(Impedance)[0]
    assert (begun.end_index, ended.first_index) == (NOT_SEEN, begun.first_index)
    assert (result.first_index, result.end_index) == (ended.first_index, ended.end_index)
    touched = [
        block.first_index + row
        for block in rig.said(SampleBlock)
        for row in range(len(block.counts))
        if block.counts[row].any()
    ]
    assert ended.first_index <= min(touched) and max(touched) < ended.end_index
    assert len(touched) > 0.95 * (ended.end_index - ended.first_index)
    assert ended.end_index - max(touched) > SETTLING_CONVERSIONS, "the converter's filter remembers"


def test_blocks_that_wait_on_their_way_are_in_the_span_and_spoil_nothing() -> None:
    """The consumer is half a second behind: what it writes now shows half a second later in what it reads."""
    rig = LeadRig(1000.0).electrodes(*NETWORKS)
    rig.monitor.command(START)
    waiting: list[SampleBlock] = []
    with rig.running() as put:
        for block in rig.blocks(6.0):
            waiting.append(block)
            if len(waiting) > 50:
                put(waiting.pop(0))
            if rig.said(Impedance):
                break
    within(rig, rig.said(Impedance)[0], 2.0)
    end = rig.said(Impedance)[0].end_index
    assert rig.index <= end < rig.index + 20


def test_a_gap_begins_the_window_anew() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    rig.monitor.command(START)
    with rig.running() as put:
        for number in range(600):
            put(rig.block(2, gap=3 if number in (60, 150) else 0))
            if rig.said(Impedance):
                break
    result = rig.said(Impedance)[0]
    within(rig, result, 2.0)
    assert (result.end_index - result.first_index) / 250.0 > 2.3 + 0.5


def test_gaps_in_every_window_leave_nothing_measured() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    rig.monitor.command(START)
    with rig.running() as put:
        for number in range(2_000):
            put(rig.block(2, gap=3 if number % 100 == 0 else 0))
            if rig.said(Impedance):
                break
    assert set(rig.said(Impedance)[0].notes[:8]) == {"not measured: samples were lost inside every window"}
    assert rig.registers() == before


@pytest.mark.control("H18.2")
@pytest.mark.parametrize("after_s", [0.0, 0.1, 1.0, 2.0])
def test_stopped_at_any_time_the_registers_are_as_before(after_s: float) -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    rig.monitor.command(START)
    with rig.running() as put:
        for block in rig.blocks(after_s):
            put(block)
        rig.monitor.command(ImpedanceStop(2))
        put(rig.block(2))
        assert rig.registers() == before
        assert all("not measured: it was stopped" in note for note in rig.said(Impedance)[0].notes[:8])
    assert [(r.command, r.refusal) for r in rig.said(Reply)] == [(1, ""), (2, "")]
    if after_s:
        assert rig.spans[-1].end_index != NOT_SEEN


@pytest.mark.parametrize("after_s", [0.1, 1.0])
def test_the_end_of_acquisition_puts_registers_back(after_s: float) -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    rig.play(after_s, START)
    assert rig.registers() == before and not rig.said(Impedance)


def test_an_error_of_whoever_takes_the_blocks_puts_registers_back_and_goes_on() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    rig.monitor.command(START)

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, SampleBlock) and item.first_index > 200:
            assert rig.registers() != before
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"), rig.monitor.tapped(put) as tapped:
        for block in rig.blocks(3.0):
            tapped(block)
    assert rig.registers() == before


def deaf(rig: LeadRig, when: Callable[[bytes], bool]) -> None:
    """The chip does not hear windows of which `when` is true."""
    rig.wires[0].hear = lambda mosi: bytes(len(mosi)) if when(mosi) else mosi


def sense(mosi: bytes, on: bool) -> bool:
    """A write of LOFF_SENSP that turns currents on, or off."""
    return mosi[:1] == bytes([Opcode.WREG | Address.LOFF_SENSP]) and (mosi[2] != 0) == on


def test_a_chip_that_does_not_obey_leaves_nothing_measured_and_nothing_changed() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    deaf(rig, lambda mosi: sense(mosi, on=True))
    result = rig.measure(START)
    assert all("LOFF_SENSP" in note and "expected" in note for note in result.notes[:8])
    assert rig.registers() == before and rig.spans[-1].end_index != NOT_SEEN


def test_registers_that_do_not_come_back_are_a_fault_and_tried_until_they_do() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    before = rig.registers()
    rig.monitor.command(START)
    with rig.running() as put:
        for block in rig.blocks(8.0):
            put(block)
            if rig.index > 250:
                broken = rig.index < 1_300
                deaf(rig, lambda mosi, broken=broken: broken and sense(mosi, on=False))  # type: ignore[misc]
    (fault,) = rig.said(Fault)
    assert fault.code == "impedance" and "currents may flow" in fault.text and not fault.fatal
    assert rig.said(Impedance)[0].end_index == NOT_SEEN
    assert [span.end_index == NOT_SEEN for span in rig.spans] == [True, False]
    assert rig.spans[-1].end_index >= 1_300
    assert 9 <= len([w for w in written(rig, Address.LOFF_SENSP) if w[2] == 0]) <= 20, "tried now and then"
    assert rig.registers() == before


def test_registers_that_never_come_back_are_said_at_the_end() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    deaf(rig, lambda mosi: sense(mosi, on=False))
    with pytest.raises(ChipError, match="LOFF_SENSP"):
        rig.play(1.0, START)


def test_chips_brought_up_anew_end_the_measurement_and_the_phase_is_not_known_after() -> None:
    rig = LeadRig(rate_hz=1000.0).electrodes(*NETWORKS)
    before = rig.registers()
    rig.monitor.command(START)
    with rig.running() as put:
        for block in rig.blocks(1.0):
            put(block)
        with rig.monitor.renewed():
            rig.front_end.stop()
            rig.front_end.bring_up(rig.front_end._setup)
            rig.front_end.start()
        writes = len(written(rig, Address.LOFF_SENSP))
        put(rig.block(10))
        assert rig.registers() == before
        assert len(written(rig, Address.LOFF_SENSP)) == writes, "nothing of the lost chip is put back"
    assert all("brought up anew" in note for note in rig.said(Impedance)[0].notes[:8])
    rig.block(7)
    result = rig.measure(ImpedanceStart(2, 6, 0.0, 0, 0))
    assert all("phase unknown" in note for note in result.notes[:8])
    for k, network in enumerate(NETWORKS):
        assert result.low_ohm[k] < abs(true_ohm(network, 31.25)) < result.high_ohm[k]


@pytest.mark.control("H18.1")
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (ImpedanceStart(1, 24_000, 0.0, 0, 0), "24 uA in every lead is not for people"),
        (ImpedanceStart(1, 6_000, 0.0, 0, 0), "limit of 10 uA"),
        (ImpedanceStart(1, 7, 0.0, 0, 0), "no current of 7 nA; use one of 6, 24, 6000, 24000"),
        (ImpedanceStart(1, 6, 50.0, 0, 0), "7.8125, 31.25, 62.5 Hz"),
        (ImpedanceStart(1, 6, math.nan, 0, 0), "not nan"),
        (ImpedanceStart(1, 6, 0.0, 4, 0), "sides 4"),
    ],
)
def test_refused_in_one_line_before_a_register_is_touched(command: ImpedanceStart, why: str) -> None:
    rig = LeadRig()
    sent = len(rig.wires[0].sent)
    rig.play(0.1, command)
    (reply,) = rig.said(Reply)
    assert why in reply.refusal and "\n" not in reply.refusal
    assert not rig.spans and not [m for m in rig.wires[0].sent[sent:] if m[0] >> 5 == 2]


def test_large_currents_are_for_phantoms() -> None:
    rig = LeadRig(gain=1).electrodes(*NETWORKS)
    within(rig, rig.measure(ImpedanceStart(1, 6_000, 0.0, 0, 1)), 2.0)


def test_one_measurement_at_a_time() -> None:
    rig = LeadRig()
    rig.play(0.1, START, ImpedanceStart(2, 6, 0.0, 0, 0))
    assert "being measured" in rig.said(Reply)[1].refusal


def test_front_ends_that_cannot_say_why() -> None:
    rig = LeadRig(read_mode="rdatac")
    rig.play(0.1, START)
    assert "set read to rdata" in rig.said(Reply)[0].refusal


def test_a_second_measurement_is_as_good_as_the_first() -> None:
    rig = LeadRig().electrodes(*NETWORKS)
    first, second = rig.measure(START), rig.measure(ImpedanceStart(2, 24, 0.0, 0, 0))
    within(rig, second, 2.0)
    assert second.first_index >= first.end_index - 10 and second.command == 2


def test_good_is_an_electrode() -> None:
    """What the rig puts on every lead reads as that, so that channels nobody speaks of are sound too."""
    assert LeadRig().measure(START).ohm[7] == pytest.approx(GOOD.series_ohm, rel=0.02)
