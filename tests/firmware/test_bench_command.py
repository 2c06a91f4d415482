"""The command: exit codes, one line for bad options, a table, a documented report, a page by itself."""

import json
import math
import re
from html.parser import HTMLParser

import pytest

import firmware.bench
from firmware.bench.__main__ import main, parse_fault
from firmware.bench.bench import Bench
from firmware.bench.items import ITEMS, NAMES
from firmware.bench.page import as_html
from firmware.bench.plots import as_svg
from firmware.bench.report import as_json
from firmware.bench.run import Row, run
from firmware.bench.sources import simulated_board, simulated_box
from firmware.bench.table import Table
from firmware.bench.verdicts import Plot, Series, judged, within
from firmware.errors import ConfigError
from hw.model.faults import Fault, FaultKind

QUICK = ["--quick", "--items", "id,registers,temperature"]


def test_exit_0_when_all_pass_with_a_line_per_item_and_a_table(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(QUICK) == 0
    out = capsys.readouterr().out
    assert re.search(r"^pass +temperature +[\d.]+ C$", out, re.MULTILINE)
    assert re.search(r"^Temperature +[\d.]+ C +10 to 60 C, chips within 5 C +pass$", out, re.MULTILINE)
    assert "3 pass" in out
    assert "\x1b" not in out
    assert "\r" not in out


def test_exit_1_when_one_fails_and_the_cause_and_cure_are_said(capsys) -> None:
    assert main([*QUICK, "--fault", "hot_chip:1:1:80"]) == 1
    out = capsys.readouterr().out
    assert "chip 1 is hot (80 C); cure: look for a short" in out
    assert out.rstrip().endswith("verdict: fail")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--items", "id,nose"], "--items 'nose' is none of id, reset_map"),
        (["--rate", "999"], "--rate 999 is none of 16000"),
        (["--fault", "gremlins"], "--fault 'gremlins' is none of wrong_id"),
        (["--fault", "hot_chip:x"], "is not NAME[:CHIP[:CHANNEL[:VALUE]]]"),
        (["--fault", "hot_chip:3"], "the board has 1"),
        (["--fault", "gain_error:1:9"], "gain_error"),
        (["--chips", "5"], "a board has 1 to 4"),
        (["--leads", "open"], "belong to --source pi"),
        (["--source", "pi", "--fault", "hot_chip"], "--fault belongs to --source simulated"),
        (["--soak", "1"], "--soak 1: give 8 or more"),
        (["--campaign", "0"], "--campaign 0: give 1 or more"),
        (["--json", "/nowhere/x.json"], "--json /nowhere/x.json: No such file or directory"),
        (["--source", "pi", "--wiring", "/nowhere.toml"], "wiring /nowhere.toml"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_exit_2_and_one_line_for_bad_options(options, says, capsys) -> None:
    assert main(options) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_faults_are_counted_from_1_like_everything_a_person_types() -> None:
    assert parse_fault("gain_error:2:3:1.5") == Fault(FaultKind.GAIN_ERROR, 1, 2, 1.5, 0x0D)
    assert parse_fault("hot_chip") == Fault(FaultKind.HOT_CHIP, 0, 0, None, 0x0D)
    with pytest.raises(ConfigError):
        parse_fault("hot_chip:1:1:nan")


def test_the_report_has_every_key_that_is_documented(tmp_path, capsys) -> None:
    path = tmp_path / "report.json"
    assert (
        main(
            ["--quick", "--fault", "dead_channel:1:2", "--items", "noise,spectrum,held", "--json", str(path)]
        )
        == 1
    )
    report = json.loads(path.read_text())
    documented = set(re.findall(r"`(\w+)`", firmware.bench.__doc__ or ""))
    item = report["items"][0]
    keys = {*report, *report["about"], *report["findings"][0], *item, *item["values"][0], *item["causes"][0]}
    keys |= {*report["items"][1]["plots"][0], *report["items"][1]["plots"][0]["series"][0]}
    assert keys <= documented, keys - documented
    assert (report["schema"], report["verdict"], report["counts"]["fail"]) == (1, "fail", 1)
    assert report["findings"][0]["item"] == "noise"
    assert report["about"]["faults"] == ["dead_channel:1:2"]
    assert report["about"]["proves_machine"] is False
    assert report["held"] is None
    assert "proves nothing about this machine" in report["items"][2]["reason"]
    values = {value["what"]: value for value in item["values"]}
    assert values["channel 2"]["verdict"] == "fail"
    assert values["channel 3"]["high"] == pytest.approx(0.30, rel=0.01)


def test_what_is_no_number_is_null_in_the_report(tmp_path, capsys) -> None:
    value = within("x", math.inf, "V", None, 1.0)
    row = Row(ITEMS[0], judged("x", [value, within("y", math.nan, "V")]), 0.0)
    item = as_json([row], {}, None)["items"][0]
    assert [value["measured"] for value in item["values"]] == [None, None]
    path = tmp_path / "report.json"
    main(
        [
            "--quick",
            "--fault",
            "test_signal_dead",
            "--items",
            "test_signal,scale,crosstalk",
            "--json",
            str(path),
        ]
    )
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the report"))


class Page(HTMLParser):
    """Tags that do not match, and addresses of elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.foreign: list[str] = []
        self.svgs = 0

    def handle_starttag(self, tag, attrs) -> None:
        self.svgs += tag == "svg"
        self.foreign += [value for name, value in attrs if name in ("src", "href", "action") and value]
        if tag not in ("meta", "line", "rect", "circle", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        pass

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def page_of(rows, about=None) -> Page:
    page = Page()
    page.feed(as_html(rows, about or {}))
    assert page.open == []
    return page


def test_the_page_is_whole_and_needs_nothing_from_outside() -> None:
    rows = list(run(Bench(simulated_box(simulated_board(1)), quick=True)))
    text = as_html(rows, {"source": "simulated"})
    page = page_of(rows)
    assert page.svgs == 4
    assert page.foreign == []
    assert "<script" not in text
    assert "http" not in text
    assert "url(" not in text
    for title in (
        "Noise with shorted inputs",
        "Interval between data-ready edges",
        "Step of the test signal",
    ):
        assert text.count(f"<figcaption>{title}") == 1
    assert all(item.title in text for item in ITEMS)


def test_what_comes_from_outside_is_escaped() -> None:
    rows = list(run(Bench(simulated_box(simulated_board(1)), quick=True), ITEMS[:1]))
    text = as_html(rows, {"wiring": "<script>alert(1)</script>", "faults": ["a&b"]})
    assert "<script" not in text
    assert "a&amp;b" in text


def test_a_plot_puts_its_points_where_they_belong() -> None:
    svg = as_svg(Plot("t", "lines", "x", "y", (Series("a", (0.0, 1.0, 2.0), (0.0, 5.0, 10.0)),)))
    points = re.search(r'points="([^"]+)"', svg)
    assert points is not None
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points[1].split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y2
    bars = as_svg(Plot("t", "bars", "x", "y", (Series("a", (1.0, 2.0, 3.0), (4.0, 0.0, 8.0)),)))
    heights = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', bars)]
    assert len(heights) == 2  # nothing is drawn for nothing
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert as_svg(Plot("t", "lines", "x", "y", ())) == ""


def test_the_table_keeps_to_its_width_and_paints_only_when_asked() -> None:
    rows = list(run(Bench(simulated_box(simulated_board(1)), quick=True), ITEMS[:6]))
    lines = list(Table(80, colour=False).lines(rows))
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    assert any("\x1b[32m" in line for line in Table(80, colour=True).lines(rows))


def test_a_campaign_counts_sound_boxes(capsys) -> None:
    assert main(["--campaign", "3", "--quick", "--items", "id,temperature"]) == 0
    assert "3 of 3 sound boxes pass" in capsys.readouterr().out


def test_every_item_has_a_name_of_its_own_a_limit_and_a_source() -> None:
    assert len(set(NAMES)) == len(ITEMS)
    assert all(item.limit and item.source and item.title for item in ITEMS)
