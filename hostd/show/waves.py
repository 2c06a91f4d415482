"""What is watched without a stimulus: the last seconds of muscles and EEG, and the EEG's spectra over time.
Pure.

The newest is at the right; what was lost is a hole of its length.
"""

import numpy as np
from numpy.typing import NDArray

from hostd.show.canvas import Canvas
from hostd.show.courses import Spectra, Wave
from hostd.show.lines import Line, cut, fit, padded
from hostd.show.theme import DENSITY
from hostd.show.traces import held
from hostd.show.words import harmless

LEAST_UV = 20.0
TOP_HZ = 30.0


def picture(
    wave: Wave | None, size: tuple[int, int], *, negative_up: bool = True, small: bool = False
) -> list[Line]:
    """`size` (columns, rows) cells: a derivation a row, two cells each at least."""
    columns, height = size
    canvas = Canvas(columns, height)
    axis = 0 if small else 1
    if wave is None or height - axis < 1 or not wave.derivations or not len(wave.high_uv):
        return padded([[("no samples yet", "dim")]], height)
    names = wave.derivations[: max(1, (height - axis) // 2)]
    holds = held(_reach_uv(wave))
    for k, name in enumerate(names):
        top, end = (4 * (n * (height - axis) // len(names)) for n in (k, k + 1))
        dots_uv = ((end - top) / 2 - 0.5) / holds * (1 if negative_up else -1)
        middle = (top + end - 1) / 2
        low, high = _columns(wave, k, canvas.wide)
        ends = np.stack((middle + low * dots_uv, middle + high * dots_uv))
        ends = np.clip(ends, top, end - 1)
        canvas.band("wave", np.fmin(ends[0], ends[1]), np.fmax(ends[0], ends[1]))
        if not small or end - top >= 8:
            canvas.word(0, top // 4, cut(harmless(name, 40), 18), "dim")
    if not small:
        _axis(canvas, wave, height - 1, holds, len(names))
    return canvas.lines()


def _reach_uv(wave: Wave) -> float:
    """What the scale is to hold: most of the rows with room for what stands out, since a stimulus' artifact
    or a twitch is a thousand times larger than what is listened for; it is cut at the row's edge."""
    size = np.fmax(np.abs(wave.high_uv[-4000:]), np.abs(wave.low_uv[-4000:]))
    finite = size[np.isfinite(size)]
    return max(LEAST_UV, 2.5 * float(np.percentile(finite, 97))) if len(finite) else LEAST_UV


def _columns(wave: Wave, at: int, wide: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest microvolts in each column of dots, the newest at the right, joined to their
    neighbours."""
    low, high = np.full(wide, np.nan), np.full(wide, np.nan)
    have = len(wave.high_uv)
    # Column c holds rows that end (wide - c) / wide of the whole stretch before the newest.
    column = wide - 1 - ((have - 1 - np.arange(have)) * wide) // wave.rows
    kept = column >= 0
    column = column[kept]
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    if len(starts):
        low[column[starts]] = np.fmin.reduceat(wave.low_uv[kept, at], starts)
        high[column[starts]] = np.fmax.reduceat(wave.high_uv[kept, at], starts)
    before_low, before_high = low[:-1].copy(), high[:-1].copy()
    joined = np.isfinite(low[1:]) & np.isfinite(before_high)
    low[1:][joined] = np.fmin(low[1:], before_high)[joined]
    high[1:][joined] = np.fmax(high[1:], before_low)[joined]
    return low, high


def _axis(canvas: Canvas, wave: Wave, at: int, holds: float, shown: int) -> None:
    whole_s = wave.rows * wave.row_s
    for back in range(0, int(whole_s) + 1, 2):
        column = canvas.columns - 1 - round(back / whole_s * canvas.columns)
        canvas.word(column - 2, at, f"−{back}" if back else "0 s", "axis")
    hidden = len(wave.derivations) - shown
    said = f"row ±{holds:.0f} µV" + (f", {hidden} more" if hidden else "") + " "
    canvas.word(0, at, said, "axis")


def density(spectra: Spectra | None, columns: int, height: int) -> list[Line]:
    """The density of the EEG: time to the right, frequency up to 30 Hz, two bins a cell; as many
    derivations as there is room for."""
    if height <= 0:
        return []
    if spectra is None or not spectra.density_db or not spectra.hz:
        return padded([[("no spectrum yet", "dim")]], height)
    shown = max(1, min(len(spectra.derivations), height // 5))
    if 1 < shown < len(spectra.derivations):
        shown -= shown % 2  # left and right together
    lines: list[Line] = []
    for k in range(shown):
        rows = (k + 1) * height // shown - k * height // shown
        lines += _one(spectra, k, columns, rows)
    return padded(lines, height)


def _one(spectra: Spectra, at: int, columns: int, height: int) -> list[Line]:
    name = harmless(spectra.derivations[at], 30)
    label = 6
    wide = max(columns - label, 1)
    levels = _levels(spectra, at, wide, 2 * (height - 1))
    newest = f"{name}  density {levels[1]:g} to {levels[2]:g} dB, the last {len(spectra.density_db)} s"
    lines: list[Line] = [[(cut(newest, columns), "dim")]]
    steps = levels[0]
    for row in range(height - 1):
        upper, lower = steps[2 * (height - 1) - 1 - 2 * row], steps[2 * (height - 1) - 2 - 2 * row]
        hz = TOP_HZ * (1 - row / max(height - 1, 1))
        line: Line = [(f"{hz:4.0f}Hz" if row % 3 == 0 else " " * label, "axis")]
        for low, up in zip(lower, upper, strict=True):
            piece = (" ", "") if low < 0 else ("▄", f"dsa {low} {up}")
            if line and line[-1][1] == piece[1]:
                line[-1] = (line[-1][0] + piece[0], piece[1])
            else:
                line.append(piece)
        lines.append(fit(line, columns))
    return lines


def _levels(spectra: Spectra, at: int, wide: int, bins: int) -> tuple[NDArray[np.intp], float, float]:
    """A step of DENSITY for every (bin, column), -1 where nothing is known; the dB of the lowest and
    highest."""
    rows = np.stack([one[at] for one in spectra.density_db])
    hz = np.asarray(spectra.hz)
    wanted = (np.arange(bins) + 0.5) * TOP_HZ / max(bins, 1)
    picked = rows[:, np.clip(np.searchsorted(hz, wanted), 0, len(hz) - 1)]
    if len(picked) > wide:
        starts = np.arange(wide) * len(picked) // wide
        picked = np.fmax.reduceat(picked, starts, axis=0)
    finite = picked[np.isfinite(picked)]
    if not len(finite):
        return np.full((bins, wide), -1, dtype=np.intp), 0.0, 0.0
    low = 5.0 * np.floor(np.percentile(finite, 10) / 5)
    high = max(5.0 * np.ceil(np.percentile(finite, 98) / 5), low + 10)
    scaled = (picked - low) / (high - low) * len(DENSITY)
    steps = np.full((bins, wide), -1, dtype=np.intp)
    known = np.where(np.isfinite(scaled), np.clip(np.nan_to_num(scaled), 0, len(DENSITY) - 1), -1)
    steps[:, wide - len(picked) :] = known.T.astype(np.intp)
    return steps, float(low), float(high)
