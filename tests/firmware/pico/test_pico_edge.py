"""The coprocessor's firmware in MicroPython, on a modelled board, seen from its serial port."""

from typing import Any

import numpy as np
import pytest

from firmware.pico import identity, image
from hostd.blocks import Reassembler
from hostd.errors import LinkError, UsageError
from hw import link
from hw.chips import ADS1299, ADS1299_4
from hw.link import (
    NOT_SEEN,
    Block,
    Description,
    Fault,
    Hello,
    Sender,
    Start,
    StimArm,
    Stimulus,
    Timebase,
    hello,
)
from hw.model.board import BoardModel, BoardSetup
from hw.model.faults import Fault as ChipFault
from hw.model.faults import FaultKind
from hw.samples import Gap, SampleBlock
from tests.support.edge import WITHIN_S, heard_block
from tests.support.edges import configure, ramp_model
from tests.support.links import other_version, tiles
from tests.support.looped import armed, plan
from tests.support.pico_model import PicoModel
from tests.support.pico_talk import JOB, of, talk


def step(blocks: list[SampleBlock]) -> set[int]:
    """Differences between neighbours of the ramp over whole blocks, one value where nothing is missing."""
    counts = np.concatenate([b.counts[:, 0] for b in blocks]).astype(np.int64)
    return {int(d) // 20 for d in np.diff(counts)}


def test_a_board_says_who_it_is_and_what_it_delivers() -> None:
    with talk() as t:
        said = t.begin(JOB | {"gain": 24, "channels": 8})
        who = identity.read(said.source)
        built = image.read_manifest(image.build()[image.MANIFEST])
        assert who is not None and built is not None
        assert who.board.endswith(" e6614c311b7e6f25")
        assert (who.version, who.image, who.self_test) == (
            built.version,
            built.image[:16],
            "self test passed",
        )
        assert (said.rate_hz, said.lines) == (4000.0, 4)
        assert said.lsb_uv == (4.5e6 / 24 / 2**23,) * 8
        # The pulse rises when the frame has been read: so much earlier than the edge that shows it.
        read_samples = 1 - (said.latency_offset_samples + 1.5)
        assert 0.06 < read_samples < 0.1
        assert t.link.edge_boot


def test_samples_are_the_converters_own_and_none_is_missing() -> None:
    with talk() as t:
        t.begin()
        blocks = t.samples(4000)
        assert tiles(blocks, 0)
        assert len(step(blocks)) == 1
        assert all(len(set(row)) == 1 for row in blocks[3].counts.tolist())
        assert (t.link.counters["bad_frames"], t.link.counters["lost_frames"]) == (0, 0)


@pytest.mark.parametrize(
    ("chips", "channels", "rate_hz"), [(2, 16, 8000.0), (3, 20, 1000.0), (4, 32, 4000.0)]
)
def test_several_converters_are_one_board(chips: int, channels: int, rate_hz: float) -> None:
    model = ramp_model(chips)
    model.blocks = 3  # an RP2350's
    with talk(model) as t:
        said = t.begin({"rate_hz": rate_hz, "channels": channels})
        assert (len(said.channels), said.lines) == (channels, min(4 * chips, 8))
        blocks = t.samples(1000)
        assert tiles(blocks, 0)
        assert blocks[0].counts.shape[1] == channels
        assert all(len(set(row)) == 1 for row in blocks[1].counts.tolist())


def test_lines_five_to_eight_return_through_the_second_converter() -> None:
    with talk(ramp_model(2)) as t:
        t.begin({"rate_hz": 4000.0, "channels": 16})
        t.ask(*armed(plan(1, line=7, period=400, phase=300)))
        blocks = t.samples(1200)
        bits = np.concatenate([b.trigger_bits for b in blocks])
        assert set(np.flatnonzero(np.diff(bits.astype(int)) > 0) + 1) >= {301, 701, 1101}
        assert set(bits) == {0, 1 << 6}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"rate_hz": 3000.0}, "the ADS1299 has no rate of 3000 Hz: use one of"),
        ({"rate_hz": 4000.0, "gain": 5}, "the ADS1299 has no gain of 5: use one of"),
        ({"rate_hz": 4000.0, "channels": 40}, "40 channels wanted"),
        ({"rate_hz": 4000.0, "channels": 32}, "4 converters need an RP2350: an RP2040 has too few"),
        ({"rate_hz": 250.5}, "8 channels at 250.5 Hz cannot be"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_in_one_line(job: dict[str, Any], words: str) -> None:
    chips = 4 if job.get("channels", 8) > 8 else 1
    with talk(ramp_model(chips)) as t:
        with pytest.raises(UsageError, match=words):
            t.begin(job)
        assert t.begin().rate_hz == 4000.0  # and the board is as good as before


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ChipFault(FaultKind.DEAD_CHIP), "chip 1: expected 0x3E in ID, got 0x00: likely cause no answer"),
        (ChipFault(FaultKind.DOUT_OPEN), "got 0xFF: likely cause the data line floats high"),
        (ChipFault(FaultKind.BITS_SHIFTED, value=1), "wrong SPI mode"),
        (ChipFault(FaultKind.REGISTER_STUCK, address=5, channel=4, value=1), "in CH1SET"),
        (ChipFault(FaultKind.REGISTER_STUCK, address=2, channel=4, value=1), "CONFIG2 after RESET, got 0xD0"),
        (ChipFault(FaultKind.REGISTER_STUCK, address=3, channel=7, value=0), "in CONFIG3, got 0x6"),
        (ChipFault(FaultKind.DIN_OPEN), "chip 1: expected 0x3E in ID"),
    ],
)
def test_a_converter_that_is_not_as_it_should_be_is_told_with_its_cure(fault: ChipFault, words: str) -> None:
    model = ramp_model()
    model.board.apply(fault)
    with talk(model) as t, pytest.raises(LinkError, match=words):
        t.begin()


