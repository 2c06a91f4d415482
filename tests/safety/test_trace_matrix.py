"""Markers are read as they stand, and everything that keeps the matrix from being whole is told in a line."""

from pathlib import Path

import pytest

from tests.safety import records
from tests.safety.matrix import matrix
from tests.safety.proofs import Proof, of_source, read
from tests.safety.records import Control, Hazard, Hazards, Interface, Interlock, Threat, Threats

TEST = "tests/hw/test_x.py"
MODULE = "hw/limits.py"
GOOD = """
import pytest

@pytest.mark.control("H1.1", "H2.3")
@pytest.mark.parametrize("n", [1])
def test_one(n): ...

@pytest.mark.skipif(True, reason="here")
@pytest.mark.control("H1.2")
@pytest.mark.control("H1.1")
def test_two(): ...

def test_unmarked(): ...
"""


def test_markers_are_read_from_the_sources() -> None:
    one, two = of_source(GOOD, TEST)
    assert one == Proof(TEST, "test_one", 6, ("H1.1", "H2.3"))
    assert two == Proof(TEST, "test_two", 11, ("H1.2", "H1.1"), condition=True)
    assert one.node == f"{TEST}::test_one"


@pytest.mark.parametrize(
    ("source", "path", "told"),
    [
        ("@pytest.mark.control(NAME)\ndef test_x(): ...", TEST, "x.py:2: test_x: write the ids"),
        ("@pytest.mark.control('H1.1', *more)\ndef test_x(): ...", TEST, "plain texts"),
        ("@pytest.mark.control(id='H1.1')\ndef test_x(): ...", TEST, "plain texts"),
        ("@pytest.mark.control\ndef test_x(): ...", TEST, "plain texts"),
        ("@pytest.mark.control('H1.1')\ndef helper(): ...", TEST, "helper is nothing that pytest collects"),
        (
            "@pytest.mark.control('H1.1')\ndef test_x(): ...",
            "tests/support/x.py",
            "nothing that pytest collects",
        ),
        ("pytestmark = pytest.mark.control('H1.1')", TEST, "x.py:1: this marker stands on no function"),
        (
            "class TestX:\n  @pytest.mark.control('H1.1')\n  def test_x(self): ...",
            TEST,
            "stands on no function",
        ),
        ("@pytest.mark.skip\n@pytest.mark.control('H1.1')\ndef test_x(): ...", TEST, "is marked skip too"),
        (
            "@pytest.mark.control('H1.1')\n@pytest.mark.xfail(strict=True)\ndef test_x(): ...",
            TEST,
            "marked xfail",
        ),
    ],
)
def test_what_a_reader_of_sources_cannot_follow_is_a_fault(source: str, path: str, told: str) -> None:
    (fault,) = of_source(source, path)
    assert isinstance(fault, str) and told in fault and fault.startswith(path) and "\n" not in fault


def test_all_tests_are_read_in_order_and_what_is_only_quoted_is_no_marker(tmp_path: Path) -> None:
    (tmp_path / "tests" / "hw").mkdir(parents=True)
    (tmp_path / TEST).write_text(GOOD)
    (tmp_path / "tests" / "test_quoted.py").write_text(f"x = {GOOD!r}")
    (tmp_path / "tests" / "hw" / "test_bad.py").write_text("x = pytest.mark.control('H1.1')")
    found, faults = read(tmp_path)
    assert [one.node for one in found] == [f"{TEST}::test_one", f"{TEST}::test_two"]
    assert len(faults) == 1 and faults[0].startswith("tests/hw/test_bad.py:1: ")


def hazards(*controls: Control, interlock: tuple[str, ...] = ("H1.1",)) -> Hazards:
    made = controls or (Control("H1.1", "it is", (MODULE,)),)
    lock = Interlock("lock", "rule", interlock)
    return Hazards((Hazard("H1", "hazard", "sequence", "harm", "critical", made),), (lock,))


def threats(*threat: Threat) -> Threats:
    return Threats((Interface("wire", "bytes", "none", threat),))


PROOF = Proof(TEST, "test_x", 7, ("H1.1",))


