"""The safety file of this very tree is whole, complete and the same each time; the command says so."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hostd.export import html
from hw import limits
from tests.safety import __main__ as command
from tests.safety import anomalies, chapters, limit_table, markdown, soup, whole
from tests.safety.imports import Module, users
from tests.safety.matrix import controls_of
from tests.safety.records import HERE, ROOT, SafetyFileError, Soup, Soups, Unit, Units
from tests.safety.records import soups as shipped
from tests.safety.segregation import split

INTERLOCKS = (
    "fail-safe output hardware one-shot rate limiter arm and dwell heartbeat dose caps electrode check "
    "conflict arbiter identity audit"
)
"""Facts: clinical 4.D, the one-shot and the rate limiter by themselves."""


@pytest.fixture(scope="module")
def made() -> whole.Whole:
    """The safety file of this tree: every control has its test or says why not, every marker its control."""
    return whole.read()


def test_it_is_whole(made: whole.Whole) -> None:
    assert len(made.matrix.proofs) == len(controls_of(made.hazards)) > 100
    assert " ".join(one.name for one in made.hazards.interlock) == INTERLOCKS
    for interface in made.threats.interface:
        assert {one.stride for one in interface.threat} == set("STRIDE"), interface.name
    gaps = {one.id for one in controls_of(made.hazards) if one.gap}
    assert {name for name, proofs in made.matrix.proofs.items() if not proofs} == gaps
    assert len(gaps) == len(made.gaps)


def test_the_document_says_all_of_it_and_the_same_each_time(made: whole.Whole) -> None:
    report = chapters.document(made)
    text, page = markdown.page(report), html.page(report)
    assert markdown.page(chapters.document(made)) == text
    values = markdown.values(made)
    assert json.loads(json.dumps(values)) == values
    ids = [one.id for one in controls_of(made.hazards)] + [one["id"] for one in values["threats"]]
    for cell in (*ids, *(one.soup.name for one in made.used), *(unit.name for unit in made.units.unit)):
        assert cell in page and cell.replace("_", "\\_") in text, cell
    for proof in made.proofs:
        assert proof.test in page
    assert (
        "Not a medical device" in page
        and "Foreseeable misuse" in page
        and "Reporting a vulnerability" in page
    )
    assert not re.search(r"<script|<link|<img|src=|url\(|href=", page)
    assert str(ROOT) not in text and str(ROOT) not in page


def test_every_row_of_the_markdown_has_its_columns(made: whole.Whole) -> None:
    for block in markdown.page(chapters.document(made)).split("\n\n"):
        if block.startswith("| "):
            columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(columns) == 1, block[:80]


def test_the_soup_list_knows_who_imports_what() -> None:
    entry = {one.soup.name: one for one in soup.used(soups())[0]}
    assert "hostd/bus.py" in entry["pyzmq"].users
    assert entry["rpi-lgpio"].users == ("firmware/linux.py",)
    assert all(path.startswith(("firmware/", "hostd/")) for path in entry["pyserial"].users)
    assert not any(path.startswith(("firmware/", "hw/")) for path in users()["zmq"]), "the edge has no ZeroMQ"


def soups(without: str = "", more: str = "") -> Soups:
    told = shipped()
    kept = tuple(one for one in told.soup if one.name != without)
    return Soups((*kept, Soup(more, "x", "y")) if more else kept, told.system)


@pytest.mark.parametrize(
    ("without", "more", "faults"),
    [
        ("", "", ()),
        ("pyzmq", "", ("soup.toml: pyzmq is imported by hostd/bus.py and has no entry; write one",)),
        ("msgpack", "", ("soup.toml: msgpack is declared in pyproject.toml and has no entry; write one",)),
        ("", "scipy", ("soup.toml: nothing imports or declares scipy; remove its entry",)),
    ],
)
def test_a_soup_list_that_is_not_whole_is_told(without: str, more: str, faults: tuple[str, ...]) -> None:
    assert soup.used(soups(without, more))[1] == faults


def test_the_limits_are_those_of_the_table(made: whole.Whole) -> None:
    columns, rows = limit_table.by_kind()
    assert columns == ("limit", *limits.KINDS) and len(rows) == len(limits.FIGURES)
    told = {row[0].partition(" ")[0]: row[1:] for row in rows}
    assert told["current_ma"] == tuple(f"{c.current_ma:g}" for c in limits.CEILINGS)
    assert told["density_uc_cm2"][-1] == "40" and told["density_uc_cm2"][0] == "none of its own"
    assert ("s that a test stays armed unused", f"{limits.ARM_S:g}") in limit_table.times()
    assert set(limit_table.UNITS) == set(limits.FIGURES)


def test_what_the_readmes_call_open_is_quoted(made: whole.Whole) -> None:
    where = [one.where for one in made.open]
    for path in ("firmware/README.md", "firmware/pico/README.md", "hostd/README.md", "hw/README.md"):
        assert f"{path}, Open" in where
    assert made.open[0].text.startswith(anomalies.PARAGRAPH) and "`" not in made.open[0].text
    assert sum("a bar missed" in one for one in where) >= 3
    from tests.rig.kernel_rules.registry import RIG_DIFFERS

    assert len(made.rig) == len(RIG_DIFFERS) > 0


def test_marks_of_markdown_go_and_words_stay() -> None:
    text = "# x\n\n## Open\nOne **bold** `code` word\nand [a link](x.md).\n\n- a\n- b\n\n## Next\nz"
    assert anomalies.sections(text) == {"Open": "One bold code word and a link.\n\n- a\n- b", "Next": "z"}


FOO, BAR = (
    Module("hw/foo.py", frozenset({"hw/sub/bar.py"}), frozenset()),
    Module("hw/sub/bar.py", frozenset(), frozenset()),
)


def units(*leans: str, more: str = "hw/sub/") -> Units:
    return Units((Unit("top", "C", ("hw/",), "w", leans), Unit("low", "A", (more,), "w")))


def test_the_most_specific_path_wins_and_a_lean_must_be_argued() -> None:
    argued = split(units("low"), [FOO, BAR])
    assert argued.faults == () and argued.unit_of == {"hw/foo.py": "top", "hw/sub/bar.py": "low"}
    assert argued.leans == {"top": ("low",), "low": ()}
    (fault,) = split(units(), [FOO, BAR]).faults
    assert "top is of class C and imports low of class A" in fault
    (fault,) = split(units("low"), [replace(FOO, ours=frozenset()), BAR]).faults
    assert "top says that it leans on low, and does not" in fault
    nothing, lean = split(units("low", more="hw/none/"), [FOO, BAR]).faults
    assert "hw/none/ of low is no module of its own" in nothing and "leans on low, and does not" in lean
    (stranger,) = split(units("low"), [FOO, BAR, Module("dsp/x.py", frozenset(), frozenset())]).faults
    assert "dsp/x.py belongs to no unit" in stranger


JUNIT = """<testsuites><testsuite>
<testcase classname="tests.hw.test_limits" name="test_a"/>
<testcase classname="hw.test_link" name="test_b[1]"/>
<testcase classname="hw.test_link" name="test_b[2]"><failure/></testcase>
<testcase classname="test_bdf" name="test_c[x]"><skipped/></testcase>
<testcase classname="test_bdf" name="test_d[x]"><skipped/></testcase>
<testcase classname="test_bdf" name="test_d[y]"/>
</testsuite></testsuites>"""


def test_a_proof_that_failed_or_did_not_run_is_told(tmp_path: Path, made: whole.Whole) -> None:
    names = {"limits::test_a": "passed", "link::test_b": "failed", "bdf::test_c": "skipped"}
    names |= {"bdf::test_d": "passed", "limits::test_e": "was not run", "xlimits::test_a": "was not run"}
    proofs = tuple(
        replace(
            made.proofs[0], path=f"tests/hw/test_{name.partition(':')[0]}.py", test=name.rpartition(":")[2]
        )
        for name in names
    )
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    assert list(whole.outcomes(path, proofs).values()) == list(names.values())
    for text in ("<testsuites>", None):
        path.write_text(text) if text else path.unlink()
        with pytest.raises(SafetyFileError, match=r"write it with pytest --junitxml"):
            whole.outcomes(path, proofs)


def test_a_run_in_which_a_proof_is_missing_makes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    assert command.main(["--results", str(path), "--out", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 200 and all("it proves nothing there" in line for line in lines)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_all_files_or_says_why_not(
    tmp_path: Path, made: whole.Whole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(whole, "read", lambda results=None: made)
    out = tmp_path / "safety"
    assert command.main(["--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "safety.md",
        "safety.html",
        "safety.json",
        "sbom.cdx.json",
    }
    assert re.match(
        r"\d+ controls, \d+ proven by \d+ tests, \d+ known gaps, written to ", capsys.readouterr().out
    )
    assert (
        command.main(["--check", "--out", str(tmp_path / "none")]) == 0 and not (tmp_path / "none").exists()
    )
    assert command.main(["--sbom", str(tmp_path / "bom.json")]) == 0
    assert (tmp_path / "bom.json").read_bytes() == (out / "sbom.cdx.json").read_bytes()
    capsys.readouterr()
    assert command.main(["--out", str(tmp_path / "bom.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert command.main(["--proofs", "H2.4", "H14.1"]) == 0
    proofs = capsys.readouterr().out.splitlines()
    assert "tests/firmware/test_doses.py::test_limits_are_never_loosened" in proofs and len(proofs) == 5
    assert command.main(["--proofs", "H2.4", "H99.1"]) == 1
    assert "H99.1 is no control" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        command.main(["--no-such"])
    assert left.value.code == 2


def test_every_module_is_in_the_readme() -> None:
    table = (HERE / "README.md").read_text()
    for path in HERE.iterdir():
        if path.suffix in (".py", ".toml") and not path.name.startswith("test_"):
            assert f"`{path.name}`" in table, path.name
