"""The bench on device nodes through unmodified bindings: a sound board passes, a broken one is named."""

import json
from pathlib import Path

import pytest

from tests.rig.conftest import ON_KERNEL, lockstep_only

PROGRAM = """
from firmware.bench import box
from firmware.bench.__main__ import main

box.EDGE_TIMEOUT_S = 20.0  # the rig's processes may stand still for half a second on a busy machine
raise SystemExit(main({options}))
"""
BENCH = ["--source", "pi", "--quick", *(["--rate", "250"] if ON_KERNEL else []), "--items"]
CHAIN = ("--body", "beaker", "--chips", "ADS1299,ADS1299", "--daisy", "--daisy-gap", "1")


def test_a_sound_board_passes_and_the_rig_proves_nothing_about_the_machine(rig, tmp_path) -> None:
    report = tmp_path / "report.json"
    options = [*BENCH, "id,registers,data_ready,noise,trigger_loop,held", "--json", str(report)]
    body = ("--body", "beaker") if ON_KERNEL else ()  # a patient takes a while to be made at the first sample
    ran = rig(PROGRAM.format(options=options), *body, environment={"XDG_STATE_HOME": str(tmp_path)})
    assert ran.code == 0, ran.out + ran.err
    found = json.loads(report.read_text())
    assert found["about"]["proves_machine"] is False
    verdicts = [item["verdict"] for item in found["items"]]
    late = {"warn"} if ON_KERNEL else set()  # stamps of a slow machine
    assert set(verdicts[:-1]) <= {"pass"} | late and verdicts[-1] == "skipped" and len(verdicts) == 6
    assert not (tmp_path / "evokd").exists()


def test_a_broken_board_is_named(rig) -> None:
    ran = rig(PROGRAM.format(options=[*BENCH, "noise", "--fault", "dead_channel:1:6"]))
    assert ran.code == 1, ran.out + ran.err
    assert "dead channel 6: it gives the same code always" in ran.out


@pytest.fixture
def chain_wiring(tmp_path: Path) -> list[str]:
    """The bench's option for a daisy chain."""
    path = tmp_path / "chain.toml"
    path.write_text("daisy = true\n")
    return ["--wiring", str(path)]


@lockstep_only("the rig makes the noise of two chips slower than the guest wants samples, now and then")
def test_a_sound_chain_passes_with_all_its_chips(rig, chain_wiring: list[str]) -> None:
    ran = rig(PROGRAM.format(options=[*BENCH[:-1], *chain_wiring]), *CHAIN)
    assert ran.code == 0, ran.out + ran.err
    assert "bring_up          ADS1299, ADS1299" in ran.out
    assert "22 pass, 6 skipped" in ran.out


def test_a_dead_channel_of_the_second_chip_is_named(rig, chain_wiring: list[str]) -> None:
    options = [*BENCH, "noise", *chain_wiring, "--fault", "dead_channel:2:6"]
    ran = rig(PROGRAM.format(options=options), *CHAIN)
    assert ran.code == 1, ran.out + ran.err
    assert "dead channel 2.6: it gives the same code always" in ran.out
