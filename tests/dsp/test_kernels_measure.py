"""The kernels of `measure` are their twins, one signature each, never compiled after the first sample."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp import kernels_measure as kernels
from dsp import reference_measure as twins
from dsp.presence import SIGNS

Floats = NDArray[np.float64]
ROOT = Path(__file__).parents[2]
CASES = [(61, 1, 0.0), (130, 3, 0.0), (130, 5, 0.9), (241, 12, 3.0), (24, 1, 0.5)]
"""Rows, how smooth the noise is, height of the response."""
PLANS = [
    (20, 41, 30, 55, 0, 1),
    (20, 41, 10, 30, 0, -1),
    (15, 50, 0, 0, 12, 1),
    (15, 18, 0, 0, 0, -1),
    (20, 21, 20, 21, 0, 1),
]


def traces_of(rows: int, smooth: int, height_uv: float) -> Floats:
    rng = np.random.default_rng(rows * smooth)
    white = rng.standard_normal((16, rows + smooth - 1))
    traces = np.array([np.convolve(w, np.ones(smooth) / smooth, "valid") for w in white])
    traces[0] += height_uv * np.exp(-0.5 * ((np.arange(rows) - 0.5 * rows) / 4.0) ** 2)
    return traces


def plan_of(plan: tuple[int, ...], rows: int) -> NDArray[np.int64]:
    """The plan, squeezed into so many rows, with its span."""
    first, end, low, last, before, sign = plan
    first, low = min(first, rows - 4), min(low, rows - 4)
    end, last = min(end, rows - 1), min(last, rows - 1)
    windows = [(first, end), (low, last)] if last else [(first, end)]
    span = min(w[0] for w in windows), max(w[1] for w in windows)
    return np.array([first, end, low if last else 0, last, before, sign, *span])


def same(got: Floats, expected: Floats) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("columns", [[0], [2, 0], [0, 1, 2]])
def test_gather_is_its_twin(columns: list[int]) -> None:
    nulls = np.random.default_rng(1).standard_normal((15, 31, 3)).astype(np.float32)
    nulls.flags.writeable = False
    got, expected = np.full((2, len(columns), 16, 31), 7.0)
    kernels.gather(nulls, np.array(columns), got)
    twins.gather(nulls, np.array(columns), expected)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("every", [1, 3])
def test_null_sums_is_its_twin(case: tuple[int, int, float], every: int) -> None:
    traces = traces_of(*case)
    told = []
    for module in (kernels, twins):
        thin, gram = np.zeros((16, -(-case[0] // every))), np.zeros((16, 16))
        parts, levels, sums = np.zeros(16), np.zeros(16), np.zeros(6)
        module.null_sums(traces, every, SIGNS, thin, gram, parts, levels, sums)
        told.append((thin[1:], gram[1:, 1:], parts, levels, sums))
    for got, expected in zip(*told, strict=True):
        same(got, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 1, 15])
def test_what_is_no_number_spoils_the_magnitudes(bad: float, at: int) -> None:
    traces = traces_of(*CASES[0])
    traces[at, 17] = bad
    sums = np.zeros(6)
    thin, gram, parts, levels = np.zeros((16, 61)), np.zeros((16, 16)), np.zeros(16), np.zeros(16)
    kernels.null_sums(traces, 1, SIGNS, thin, gram, parts, levels, sums)
    assert not np.isfinite(sums[5])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("plan", PLANS)
def test_a_peak_is_what_the_twins_make_of_it(case: tuple[int, int, float], plan: tuple[int, ...]) -> None:
    """look, draw, along, rival, extremes, beside, reach, settle, each fed with what the one before told."""
    traces, where = traces_of(*case), plan_of(plan, case[0])
    levels = traces.mean(axis=1)
    told = []
    for module in (kernels, twins):
        picks, up, sums = np.zeros((46, kernels.COLUMNS)), np.zeros(case[0]), np.zeros((9, 6))
        module.look(traces, levels, where, up, picks, sums[0])
        module.draw(traces, where, up, picks, sums[1])
        module.rival(traces[0], where, int(picks[0, kernels.ROW]), sums[2])
        fall, prominences = np.zeros((2, case[0]))
        module.extremes(traces[0], where, prominences)
        module.beside(traces, where, picks[0], 1.1, 0.8, fall, sums[3])
        for k, allowed in enumerate((0.3, 1.5)):
            module.reach(fall, where, picks[0], allowed, sums[4 + k])
        module.along(traces, levels, where, picks, up, sums[6])
        along = up[where[6] : where[7]].copy()
        for k, drop in enumerate((0.5, 3.0)):
            module.settle(traces, where, drop, picks, up, sums[7 + k])
        told.append((picks, sums, fall, prominences, along))
    for got, expected in zip(*told, strict=True):
        same(got, expected)


def test_of_equal_values_the_first_is_picked() -> None:
    for width in range(1, 14):
        traces = np.zeros((16, 40))
        traces[:, 10 + width // 2 : 10 + width] = 1.0
        picks, expected = np.zeros((2, 46, kernels.COLUMNS))
        where = plan_of((10, 10 + width, 12, 30, 0, 1), 40)
        kernels.look(traces, np.zeros(16), where, np.zeros(40), picks, np.zeros(6))
        twins.look(traces, np.zeros(16), where, np.zeros(40), expected, np.zeros(6))
        assert np.array_equal(picks, expected)


@pytest.mark.parametrize("apex", [18.0, 19.7, 21.3])
def test_the_top_of_a_cubic_is_where_it_is_highest(apex: float) -> None:
    rows = np.arange(40.0) - apex
    traces = np.zeros((16, 40))
    traces[0] = 9.0 - 0.2 * rows**2 + 0.004 * rows**3
    picks, where = np.zeros((46, kernels.COLUMNS)), plan_of((10, 30, 0, 0, 0, 1), 40)
    kernels.look(traces, np.zeros(16), where, np.zeros(40), picks, np.zeros(6))
    kernels.draw(traces, where, np.zeros(40), picks, np.zeros(6))
    kernels.settle(traces, where, 4.0, picks, np.zeros(40), np.zeros(6))
    assert picks[0, kernels.PLACE] == pytest.approx(apex, abs=1e-9)


def test_each_has_one_signature_and_its_twin_and_all_names_them() -> None:
    compiled = {
        n for n, value in vars(kernels).items() if hasattr(value, "py_func") and not n.startswith("_")
    }
    assert compiled == {k.__name__ for k in kernels.ALL}
    assert all(callable(getattr(twins, name)) for name in compiled)
    for kernel in kernels.ALL:
        (signature,) = kernel.signatures
        assert len(signature) <= 8
        assert kernel.targetoptions["nogil"] and not kernel.targetoptions.get("fastmath")
        with pytest.raises(TypeError, match="No matching definition"):
            kernel(*[np.zeros((2,) * getattr(a, "ndim", 1), np.complex64) for a in signature])


def test_a_second_process_takes_every_kernel_from_the_cache() -> None:
    """By the import of dsp.measure alone; what this process has compiled, or had from the cache itself."""
    program = (
        "import json, sys, dsp.measure; from dsp import kernels_measure as kernels\n"
        "sys.stdout.write(json.dumps([[sum(k.stats.cache_hits.values()),"
        " sum(k.stats.cache_misses.values())] for k in kernels.ALL]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == [[1, 0]] * len(kernels.ALL)
