"""The picture of a test: which way is up, what scale says, where peaks and the stimulus stand."""

import numpy as np
import pytest

from hostd.show import traces, waves
from hostd.show.courses import Spectra, Wave
from hostd.show.frames import Frame
from hostd.show.lines import plain_text
from hostd.show.traces import Mark


def of(
    uv: np.ndarray, names: tuple[str, ...] = ("A-B",), t0_ms: float = -10.0, stack: object = None
) -> Frame:
    return Frame(names, t0_ms, 0.5, uv.astype(float), stack, None, 9, "", "", {})  # type: ignore[arg-type]


def trough(rows: int = 200, at: int = 100, size_uv: float = -5.0) -> np.ndarray:
    t = np.arange(rows)
    return (size_uv * np.exp(-0.5 * ((t - at) / 6.0) ** 2))[:, None]


def rows_with(lines: list, styles: tuple[str, ...]) -> list[int]:
    return [
        k for k, line in enumerate(lines) if any(style in styles and text.strip() for text, style in line)
    ]


@pytest.mark.control("H7.5")
def test_negative_is_up_unless_told_otherwise() -> None:
    up = rows_with(traces.picture(of(trough()), None, (), (60, 9), small=True), ("trace",))
    down = rows_with(
        traces.picture(of(trough()), None, (), (60, 9), small=True, negative_up=False), ("trace",)
    )
    assert up[0] == 0 and max(up) <= 5
    assert down[-1] == 8 and min(down) >= 3


def test_the_scale_holds_the_curve_and_says_its_microvolts() -> None:
    (row,) = traces.rows_of(of(trough()), None, 10, True, 0)
    half = (row.end - row.top) / 2 - 0.5
    assert 0.79 <= 5.0 * row.dots_uv / half <= 1.0
    assert row.bar_uv * row.dots_uv <= half
    shown = traces.picture(of(trough()), None, (), (60, 11))
    assert any("µV" in plain_text(line) for line in shown)
    bar = sum(1 for line in shown if line[-1][1] == "axis" and line[-1][0].strip())
    assert bar >= round(row.bar_uv * row.dots_uv / 4)


def test_the_gain_changes_the_scale_by_twos_and_a_baseline_counts_too() -> None:
    plain = traces.rows_of(of(trough()), None, 10, True, 0)[0]
    assert traces.rows_of(of(trough()), None, 10, True, 2)[0].dots_uv == 4 * plain.dots_uv
    assert traces.rows_of(of(trough()), None, 10, True, -1)[0].dots_uv == plain.dots_uv / 2
    wide = traces.rows_of(of(trough()), of(trough(size_uv=-50.0)), 10, True, 0)[0]
    assert wide.dots_uv < plain.dots_uv / 8


def test_a_peak_is_named_above_or_below_itself() -> None:
    peak = Mark("N20", "A-B", 40.0)
    lines = [plain_text(line) for line in traces.picture(of(trough()), None, (peak,), (80, 12))]
    row = next(k for k, line in enumerate(lines) if "N20 40.0" in line)
    middle = round((40.0 + 10) / 99.5 * 79)
    assert row <= 2 and abs(lines[row].index("N20") - middle) < 12


def test_only_what_is_present_and_the_onsets_of_muscles_are_named() -> None:
    peak = {"name": "N20", "derivation": "A-B", "present": True, "latency_ms": 40.0}
    others = [peak | {"present": False}, peak | {"latency_ms": None}, peak | {"derivation": 5}]
    assert traces.marks_of({"peaks": [peak, *others]}) == (Mark("N20", "A-B", 40.0),)
    muscle = {"name": "TA", "present": True, "onset_ms": 34.2}
    assert traces.marks_of({"responses": [muscle, "x"]}) == (Mark("onset", "TA", 34.2),)
    assert traces.marks_of(None) == traces.marks_of({"peaks": 7}) == ()


