"""Whatever the text or bytes: a case, or a list of faults in single lines, and nothing else raised."""

import json
import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd import casefile
from hostd.casefile_schema import AcquisitionTable, MonitorTable, PeakTable, RecordingTable, RootTable
from hostd.casefile_schema import TestTable as PlanTable
from hostd.errors import CaseFileError
from hw.limits import FIGURES, KINDS

SCALARS = st.one_of(
    st.integers(-5, 400),
    st.sampled_from([0, 4000, 2**64, 10**30]),
    st.floats(width=32),
    st.booleans(),
    st.sampled_from(
        [
            "off",
            "noise",
            "left",
            "baep",
            "median_ssep",
            "custom",
            "CP3",
            "CP4-CP3",
            "negative",
            "",
            "single",
            "repeat",
            "cortical",
        ]
    ),
    st.text(max_size=5),
)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def some(table, **nested):
    keys = [*table.__struct_fields__, "unknown"]
    return st.fixed_dictionaries({}, optional={key: nested.get(key, ANYTHING) for key in keys})


PEAKS = st.lists(some(PeakTable), max_size=2)
CASES = some(
    RootTable,
    acquisition=some(
        AcquisitionTable,
        channels=st.lists(st.sampled_from(["CP3", "CP4", "a-b", "Cz", "A1"])),
        monitor=some(MonitorTable),
    ),
    limits=st.dictionaries(
        st.sampled_from([*KINDS, "x"]),
        st.dictionaries(st.sampled_from([*FIGURES, "x"]), SCALARS, max_size=3) | SCALARS,
        max_size=2,
    ),
    recording=some(RecordingTable, annotations=st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)),
    test=st.dictionaries(st.sampled_from(["a", "b", "c d"]), some(PlanTable, peak=PEAKS), max_size=2),
)


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + " }"
    return repr(value)


def answer(text):
    """Parsed, or refused in lines that each say where, what and how to cure."""
    try:
        case = casefile.parse(text, "x.toml")
    except CaseFileError as error:
        assert error.faults
        for fault in error.faults:
            assert re.fullmatch(r"x\.toml:\d+: .+; .+", fault)
            assert len(fault.splitlines()) == 1
        lines = [int(fault.split(":")[1]) for fault in error.faults]
        assert lines == sorted(lines)
    else:
        assert case.tests
        assert case.text == text


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_any_structure_is_a_case_or_a_list_of_faults(document):
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items())
    if "\\ud" not in text:  # JSON's surrogate pairs are not TOML's escapes
        tomllib.loads(text)
    answer(text)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.text(st.sampled_from("[]{}=\"'.,#\n\\a1"), max_size=40)))
def test_any_text_is_a_case_or_a_list_of_faults(text):
    answer(text)


@pytest.mark.control("H16.4")
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_to_a_good_file_is_a_case_or_a_list_of_faults(data):
    text = casefile.procedure("mouse_abr").text
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    answer(text[:start] + data.draw(st.text(max_size=4)) + text[end:])


@pytest.mark.control("H16.4")
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_refused_in_words(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(CaseFileError) as caught:
        casefile.load(path)
    assert all(fault.startswith(f"{path}:") for fault in caught.value.faults)


SMALL = st.one_of(SCALARS, st.integers(1, 8), st.floats(0, 1e4), st.lists(st.floats(0, 50), max_size=3))
STIMULUS = st.dictionaries(
    st.sampled_from([key for key in PlanTable.__struct_fields__ if key != "peak"]), SMALL, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(STIMULUS, STIMULUS, st.sampled_from([1, 50, 250, 4000, 24414.0625, 100_000]))
def test_any_stimulus_is_a_case_or_a_list_of_faults(one, other, rate_hz):
    head = f'name = "x"\n[acquisition]\nrate_hz = {rate_hz}\nchannels = ["CP3", "CP4"]\n'
    sound = {"modality": "median_ssep", "side": "left"}
    tables = [
        f"[test.{name}]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in keys.items())
        for name, keys in (("a", sound | {"line": 1} | one), ("b", sound | {"line": 2} | other))
    ]
    text = "\n".join([head, *tables])
    if "\\ud" not in text:
        answer(text)
