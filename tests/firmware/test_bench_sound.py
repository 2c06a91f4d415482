"""A sound box passes, whatever its seed, its parts and its wiring; and what no fault injects is found too."""

from dataclasses import replace

import numpy as np
import pytest

from firmware.bench.bench import Bench
from firmware.bench.box import Box
from firmware.bench.campaign import campaign
from firmware.bench.items import ITEMS, NAMES
from firmware.bench.run import Row, run
from firmware.bench.sources import simulated_board, simulated_box
from firmware.bench.verdicts import Verdict
from hw.chips import ADS1298, ADS1299_4, ADS1299_6, ChipSpec, Opcode
from hw.frames import decode_frames, encode_frame
from hw.model.ads1299_options import ChipOptions
from hw.model.board import BoardModel, BoardSetup

COUNTS_PER_UV_24 = 24 * (1 << 23) / 4.5e6


def bad(rows: list[Row]) -> list[tuple[str, str, str]]:
    good = (Verdict.PASS, Verdict.SKIPPED)
    return [
        (row.item.name, str(row.verdict), row.outcome.measured) for row in rows if row.verdict not in good
    ]


def chosen(*names: str) -> list:
    return [item for item in ITEMS if item.name in names]


def test_sound_boxes_of_any_seed_pass_every_item() -> None:
    rounds = campaign(4, seed=11, quick=True)
    assert [(one.seed, one.complaints) for one in rounds] == [(seed, ()) for seed in range(11, 15)]


def test_nothing_but_the_machine_and_the_second_select_is_skipped_on_one_chip() -> None:
    rows = list(run(Bench(simulated_box(simulated_board(1)), quick=True)))
    assert [row.item.name for row in rows] == list(NAMES)
    skipped = {row.item.name for row in rows if row.verdict is Verdict.SKIPPED}
    assert skipped == {"chip_select", "held"}
    assert not bad(rows)


def test_two_chips_pass_each_judged_by_itself() -> None:
    rows = list(run(Bench(simulated_box(simulated_board(1, 2)), quick=True)))
    assert not bad(rows)
    noise = next(row for row in rows if row.item.name == "noise")
    assert [value.what for value in noise.outcome.values][7:9] == ["channel 1.8", "channel 2.1"]


@pytest.mark.parametrize("part", [ADS1299_4, ADS1299_6, ADS1298], ids=lambda part: part.name)
def test_other_parts_pass_by_their_own_facts(part: ChipSpec) -> None:
    board = BoardModel(BoardSetup(chips=(part,), options=ChipOptions(noise=True, seed=3)))
    rows = list(run(Bench(simulated_box(board), quick=True)))
    assert not bad(rows)
    skipped = {row.item.name for row in rows if row.verdict is Verdict.SKIPPED}
    older = {"lead_off", "lead_off_current", "bias"} if part is ADS1298 else set()
    assert skipped == {"chip_select", "held"} | older


class Doctored:
    """An SPI port whose frames are changed on the way: what leaks between inputs, or sits on them."""

    def __init__(self, box: Box, change) -> None:
        self._port, self._change = box.ports[0], change

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        reply = self._port.transfer(mosi, speed_hz)
        if mosi[0] != Opcode.RDATA or len(mosi) != 28:
            return reply
        decoded = decode_frames(np.frombuffer(reply[1:], np.uint8)[None])
        counts = self._change(decoded.counts[0].astype(float))
        gpio = int(decoded.trigger_bits[0])
        return reply[:1] + encode_frame([round(x) for x in counts], gpio)


def doctored(change) -> Bench:
    box = simulated_box(simulated_board(1))
    return Bench(replace(box, ports=(Doctored(box, change),)), quick=True)


def test_crosstalk_between_two_channels_is_found_with_its_way_and_its_share() -> None:
    def leak(counts):
        counts[5] += 0.003 * counts[1]
        return counts

    (row,) = run(doctored(leak), chosen("crosstalk"))
    assert row.verdict is Verdict.FAIL
    assert row.outcome.causes[0].cause == "crosstalk: 0.3 % of channel 2 is in channel 6"
    assert len(row.outcome.causes) == 1


def test_an_offset_is_found_on_its_channel() -> None:
    def push(counts):
        counts[2] += 700 * COUNTS_PER_UV_24
        return counts

    (row,) = run(doctored(push), chosen("offset"))
    assert row.verdict is Verdict.FAIL
    assert row.outcome.causes[0].cause.startswith("offset of channel 3:")


def test_a_scale_of_half_is_found_on_all_channels() -> None:
    (row,) = run(doctored(lambda counts: counts / 2), chosen("test_signal"))
    assert row.verdict is Verdict.FAIL
    assert "reads 50 % on all channels" in row.outcome.causes[0].cause


def test_a_filter_that_settles_late_is_found() -> None:
    state = np.zeros(8)

    def lag(counts):
        state[:] += 0.5 * (counts - state)
        return state

    (row,) = run(doctored(lag), chosen("settling"))
    assert row.verdict is Verdict.FAIL
    assert "does not settle" in row.outcome.causes[0].cause


def test_pins_that_something_else_drives_are_not_driven_against() -> None:
    box = replace(simulated_box(simulated_board(1)), pins_free=False)
    (row,) = run(Bench(box, quick=True), chosen("gpio_loop"))
    assert row.verdict is Verdict.SKIPPED
    assert "--pins-free" in row.outcome.reason


def test_unknown_leads_are_not_judged() -> None:
    box = replace(simulated_box(simulated_board(1)), connect=None, lead_ohm=None)
    rows = list(run(Bench(box, quick=True), chosen("lead_off", "lead_off_current", "bias")))
    assert {row.verdict for row in rows} == {Verdict.SKIPPED}
    known = replace(box, leads_on=True)
    (row,) = run(Bench(known, quick=True), chosen("lead_off"))
    assert row.verdict is Verdict.PASS
    assert "one state only" in row.outcome.measured


def test_times_that_cannot_be_compared_are_not() -> None:
    box = replace(simulated_box(simulated_board(1)), one_time=False)
    (row,) = run(Bench(box, quick=True), chosen("trigger_loop"))
    assert row.verdict is Verdict.PASS
    assert "position SD" not in {value.what for value in row.outcome.values}
    assert not row.outcome.plots