def test_a_whole_matrix_goes_both_ways_and_has_no_fault() -> None:
    gap = Control("H1.2", "it is not", (MODULE,), "because")
    whole = matrix(hazards(Control("H1.1", "it is", (MODULE,)), gap), threats(), [PROOF])
    assert whole.faults == ()
    assert whole.proofs == {"H1.1": (PROOF,), "H1.2": ()}
    assert whole.controls == {MODULE: ("H1.1", "H1.2")}


ONE = Control("H1.1", "it is", (MODULE,))
NOWHERE = Control("H1.1", "it is", ("hw/no.py",))
FOLDER = Control("H1.1", "it is", ("hw",))
STRANGE = Control("H2.1", "it is", (), "why")
OPEN = Control("H1.1", "it is", (), "why")
OTHER = Proof(TEST, "test_y", 9, ("H9.9",))
TWICE = Proof(TEST, "test_x", 7, ("H1.1", "H1.1"))
BROKEN = {
    "no test": (hazards(), [], "control H1.1 (it is) has no test; mark the test that proves it"),
    "gap and test": (hazards(OPEN), [PROOF], "has a gap and a test, tests/hw/test_x.py::test_x"),
    "no module": (hazards(Control("H1.1", "it is")), [PROOF], "is in no module"),
    "module that is not": (hazards(NOWHERE), [PROOF], "names hw/no.py, which there is not"),
    "folder for a module": (hazards(FOLDER), [PROOF], "names hw, which there is not"),
    "marker for nothing": (hazards(), [PROOF, OTHER], "test_x.py:9: test_y proves H9.9, which is no control"),
    "named twice": (hazards(), [TWICE], "test_x names H1.1 2 times"),
    "an id twice": (hazards(ONE, ONE), [PROOF], "id H1.1 is given 2 times"),
    "another's id": (hazards(ONE, STRANGE), [PROOF], "control H2.1 stands under H1; call it H1.N"),
    "interlock": (hazards(interlock=("H7.7",)), [PROOF], "lock names H7.7, which is no control"),
    "empty interlock": (hazards(interlock=()), [PROOF], "interlock lock names no control"),
}
UNANSWERED = {
    "T1 names H7.7, which is no control": Threat("T1", "S", "x", ("H7.7",)),
    "T1 has no control and says nothing": Threat("T1", "S", "x"),
    "id H1.1 is given 2 times": Threat("H1.1", "S", "x", ("H1.1",)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_keeps_a_matrix_from_being_whole_is_one_line(what: str) -> None:
    some, proofs, told = BROKEN[what]
    faults = matrix(some, threats(), proofs).faults
    assert len(faults) == 1 and told in faults[0] and "\n" not in faults[0]


@pytest.mark.parametrize("told", UNANSWERED)
def test_a_threat_that_nothing_answers_is_one_line(told: str) -> None:
    (fault,) = matrix(hazards(), threats(UNANSWERED[told]), [PROOF]).faults
    assert told in fault


def test_a_hazard_without_a_control_is_told() -> None:
    empty = Hazards((Hazard("H1", "hazard", "s", "h", "minor", ()),), ())
    (fault,) = matrix(empty, threats(), []).faults
    assert "H1 (hazard) has no control" in fault


BAD = "id = 'H1'\nhazard = ''\nsequence = ''\nharm = ''\nseverity = 'bad'\ncontrol = []"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hazard = 3", "hazards.toml: Expected `array`"),
        ("[[hazard]]\nid = 'H1'", "missing required field"),
        (f"interlock = []\n[[hazard]]\n{BAD}", "Invalid enum value 'bad'"),
        ("hazard = []\ninterlock = []\nother = 1", "unknown field `other`"),
        ("hazard = [", "hazards.toml: "),
        (None, "hazards.toml: No such file or directory; put it back"),
    ],
)
def test_a_file_that_is_not_as_declared_is_one_line(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "hazards.toml").write_text(text)
    with pytest.raises(records.SafetyFileError) as caught:
        records.hazards(tmp_path)
    assert told in str(caught.value) and "\n" not in str(caught.value)