def test_chips_of_different_kinds_cannot_be_read_together() -> None:
    model = PicoModel(model=BoardModel(BoardSetup((ADS1299, ADS1299_4))))
    with talk(model) as t, pytest.raises(LinkError, match="chip 2: expected ADS1299, got ADS1299-4"):
        t.begin({"rate_hz": 1000.0, "channels": 12})


def test_a_missing_second_converter_is_told() -> None:
    with talk() as t, pytest.raises(LinkError, match="chip 2: expected 0x3E in ID"):
        t.begin({"rate_hz": 1000.0, "channels": 16})


def test_torn_frames_are_gaps_and_the_rest_keeps_its_index() -> None:
    model = ramp_model()
    torn = {100, 101, 102, 333, 700}
    model.faulty = lambda i, rows: [b"\0" * len(r) for r in rows] if i in torn else rows
    with talk(model) as t:
        t.begin()
        blocks = t.samples(1500)
        assert tiles(blocks, 0)
        gaps = [gap for block in blocks for gap in block.gaps]
        assert gaps == [Gap(100, 3, "torn"), Gap(333, 1, "torn"), Gap(700, 1, "torn")]
        base = blocks[0].counts[0, 0]
        per_sample = (blocks[-1].counts[-1, 0] - base) / (blocks[-1].end_index - 1)
        for block in blocks:
            expected = base + per_sample * (block.first_index + np.arange(len(block.counts)))
            assert np.abs(block.counts[:, 0] - expected).max() <= 1


def test_half_a_second_of_torn_frames_is_a_fault_that_is_told_once() -> None:
    model = ramp_model()
    model.faulty = lambda i, rows: [b"\0" * len(r) for r in rows] if 500 <= i < 2800 else rows
    with talk(model) as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        blocks = t.samples(3300)
        assert [f.code for f in of(Fault, t.heard)] == ["torn_frames"]
        assert [gap for b in blocks for gap in b.gaps] == [Gap(500, 2300, "torn")]
        refused = t.ask(StimArm(7, 1, 4000), plan(1, period=400))
        assert refused == ["", ""]  # samples come again


def test_a_host_that_lets_the_board_wait_before_it_starts_is_no_fault() -> None:
    ticks = [0]
    with talk(ramp_model(rate_ticks=lambda: ticks[0])) as t:
        t.link.open(configure(JOB))
        ticks[0] = 5000
        t.begin()
        t.samples(400)
        assert of(Fault, t.heard) == []


def test_what_a_host_does_not_take_is_a_gap_named_overflow() -> None:
    """The board goes on to look at its samples: what fires meanwhile is proven."""
    model = ramp_model()
    with talk(model) as t:
        t.begin()
        t.samples(400)
        t.ask(*armed(plan(period=400, phase=300)))
        model.patient = False
        model.grant(4000)  # a second, of which the board holds a quarter
        model.until_granted()
        model.patient = True
        t.samples(6000)
        blocks = [heard_block(m) for m in t.heard if isinstance(m, Block)]
        gaps = [gap for b in blocks for gap in b.gaps]
        assert tiles(blocks, 0), [(b.first_index, b.end_index, b.gaps) for b in blocks if b.gaps]
        assert {gap.reason for gap in gaps} == {"overflow"}
        assert 0 < sum(gap.length for gap in gaps) < 4000
        assert of(Fault, t.heard) == []
        assert all(s.seen == s.commanded + 1 for s in of(Stimulus, t.heard))
        assert len(of(Stimulus, t.heard)) >= 12


def test_an_interpreter_that_is_away_too_long_loses_samples_with_a_name_and_proves_nothing_of_them() -> None:
    model = ramp_model()
    with talk(model) as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        t.samples(540)  # and 144 more: the pulse of 700 has been handed over
        model.until_granted()
        model.at_once = 1500
        model.grant(1500)
        model.until_granted()
        model.at_once = 0
        t.samples(4000)
        blocks = [heard_block(m) for m in t.heard if isinstance(m, Block)]
        assert tiles(blocks, 0)
        assert {gap.reason for b in blocks for gap in b.gaps} == {"overflow"}
        assert of(Fault, t.heard) == []
        proofs = {s.commanded: s.seen for s in of(Stimulus, t.heard)}
        assert (proofs[300], proofs[700]) == (301, NOT_SEEN)
        assert proofs[max(proofs)] == max(proofs) + 1


