"""Leads while recording: railed channels always, open ones by choice, told once and true to the bytes."""

from dataclasses import replace

import numpy as np
import pytest

from firmware.leads.monitor import LeadMonitor
from hw.chips import ADS1298, ADS1299
from hw.frames import decode_frames
from hw.link import Fault, ImpedanceStart, Leads, LeadWatch, Reply
from hw.model.ads1299_options import Surroundings
from hw.registers import Address
from tests.support.leads import OFF, LeadRig, resistor
from tests.support.links import true_block

PINS = Surroundings(negative_input="pins")
LOFF = (Address.LOFF, Address.LOFF_SENSP, Address.LOFF_SENSN, Address.CONFIG4)


def loff(rig: LeadRig, chip: int = 0) -> list[int]:
    """LOFF, LOFF_SENSP, LOFF_SENSN, CONFIG4 as they stand inside the chip."""
    return [rig.wires[chip].model.register(address) for address in LOFF]


@pytest.mark.control("H18.3")
def test_nothing_flows_unless_asked_for_and_a_railed_channel_is_told_without() -> None:
    rig = LeadRig(1000.0)
    with rig.running() as put:
        for number, block in enumerate(rig.blocks(1.6)):
            put(block)
            if number == 30:
                rig.electrodes(resistor(5_000), OFF)
            elif number == 60:
                rig.electrodes(resistor(5_000), resistor(5_000))
            assert loff(rig) == [0, 0, 0, 0]
    told = rig.said(Leads)
    assert [(m.off_p, m.off_n, m.railed, m.watched) for m in told] == [(0, 0, 0b10, 0), (0, 0, 0, 0)]
    assert 350 <= told[0].index <= 380 and 1_100 <= told[1].index <= 1_140


def test_watched_leads_are_told_on_change_only_and_registers_come_back() -> None:
    rig = LeadRig(1000.0, around=PINS, bias=False)
    before = rig.registers()
    rig.monitor.command(LeadWatch(4, 6))
    with rig.running() as put:
        for number, block in enumerate(rig.blocks(1.0)):
            put(block)
            if number == 20:
                assert loff(rig) == [0x00, 0xFF, 0xFF, 0x02]
                rig.electrodes(*[resistor(5_000)] * 2, OFF)
            elif number == 40:
                rig.electrodes(*[resistor(5_000)] * 5, OFF, side="n")
            elif number == 60:
                rig.electrodes(*[resistor(5_000)] * 3)
    assert [(m.off_p, m.off_n, m.railed, m.watched) for m in rig.said(Leads)] == [
        (0, 0, 0, 1),
        (0b100, 0, 0, 1),
        (0b100, 0, 0b100, 1),
        (0b100, 0b100000, 0b100, 1),
        (0b100, 0b100000, 0b100100, 1),
        (0, 0b100000, 0b100100, 1),
    ]
    assert rig.said(Reply) == [Reply(4, "")]
    assert rig.registers() == before


def test_a_shared_reference_gets_no_current() -> None:
    rig = LeadRig(1000.0)
    rig.monitor.command(LeadWatch(1, 24))
    rig.play(0.1)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(2, 24))
        put(rig.block(10))
        assert loff(rig) == [0x04, 0xFF, 0x00, 0x02]


def test_watching_ends_when_asked_to() -> None:
    rig = LeadRig(1000.0)
    before = rig.registers()
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        assert rig.registers() != before
        rig.monitor.command(LeadWatch(2, 0))
        put(rig.block(10))
        assert rig.registers() == before
    assert [m.watched for m in rig.said(Leads)] == [1, 0]


def test_the_older_family_is_watched_too() -> None:
    rig = LeadRig(1000.0, (ADS1298,), around=PINS, bias=False)
    before = rig.registers()
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 12))
        put(rig.block(10))
        rig.electrodes(OFF)
        for block in rig.blocks(0.1):
            put(block)
        assert loff(rig) == [0x07, 0xFF, 0x00, 0x02]
    assert rig.said(Leads)[-1].off_p == 1
    assert rig.registers() == before


@pytest.mark.control("H18.1")
@pytest.mark.parametrize(
    ("current_na", "why"),
    [
        (24_000, "24 uA DC is above the limit of 10 uA"),
        (6_000, "is not for people"),
        (5, "no current of 5 nA"),
    ],
)
def test_currents_that_must_not_flow_are_refused(current_na: int, why: str) -> None:
    rig = LeadRig()
    rig.play(0.1, LeadWatch(1, current_na))
    assert why in rig.said(Reply)[0].refusal
    assert loff(rig) == [0, 0, 0, 0] and not rig.said(Leads)


def test_impedance_is_measured_while_leads_are_watched_and_watching_goes_on() -> None:
    rig = LeadRig(1000.0, bias=False).electrodes(resistor(10_000))
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        watched = rig.registers()
        rig.monitor.command(ImpedanceStart(2, 6, 0.0, 0, 0))
        rig.monitor.command(LeadWatch(3, 0))
        for block in rig.blocks(2.6):
            put(block)
        assert rig.registers() == watched
        rig.electrodes(OFF)
        for block in rig.blocks(0.1):
            put(block)
    assert "being measured" in rig.said(Reply)[2].refusal
    assert rig.said(Leads)[-1].off_p == 1


