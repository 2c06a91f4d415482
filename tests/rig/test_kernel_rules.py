"""The rig answers as a kernel does: case by case against the record of a real one, where there is a record.

`linux_6_1.json` is what tests.rig.kernel_rules said on Linux 6.1, gpio-sim behind the node. What needs no
record, because the uAPI's documentation says it, is asserted here.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from firmware.rig import uapi as u
from tests.rig.conftest import ROOT, spawn, why_not
from tests.rig.kernel_rules.registry import CASES, RIG_DIFFERS, record

RECORD = Path(__file__).with_name("linux_6_1.json")
OPTIONS = ("--body", "beaker", "--stim", "-")
IN, OUT = u.V2_INPUT, u.V2_OUTPUT


@cache
def observed() -> dict[str, Any]:
    """What the program says on the rig; it runs once."""
    ran = spawn(
        *OPTIONS,
        "--",
        *(sys.executable, "-m", "tests.rig.kernel_rules"),
        environment={"PYTHONPATH": str(ROOT)},
    )
    said: dict[str, Any] = ran.said
    return said


@cache
def recorded() -> dict[str, Any]:
    """What it said on a real kernel; nothing where that has not been asked."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


@pytest.fixture
def said() -> dict[str, Any]:
    if why_not():
        pytest.skip(why_not())
    return observed()


def differences(ours: Any, kernel: Any, where: str = "") -> list[str]:
    """Where two observations differ, a line each."""
    if isinstance(ours, dict) and isinstance(kernel, dict) and ours.keys() == kernel.keys():
        return [line for key in ours for line in differences(ours[key], kernel[key], f"{where}[{key!r}]")]
    same_kind = type(ours) is type(kernel) and isinstance(ours, list | str) and len(ours) == len(kernel)
    if same_kind and ours != kernel:
        pairs = enumerate(zip(ours, kernel, strict=True))
        found = [(k, a, b) for k, (a, b) in pairs if a != b]
        if isinstance(ours, str):
            return [f"{where}[{k:#x}]: {a!r} on the rig, {b!r} on a kernel" for k, a, b in found]
        return [line for k, a, b in found for line in differences(a, b, f"{where}[{k}]")]
    return [] if ours == kernel else [f"{where}: {ours!r} on the rig, {kernel!r} on a kernel"]


@pytest.mark.parametrize("name", CASES)
def test_the_rig_answers_as_the_kernel_did(said, name):
    if name not in recorded():
        pytest.skip("no record of a real kernel for this case")
    found = differences(said[name], recorded()[name])
    if found and name in RIG_DIFFERS:
        pytest.xfail(RIG_DIFFERS[name])
    assert not found, "\n".join([CASES[name].__doc__ or "", *found[:20]])


def test_the_record_has_no_case_that_is_gone():
    assert set(recorded()) <= set(CASES)


def test_no_case_fails_to_ask(said):
    assert set(said) == set(CASES) and set(RIG_DIFFERS) <= set(CASES)
    assert {name: found["raised"] for name, found in said.items() if "raised" in found} == {}


def test_every_combination_of_flags_has_its_outcome(said):
    v2, handles, events = (said[name] for name in ("v2_flags", "v1_handle_flags", "v1_event_flags"))
    assert [len(walk["outcomes"]) for walk in (v2, handles, events)] == [1 << 13, 1 << 9, 1 << 12]
    assert [walk["outcomes"].count(".") for walk in (v2, handles, events)] == [
        len(walk["accepted"]) for walk in (v2, handles, events)
    ]
    assert set(v2["outcomes"]) == set("IO."), "EINVAL, no hardware clock, accepted"
    assert v2["outcomes"][u.V2_CLOCK_HTE | IN | OUT] == "O" and v2["outcomes"][u.V2_CLOCK_HTE | 1] == "I"
    assert all(told == asked | u.V2_USED for asked, told in v2["accepted"] if asked & (IN | OUT))
    assert [told for asked, told in v2["accepted"] if asked == 0] == [IN | u.V2_USED]
    assert len(v2["accepted"]) == 4 * (1 + 4 * 4 + 3 * 4)
    assert len(handles["accepted"]) == 2 * (1 + 4 + 3 * 4) and len(events["accepted"]) == 2 * 2 * 4 * 4


def test_a_line_is_held_once(said):
    busy = said["busy"]
    assert len(busy) == 20
    assert all(found == (["EBUSY"] * 2 if "then" in name else "ok") for name, found in busy.items())
    assert said["refused_half_way"]["free"] == ["ok", "ok"]


def test_events_are_numbered(said):
    many = said["edges_of_many"]
    assert [event[2] for event in many] == list(range(1, 7))
    assert [event[3] for event in many if event[1] == 20] == [1, 2]
    assert said["edges_of_two_requests"][2] == [["fall", 20, 1, 1]], "a new request starts anew"
    kept = {size: found[:3] for size, found in said["overflow"].items() if size.isdecimal()}
    assert {size: found[0] for size, found in kept.items()} == {
        "0": 16,
        "2": 2,
        "3": 4,
        "4": 4,
        "16": 16,
        "17": 32,
    }
    assert all(last == ["fall", 20, 40, 40] for _, _, last in kept.values()), "the newest is kept"


def test_a_record_is_one_case_a_line():
    text = record({"b": {"y": 1, "x": [2]}, "a": "ok"})
    assert text == '{\n"a": "ok",\n"b": {"x":[2],"y":1}\n}\n' and json.loads(text)["b"]["x"] == [2]


def test_a_case_can_be_asked_alone_and_recorded(rig, tmp_path):
    file = tmp_path / "record.json"
    text = f"""
        import sys
        from tests.rig.kernel_rules.registry import main
        sys.exit(main(["--record", {str(file)!r}, "chip_info"]))
    """
    said = rig(text, *OPTIONS).said
    assert list(said) == ["chip_info"] and json.loads(file.read_text()) == said
    unknown = "from tests.rig.kernel_rules.registry import main; raise SystemExit(main(['nonsense']))"
    assert rig(unknown).code == 2


def test_differences_are_told_by_their_place():
    assert differences({"a": [1, "xyz"]}, {"a": [1, "xYz"]}) == [
        "['a'][1][0x1]: 'y' on the rig, 'Y' on a kernel"
    ]
    assert differences([1], [1, 2]) == [": [1] on the rig, [1, 2] on a kernel"]
    assert differences({"a": 1}, {"a": 1}) == []