@pytest.mark.control("H1.6")
def test_a_second_host_goes_on_where_the_first_one_was_and_finds_nothing_armed() -> None:
    reassembler = Reassembler()
    with talk() as t:
        t.begin()
        t.ask(*armed(plan(period=400, phase=300)))
        blocks = t.samples(1000)
        t.again()
        t.begin()
        more = t.samples(3000)
        for block in blocks + more:
            assert block.end_index > block.first_index
        assert more[0].first_index >= blocks[-1].end_index
        assert tiles(more, more[0].first_index - sum(g.length for g in more[0].gaps))
        late = [i for i, _ in t.model.pulses if i > more[0].end_index + 200]
        assert late == []
        assert t.ask(plan(period=400)) == ["it is not armed; arm it first"]
        assert reassembler.malformed == 0


def test_another_configuration_begins_anew_with_another_boot() -> None:
    with talk() as t:
        t.begin()
        t.samples(500)
        t.model.granted = 0
        boots = [t.link.edge_boot]
        for _ in range(3):  # another configuration, and twice the same again
            t.again()
            t.begin({"rate_hz": 1000.0, "channels": 2})
            boots.append(t.link.edge_boot)
        assert tiles(t.samples(200), 0)
        assert boots[0] != boots[1] == boots[2] == boots[3]


def test_a_host_of_another_version_is_told_and_nothing_it_says_is_believed() -> None:
    with talk() as t:
        t.link._wire.write(other_version(role=b"host"))
        heard = t.until(lambda m: isinstance(m, Fault))
        assert heard[0].version == link.VERSION
        assert heard[-1].code == "version"
        assert heard[-1].text.startswith("peer speaks link version 4, this side 3")
        t.send(configure(JOB), Start(0), hello("host", 3))
        assert not of(Description, t.until(lambda m: isinstance(m, Hello)))
        assert t.begin().rate_hz == 4000.0


def test_garbage_on_the_port_is_nothing_and_costs_nothing() -> None:
    rng = np.random.default_rng(9)
    with talk() as t:
        t.begin()
        sender = Sender()
        good = sender.frame(hello("host", 7))
        for _ in range(20):
            t.link._wire.write(rng.bytes(200))
            broken = bytearray(good)
            broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
            t.link._wire.write(bytes(broken))
        t.link._wire.write(b"\x03\x04\x02" * 50 + b"\0" + b"x" * 6000 + b"\0")
        assert tiles(t.samples(1000), 0)
        assert t.ask(StimArm(5, 1, 10)) == [""]
        assert (t.link.counters["bad_frames"], t.link.counters["lost_frames"]) == (0, 0)


def test_time_is_the_boards_own_crystal_and_the_oscillators_error_is_told() -> None:
    board = BoardModel(BoardSetup(oscillator_ppm=4000.0))
    model = PicoModel(model=board, crystal_ppm=30.0)
    model.ticks_ms = lambda: 0
    with talk(model) as t:
        t.begin({"rate_hz": 16000.0})
        t.samples(16000)
        reports = of(Timebase, t.heard)
        assert len(reports) >= 3
        last = reports[-1]
        assert last.ppm == pytest.approx(4000.0 - 30.0, abs=0.5)
        true_ns = 1e9 / 16000 / 1.004 * (1 + 30e-6)
        assert last.ns_per_sample == pytest.approx(true_ns, rel=1e-7)
        for b in of(Block, t.heard):
            end = b.first_index + len(b.bits) - 1
            off_ns = b.t_ns - last.t_ns - (end - last.index) * true_ns
            # Until the period is known, an edge whose stamp is no longer kept is placed by the nominal one.
            assert abs(off_ns) < 200 or (b.t_ns < reports[0].t_ns and abs(off_ns) < 2_000_000)


@pytest.mark.control("H17.2")
@pytest.mark.parametrize("role", ["check", "flash"])
def test_a_board_on_which_a_case_runs_tells_nobody_more_and_stays(role: str) -> None:
    with talk() as t:
        t.begin()
        t.samples(100)
        t.send(hello(role, 1))
        assert t.until(lambda m: isinstance(m, Fault))[-1].text == "a case is running: it must end first"
        assert t.samples(500)[-1].end_index >= 500


def test_an_idle_board_says_who_it_is_and_leaves_when_it_is_to_be_flashed() -> None:
    with talk() as t:
        t.send(hello("check", 1))
        heard = t.until(lambda m: isinstance(m, Description))
        assert isinstance(heard[0], Hello)
        assert identity.read(heard[-1].source) is not None
        t.send(hello("flash", 1))
        assert t.until(lambda m: isinstance(m, Description))[-1].source == heard[-1].source
        assert t.board.process.wait(WITHIN_S) == 64  # it resets itself
        assert t.board.stays()