def test_watching_goes_on_on_chips_that_were_brought_up_anew() -> None:
    rig = LeadRig(1000.0)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        with rig.monitor.renewed():
            rig.front_end.bring_up(rig.front_end._setup)
            assert loff(rig) == [0, 0, 0, 0]
            rig.front_end.start()
        put(rig.block(10))
        assert loff(rig) == [0x00, 0xFF, 0x00, 0x02]
    assert loff(rig) == [0, 0, 0, 0] and not rig.said(Fault)


def test_a_chip_that_does_not_obey_is_not_watched() -> None:
    rig = LeadRig(1000.0)
    before = rig.registers()
    rig.wires[0].hear = lambda mosi: (
        bytes(len(mosi)) if mosi[0] == 0x40 | Address.LOFF_SENSP and mosi[2] else mosi
    )
    rig.play(0.1, LeadWatch(1, 6))
    assert "LOFF_SENSP" in rig.said(Reply)[0].refusal
    assert rig.registers() == before and not rig.said(Leads)


def test_other_bits_of_config4_are_kept() -> None:
    rig = LeadRig(1000.0, (ADS1298,), around=PINS)
    rig.front_end.write_registers(0, {Address.CONFIG4: 0x04})
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        assert loff(rig)[3] == 0x06
    assert loff(rig)[3] == 0x04


def test_an_impedance_current_says_nothing_about_open_leads() -> None:
    rig = LeadRig(1000.0, bias=False)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        rig.electrodes(OFF)
        for block in rig.blocks(0.1):
            put(block)
        told = rig.said(Leads)
        rig.monitor.command(ImpedanceStart(2, 6, 0.0, 0, 0))
        for block in rig.blocks(1.0):
            put(block)
    assert told[-1].off_p == 1 and rig.said(Leads) == told, "no flag counts of a lead that is not excited"


def test_a_lead_that_flickers_within_a_block_changes_nothing() -> None:
    rig = LeadRig(1000.0)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        for flags, off in (([1, 0, 1], 0), ([1, 1, 1], 1), ([1, 0, 1], 1), ([0, 0, 0], 0)):
            decoded = decode_frames(np.zeros((3, 27), np.uint8))
            off_p = replace(decoded, lead_off_p=np.array(flags, np.uint8))
            rig.monitor.watched(lambda rows, frames=off_p: frames)(np.zeros((3, 27), np.uint8))  # type: ignore[misc]
            rig.items += rig.monitor.block(true_block(rig.index, 10, 8))
            assert rig.said(Leads)[-1].off_p == off
    assert [m.off_p for m in rig.said(Leads)] == [0, 1, 0]


def test_two_chips_bits_of_the_board() -> None:
    rig = LeadRig(1000.0, (ADS1299, ADS1299), bias=False)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        rig.electrodes(resistor(5_000), OFF, chip=1)
        for block in rig.blocks(0.2):
            put(block)
    assert (rig.said(Leads)[-1].off_p, rig.said(Leads)[-1].railed) == (1 << 9, 1 << 9)


def test_with_the_bias_drive_a_loose_lead_makes_all_flags_lie_and_its_rail_tells_which() -> None:
    """Facts 1.8, 1.9: the drive saturates, every flag says off. What the bytes say is passed on."""
    rig = LeadRig(1000.0)
    with rig.running() as put:
        rig.monitor.command(LeadWatch(1, 6))
        put(rig.block(10))
        rig.electrodes(resistor(5_000), OFF)
        for block in rig.blocks(0.2):
            put(block)
    assert (rig.said(Leads)[-1].off_p, rig.said(Leads)[-1].railed) == (0xFF, 0b10)


@pytest.mark.control("H4.2")
def test_stimuli_are_locked_before_a_current_flows_and_until_it_has_ended() -> None:
    rig = LeadRig(1000.0)
    told: list[tuple[bool, list[int]]] = []
    rig.monitor = LeadMonitor(
        rig.front_end, rig.info, rig.names, rig.clock, lock=lambda on: told.append((on, loff(rig)))
    )
    rig.electrodes(*[resistor(5_000)] * 8)
    flowing = 0
    with rig.running() as put:
        put(rig.block(10))
        rig.monitor.command(ImpedanceStart(1, 5, 31.25, 0, 0))  # there is no such current
        put(rig.block(10))
        assert told == []
        rig.monitor.command(ImpedanceStart(2, 6, 31.25, 0, 0))
        for block in rig.blocks(3.0):
            put(block)
            if loff(rig)[1]:
                flowing += 1
                assert [on for on, _ in told] == [True]
    assert flowing > 10
    assert told == [(True, [0, 0, 0, 0]), (False, [0, 0, 0, 0])]
    assert [r.refusal == "" for r in rig.said(Reply)] == [False, True]
