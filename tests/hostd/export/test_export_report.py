"""The report: one page that needs nothing, one PDF, both with everything; and whose names are in neither."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdf
import pytest

from hostd import schema
from hostd.cli import main
from hostd.export import html, identity, pdf
from hostd.export.averages import courses, traces
from hostd.export.axes import Axes, clock_ticks, ticks
from hostd.export.document import Heading, Report
from hostd.export.record import Record
from tests.support.recorded import CANARY, CASE_ID
from tests.support.session import ROOT

Export = Callable[..., Path]
SECTIONS = ("Overview", "Alerts", "Response ledger", "Events", "Stimulation", "Electrodes", "Samples")
FORMS = ("edf", "bdf", "bids", "csv", "html", "pdf")


class Page(HTMLParser):
    """Tags that are open, every attribute, and the text."""

    VOID = ("meta", "col")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


@pytest.mark.control("H16.6")
def test_the_page_says_everything_and_fetches_nothing(export: Export) -> None:
    text = export("html").read_text(encoding="utf-8")
    page = Page(text)
    assert set(SECTIONS) <= set(page.text)
    assert {"svg", "polyline", "table"} <= page.tags and not {"script", "img", "link", "iframe"} & page.tags
    assert not re.search(r"https?:|url\(|@import|javascript:", text)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    words = " ".join(page.text)
    for said in (
        CASE_ID,
        "Everything, shortly",
        "=1+1; <b>clip on</b> & \N{GREEK SMALL LETTER MU}V",
        "the pulse on line 1 never came back. Evidence: rule edge fault missing",
        "1 measured",
        "256 lost",
        "not a medical device",
        "A simulated patient",
        "400 V",
        "train of four 4 of 4",
    ):
        assert said in words, said
    assert re.search(r"raised 0:00:09; acknowledged 0:00:09; cleared 0:00:(09|10)", words)
    assert "b" not in page.tags, "what was typed is text"
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert labels[:2] == ["left_median: traces", "left_median: trends"] and labels[-1] == "eeg: trends"


def test_the_pdf_says_the_same(export: Export) -> None:
    made = pypdf.PdfReader(export("pdf"))
    words = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in made.pages))
    assert len(made.pages) >= 3
    for said in (
        *SECTIONS,
        CASE_ID,
        "left_mep: TcMEP, left hemisphere",
        "clip on",
        "never came back",
        "256 lost",
        "N20",
        "400 V",
    ):
        assert said in words, said
    assert f"1 / {len(made.pages)}" in words
    assert not any(page.images for page in made.pages), "traces are lines"
    size = made.pages[0].mediabox
    assert (round(float(size.width)), round(float(size.height))) == (595, 842)


def test_without_a_font_letters_beyond_latin_are_question_marks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, export: Export
) -> None:
    monkeypatch.setattr(pdf, "FONTS", tmp_path)
    words = " ".join(page.extract_text() for page in pypdf.PdfReader(export("pdf")).pages)
    assert "clip on" in words and "95 %" in words


def test_without_fpdf2_it_says_how_to_get_it(
    recorded: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "fpdf", None)
    assert main(["export", str(recorded), "--to", "pdf", "--out", str(tmp_path / "r.pdf")]) == 2
    assert capsys.readouterr().err == f"evokd: {pdf.MISSING}\n"
    assert list(tmp_path.iterdir()) == []


def test_baseline_worst_and_last_are_of_the_case(recorded: Path) -> None:
    record = Record(recorded)
    plans = {plan.name: plan for plan in record.case.tests}
    found = courses(record, plans["left_median"], traces(record, "left_median"))
    assert [c.peak for c in found] == ["N9", "N13", "N20"]
    n20 = found[-1]
    assert n20.baseline is not None and n20.last is not None and n20.last.present
    assert n20.last.latency_ms == pytest.approx(19.9, abs=0.5)
    muscles = courses(record, plans["left_mep"], traces(record, "left_mep"))
    assert [c.peak for c in muscles] == ["ADMR1-ADMR2", "TAR1-TAR2"]
    assert [len(c.rows) for c in muscles] == [3, 3] and all(c.baseline for c in muscles)


def test_the_worst_is_the_smallest_or_the_one_not_seen(case: Path) -> None:
    with sqlite3.connect(case / "case.sqlite") as database:
        rows = database.execute(
            "SELECT rowid, sample FROM measurements WHERE peak = 'ADMR1-ADMR2'"
        ).fetchall()
        for k, (row, sample) in enumerate(rows):
            told = (sample + 30_000, 300.0 - 100 * k, row)
            database.execute("UPDATE measurements SET sample = ?, amplitude_uv = ? WHERE rowid = ?", told)
    record = Record(case)
    plan = next(plan for plan in record.case.tests if plan.name == "left_mep")
    course = courses(record, plan, traces(record, "left_mep"))[0]
    assert course.worst is not None and course.worst.amplitude_uv == 100.0
    with sqlite3.connect(case / "case.sqlite") as database:
        database.execute(
            "UPDATE measurements SET present = 0, amplitude_uv = NULL WHERE rowid = ?", rows[0][:1]
        )
    course = courses(Record(case), plan, traces(record, "left_mep"))[0]
    assert course.worst is not None and not course.worst.present
    assert course.worst.sample == rows[0][1] + 30_000


def test_a_report_without_samples_says_so(case: Path, export: Export) -> None:
    (case / "raw.bdf").unlink()
    text = export("html", of=case).read_text(encoding="utf-8")
    assert "No raw samples: recording" in text and "No such file or directory" in text


def test_reading_a_case_loads_no_kernel(recorded: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from hostd.cli import main
for to in ('csv', 'edf', 'bdf', 'html'):
    main(['export', {str(recorded)!r}, '--to', to, '--out', {str(tmp_path)!r} + '/' + to])
sys.exit('numba' in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.control("H13.2")
def test_nobody_is_named_unless_asked_for(case: Path, export: Export) -> None:
    assert main(["identity", str(case), f"name={CANARY}", "id=MRN 4711", "born=1961-05-04", "sex=F"]) == 0
    names = (CANARY.encode(), b"Canary", b"4711", b"1961-05-04", b"MAY-1961")
    for to in FORMS:
        out = export(to, of=case)
        for path in (out, *out.rglob("*")):
            assert path.is_dir() or not [n for n in names if n in path.read_bytes()], path
        words = [p.extract_text() for p in pypdf.PdfReader(out).pages] if to == "pdf" else []
        assert not [w for w in words if "Canary" in w]
        for path in sorted([out, *out.rglob("*")], reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.control("H13.2")
def test_with_identity_it_is_in_the_head_and_for_the_owner_alone(case: Path, export: Export) -> None:
    identity.write(
        case, {"name": CANARY, "id": "MRN 4711", "born": "1961-05-04", "sex": "F", "note": "allergic"}
    )
    held = {"html": CANARY, "csv": CANARY, "edf": "MRN_4711 F 04-MAY-1961 Canary_Underhill"}
    held["bdf"] = held["edf"]
    for to, text in held.items():
        out = export(to, "--identity", of=case)
        files = [p for p in (out, *out.rglob("*")) if p.is_file()]
        assert any(text.encode() in path.read_bytes() for path in files), to
        assert all(path.stat().st_mode & 0o077 == 0 for path in (out, *files))
        for path in sorted([out, *out.rglob("*")], reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    words = pypdf.PdfReader(export("pdf", "--identity", of=case)).pages[0].extract_text()
    assert "Canary" in words and "4711" in words


@pytest.mark.control("H13.2")
def test_the_identity_is_out_of_reach_of_bus_and_record(recorded: Path) -> None:
    """No module but those of `evokd export` knows the file; no message has a place for it."""
    for path in (ROOT / "hostd").rglob("*.py"):
        if path.parent.name != "export" and path.name not in ("cli.py", "options.py"):
            assert not re.search(r"patient\.toml|export\.identity|import identity", path.read_text()), (
                path.name
            )
    fields = {name for _, kind in schema.TOPICS.values() for name in kind.__struct_fields__}
    assert not fields & {"patient", "identity", "born", "sex", "birth_date"}


def test_an_empty_report_is_a_page() -> None:
    assert "<h1>Case</h1>" in html.page(Report("Title", "foot", (Heading("Case", 1),)))


def test_axes_put_values_in_their_frame() -> None:
    axes = Axes(10, 20, 100, 50, (0, 10), (-1, 1), down=True)
    assert axes.at(0, -1) == (10, 20) and axes.at(10, 1) == (110, 70) and axes.at(99, 99) == (110, 70)
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10] and ticks(1, 1, 3) == [1]
    assert clock_ticks(200) == [0, 60, 120, 180] and len(clock_ticks(50_000)) <= 7
