"""What the coprocessor has of the box's own sources is the same there: registers, messages, limits, steps."""

import ast
import json
import subprocess
import types
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.front_end_setup import FrontEndSetup, recording_registers
from firmware.loop import arbiter, state
from firmware.pico import generate, translate
from hw import cobs, limits, link
from hw.chips import CHIPS, identify
from hw.link import Receiver, Sender, StimPlan
from hw.link_fields import layout
from hw.registers import register_map
from tests.support.links import ANY_MESSAGE, damaged
from tests.support.pico_edge import MICROPYTHON, board_files
from tests.support.pico_looped import board_modules

board = board_modules()


@pytest.mark.parametrize("name", CHIPS)
def test_the_boards_register_bytes_are_those_of_the_pis_driver(name: str) -> None:
    chip = CHIPS[name]
    for rate_hz, gain, in_use in product(chip.rates_hz, chip.gains, range(chip.channels + 1)):
        theirs = recording_registers(
            chip, FrontEndSetup(rate_hz, gain), (gain,) * chip.channels, in_use, False
        )
        ours = board.settings.recording(name, round(rate_hz), gain, in_use)
        assert ours == [(int(a), int(b)) for a, b in theirs.items()]
    specs, part = register_map(chip), board.registers.PARTS[name]
    assert part["registers"] == len(specs)
    for address, spec in specs.items():
        held = part["reset"][address], part["writable"][address], part["live"][address]
        assert held == (spec.reset, spec.writable, spec.live)
        assert board.settings.names(name)[address] == spec.name


def test_the_board_knows_a_part_by_its_id_as_the_pi_does() -> None:
    for byte in range(256):
        chip = identify(byte)
        assert board.settings.part_of(byte) == (chip.name if chip else None)


def test_a_rate_or_gain_that_no_part_has_is_refused_in_the_pis_words() -> None:
    with pytest.raises(board.faults.Refused) as refused:
        board.settings.recording("ADS1299", 3000, 24, 8)
    with pytest.raises(ValueError, match="has no rate") as ours:
        CHIPS["ADS1299"].rate_bits(3000.0)
    assert refused.value.text == str(ours.value)
    with pytest.raises(board.faults.Refused, match="no gain of 5"):
        board.settings.recording("ADS1299", 4000, 5, 8)


def as_board(message: link.Message) -> Any:
    """The same message as the board has it."""
    kind = getattr(board.messages, type(message).__name__)
    return kind(**{name: getattr(message, name) for name, _ in layout(type(message))})


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY_MESSAGE, min_size=1, max_size=4))
def test_every_message_is_the_same_bytes_from_board_and_box(messages: list[link.Message]) -> None:
    ours, theirs = Sender(), board.wire.Sender()
    sendable = [
        m for m in messages if not isinstance(m, link.Block | link.Rows)
    ]  # samples have their own way
    assert b"".join(theirs.frame(as_board(m)) for m in sendable) == b"".join(ours.frame(m) for m in sendable)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_MESSAGE, min_size=1, max_size=4), st.integers(0, 5), st.integers(0, 1 << 30))
def test_the_board_hears_what_the_box_hears(messages: list[link.Message], flips: int, seed: int) -> None:
    sender, rng = Sender(), np.random.default_rng(seed)
    stream = b"".join(map(sender.frame, messages))
    if len(stream) > 3000:
        return
    stream = damaged(stream, rng, flips)
    ours, theirs = Receiver(), board.wire.Receiver()
    heard = [m for at in range(0, len(stream), 57) for m in theirs.feed(stream[at : at + 57])]
    said = ours.feed(stream)
    assert [type(m).__name__ for m in heard] == [type(m).__name__ for m in said]
    for a, b in zip(heard, said, strict=True):
        for name, code in layout(type(b)):
            value = getattr(b, name)
            if code == "gaps":
                value = tuple((g.index, g.length, g.reason) for g in value)
            assert getattr(a, name) == value
    assert theirs.bad == ours.bad_frames