def test_names_of_peaks_do_not_cover_one_another() -> None:
    peaks = tuple(Mark(f"P{n}", "A-B", 40.0 + n / 2) for n in range(1, 5))
    lines = [plain_text(line) for line in traces.picture(of(trough()), None, peaks, (80, 16))]
    found = [n for n in range(1, 5) if any(f"P{n} {40 + n / 2:.1f}" in line for line in lines)]
    assert len(found) >= 3


def test_the_stimulus_stands_at_zero_and_the_axis_says_so() -> None:
    lines = traces.picture(of(trough()), None, (), (80, 12))
    axis = plain_text(lines[-1])
    column = round(10 / 99.5 * 159) // 2
    assert axis[column] == "0" and axis.rstrip().endswith("ms")
    for line in lines[:-1]:
        assert plain_text(line)[column] != " "


def test_baseline_and_earlier_answers_lie_under_the_trace() -> None:
    stack = np.stack([trough(size_uv=size) for size in (-2.0, -3.0, -4.0)])
    lines = traces.picture(of(trough(size_uv=-4.0), stack=stack), of(trough(at=50)), (), (80, 16))
    assert {style for line in lines for _, style in line} >= {"trace", "answer", "baseline", "stim"}


def test_of_many_derivations_those_with_peaks_come_first() -> None:
    uv = np.tile(trough(), (1, 6))
    names = tuple("abcdef")
    assert [r.name for r in traces.rows_of(of(uv, names), None, 6, True, 0, ["e", "b"])] == ["b", "e"]
    assert [r.name for r in traces.rows_of(of(uv, names), None, 40, True, 0, ["e"])] == list(names)


def test_what_is_interpolated_over_the_stimulus_does_not_set_the_scale() -> None:
    uv = trough()
    uv[20:24] = 900.0
    blanked = Frame(("A-B",), -10.0, 0.5, uv, None, (0.0, 2.0), 9, "", "", {})
    assert traces.reach_uv(uv[:, 0], blanked) < 6
    assert traces.reach_uv(uv[:, 0], of(uv)) == 900.0


def test_a_curve_of_nothing_but_holes_is_drawn_as_nothing() -> None:
    lines = traces.picture(of(np.full((50, 1), np.nan)), None, (), (40, 8))
    assert not rows_with(lines, ("trace",))


def test_a_wave_has_its_newest_at_the_right_and_its_holes_where_they_were() -> None:
    uv = np.full((1200, 1), 30.0)
    uv[600:700] = np.nan
    wave = Wave(("TA",), 0.01, uv, -uv, 0)
    lines = waves.picture(wave, (60, 6), small=True)
    filled = {k for line in lines for k, letter in enumerate(plain_text(line)) if letter > "\u2800"}
    assert 59 in filled and 0 in filled
    assert not filled & set(range(31, 34)) and {28, 37} <= filled


def test_an_artifact_does_not_flatten_what_is_listened_for() -> None:
    uv = np.full((1200, 1), 30.0)
    uv[::100] = 9000.0
    assert waves._reach_uv(Wave(("TA",), 0.01, uv, -uv, 0)) < 200


def test_the_density_has_strong_and_weak_bins_where_they_are() -> None:
    spectra = Spectra(("C3",), tuple(np.arange(0.5, 30.5, 0.5).tolist()))
    for _ in range(30):
        density = np.full((1, 60), -10.0)
        density[0, 18:22] = 20.0  # 9 to 11 Hz
        spectra.density_db.append(density)
    lines = waves.density(spectra, 50, 13)
    newest = [line[-1][1] for line in lines[1:]]
    strong = [k for k, style in enumerate(newest) if "7" in style.split()[1:]]
    assert strong and all(7 <= k <= 9 for k in strong)
    assert plain_text(lines[1]).startswith("  30Hz")
    spectra.density_db.append(np.full((1, 60), np.nan))
    assert waves.density(spectra, 50, 13)[2][-1] == (" ", "")