@pytest.mark.control("H16.2")
def test_a_host_that_never_ends_a_frame_costs_no_memory() -> None:
    receiver = board.wire.Receiver()
    for _ in range(100):
        receiver.feed(b"x" * 1000)
    assert len(receiver._buffer) <= board.wire.MOST_BYTES + 1000
    assert receiver.bad == 1
    good = Sender().frame(link.Start(5))
    assert receiver.feed(b"\0" + good)[0].command == 5


VECTORS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from evokd import codec, wire
for line in open(sys.argv[2]):
    job = json.loads(line)
    data = bytearray(bytes.fromhex(job["data"]))
    out = bytearray(len(data) + len(data) // 254 + 3)
    state = codec.array("I", [1, 0])
    cuts = [0] + sorted([cut % (len(data) + 1) for cut in job["cuts"]]) + [len(data)]
    for k in range(len(cuts) - 1):  # piece by piece
        codec.stuff(cuts[k], state[0], data, cuts[k + 1], out, state)
    n = codec.finish(state, out)
    back = codec.unstuff(bytes(out)[: n - 1])
    doubles = b"".join([wire.double(tuple(v) if isinstance(v, list) else v) for v in job["numbers"]])
    print(json.dumps([bytes(out)[:n].hex(), back == data, doubles.hex()]))
"""


def test_the_interpreter_itself_stuffs_and_counts_as_the_box_does(tmp_path: Any) -> None:
    """Under MicroPython, compiled by viper: runs of 254 and zeros in any place; numbers to 53 bits."""
    rng = np.random.default_rng(4)
    cases = [b"", b"\0", b"\1" * 253, b"\1" * 254, b"\1" * 255, b"\1" * 254 + b"\0", b"\0" * 300, b"\1" * 600]
    cases += [
        bytes(rng.integers(0, int(top), int(n)).astype(np.uint8))
        for top, n in zip(rng.choice([2, 3, 256], 150), rng.integers(0, 900, 150), strict=True)
    ]
    numbers = [0, 1, -1, 3, 255, -65536, (1 << 53) - 1, 1 << 60, 12345678901, [3 << 20, 20], [-7, 3]]
    jobs = tmp_path / "jobs"
    jobs.write_text(
        "".join(
            json.dumps({"data": c.hex(), "numbers": numbers, "cuts": rng.integers(0, 1000, 2).tolist()})
            + "\n"
            for c in cases
        )
    )
    script = tmp_path / "vectors.py"
    script.write_text(VECTORS)
    files = board_files(tmp_path / "board")
    ran = subprocess.run([MICROPYTHON, script, files, jobs], capture_output=True, text=True, check=True)
    real = [float(n) if isinstance(n, int) else n[0] / 2 ** n[1] for n in numbers]
    for case, line in zip(cases, ran.stdout.splitlines(), strict=True):
        stuffed, back, doubles = json.loads(line)
        assert bytes.fromhex(stuffed) == cobs.encode(case) + b"\0"
        assert back
        assert np.frombuffer(bytes.fromhex(doubles)).tolist() == real


class Single(ast.NodeTransformer):
    """A module's floats as the board has them: of 24 bits."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, float):
            return node
        return ast.Call(ast.Name("f32", ast.Load()), [node], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        sides = [ast.Call(ast.Name("f32", ast.Load()), [side], []) for side in (node.left, node.right)]
        return ast.BinOp(sides[0], ast.Div(), sides[1])


def single_limits() -> types.ModuleType:
    """The board's limits on a float of 24 bits."""
    tree = ast.fix_missing_locations(Single().visit(ast.parse(generate.modules()["limits"])))
    module = types.ModuleType("single_limits")
    module.__dict__["f32"] = np.float32
    exec(compile(tree, "limits", "exec"), module.__dict__)
    return module


SINGLE = single_limits()
AT_LIMITS = st.builds(
    StimPlan,
    command=st.just(0),
    plan=st.just(1),
    line=st.integers(1, 4),
    period=st.sampled_from([40, 80, 160, 320, 1600, 4000, 16000, 16001, 331, 267]),
    phase=st.integers(0, 100),
    hold=st.sampled_from([2, 8, 16, 40, 160]),
    count=st.just(0),
    pulses=st.sampled_from([1, 1, 2, 5, 9]),
    interval=st.sampled_from([10, 16, 17, 32, 48]),
    trains=st.sampled_from([1, 1, 2]),
    gap=st.sampled_from([32, 64]),
    guard=st.sampled_from([0, 100]),
    kind=st.integers(0, 4),
    current_ua=st.sampled_from([0, 100_000, 30_000, 1_500_000, 220_000, 99_999, 100_001])
    | st.integers(0, 2 << 20),
    width_us=st.sampled_from([0, 50, 300, 1000, 500, 400]) | st.integers(0, 1200),
    area_cm2=st.sampled_from([0.0, 0.05, 0.5, 1.0]) | st.floats(0.01, 90),
)


@pytest.mark.control("H2.2")
@settings(max_examples=1500, deadline=None)
@given(AT_LIMITS, st.sampled_from([250, 1000, 4000, 8000, 16000]))
def test_limits_on_floats_of_24_bits_are_those_of_the_box(plan: StimPlan, rate_hz: int) -> None:
    """To a millionth: at a limit itself the plan runs, beyond it does not."""
    theirs = SINGLE.refuse(plan, rate_hz, 4)
    for factor in (1.0, 1 - 3e-6, 1 + 3e-6):
        shifted = [c if c.name == "" else _scaled(c, factor) for c in limits.CEILINGS]
        ours = limits.refuse(plan, float(rate_hz), 4, shifted)
        if bool(ours) == bool(theirs):
            return
    pytest.fail(f"{plan}: the box says {limits.refuse(plan, float(rate_hz), 4)!r}, the board {theirs!r}")


def _scaled(ceiling: limits.Ceiling, factor: float) -> limits.Ceiling:
    scaled = {name: getattr(ceiling, name) * factor for name in ("current_ma", "width_us", "charge_uc")}
    scaled |= {name: getattr(ceiling, name) * factor for name in ("energy_mj", "density_uc_cm2", "rate_hz")}
    scaled |= {"train_density_uc_cm2": ceiling.train_density_uc_cm2 * factor}
    rest = {name: getattr(ceiling, name) for name in limits.FIGURES if name not in scaled}
    return limits.Ceiling(ceiling.name, **(scaled | rest))


@pytest.mark.parametrize("kind", range(5))
def test_a_plan_exactly_at_a_limit_runs_on_the_board(kind: int) -> None:
    c = limits.CEILINGS[kind]
    width = int(c.width_us) if c.current_ma else 0
    current = 0 if not width else int(min(c.current_ma * 1000, c.charge_uc * 1e6 / width))
    while current and limits.refuse(_single(kind, current, width), 16000.0, 4):
        current -= 1
    assert SINGLE.refuse(_single(kind, current, width), 16000, 4) == ""
    if current:
        assert SINGLE.refuse(_single(kind, current + max(2, current // 1000), width), 16000, 4) != ""


def _single(kind: int, current_ua: int, width_us: int) -> StimPlan:
    return StimPlan(0, 1, 1, 0, 0, 16, 1, kind=kind, current_ua=current_ua, width_us=width_us, area_cm2=1.0)


def test_what_has_no_rule_is_refused_with_its_line() -> None:
    module = types.SimpleNamespace(__name__="somewhere")
    for body, words in (
        ("return np.median(x)", "np.median has no rule"),
        ("return x[1:, 2]", "a slice of a table has no rule"),
        ("a: int", "a declaration without a value"),
    ):
        tree = ast.parse(f"def f(x):\n    {body}\n")
        with pytest.raises(ValueError, match=words):
            translate._written(tree.body, translate._Rules(module.__name__, {}, {}))
    with pytest.raises(ValueError, match="has no function nobody"):
        translate.functions(arbiter, ["nobody"], {}, {})


def test_the_ceilings_and_codes_of_the_board_are_the_loops() -> None:
    assert tuple(state.ceiling_row(c) for c in limits.CEILINGS) == board.arbiter.CEILING_ROWS
    for name in ("LOCK_UNTIL", "AWAITED", "REFUSED_STOPPED", "BY_REST", "N_SCALARS"):
        assert getattr(board.arbiter, name) == getattr(state, name)
    assert generate.modules() == generate.modules()
