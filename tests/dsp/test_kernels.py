"""Every kernel is its twin, takes what the product gives it, and is never compiled after the first sample."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from dsp import kernels, twins

Floats = NDArray[np.float64]

ROOT = Path(__file__).parents[2]
TWIN_TOLERANCE = 1e-12
RAILS = (kernels.RAIL_LOW, kernels.RAIL_HIGH)
COUNT = st.one_of(st.integers(-8388608, 8388607), st.sampled_from([int(r) for r in RAILS]))
UV = st.floats(-1e6, 1e6, allow_subnormal=False)
SIZE = st.integers(1, 6)


def floats(*shape: int) -> st.SearchStrategy[Floats]:
    return arrays(np.float64, shape, elements=UV)


def read_only(*given_arrays: NDArray[np.generic]) -> None:
    for array in given_arrays:
        array.flags.writeable = False


def assert_twin(got: Floats, expected: Floats, magnitude: Floats | float) -> None:
    """Equal to 1e-12 of `magnitude`: the sum of the magnitudes that were added up."""
    assert np.all(np.abs(got - expected) <= TWIN_TOLERANCE * np.maximum(magnitude, 1e-300))


@settings(deadline=None)
@given(st.data(), SIZE, SIZE, SIZE)
def test_derive_is_its_twin(data: st.DataObject, n: int, channels: int, rows: int) -> None:
    counts = data.draw(arrays(np.int32, (n, channels), elements=COUNT))
    gains = data.draw(
        arrays(np.float64, (rows, channels), elements=st.sampled_from([-0.5, 0.0, 0.0, 1.0, 0.022]))
    )
    offsets = data.draw(floats(rows))
    read_only(counts, gains, offsets)
    out, railed = np.full((n, rows), np.nan), np.full(n, 7, np.uint8)
    kernels.derive(counts, gains, offsets, out, railed)
    expected, expected_railed = twins.derive(counts, gains, offsets)
    assert_twin(out, expected, np.abs(counts.astype(float)) @ np.abs(gains).T + np.abs(offsets))
    assert np.array_equal(railed, expected_railed)


@pytest.mark.parametrize("rail", [-8388608, 8388607])
def test_only_channels_in_use_can_rail(rail: int) -> None:
    counts = np.array([[rail, 0], [0, rail], [rail - np.sign(rail), 0]], np.int32)
    out, railed = np.empty((3, 1)), np.empty(3, np.uint8)
    kernels.derive(counts, np.array([[1.0, 0.0]]), np.zeros(1), out, railed)
    assert railed.tolist() == [1, 0, 0]


@st.composite
def biquads(draw: st.DrawFn) -> Floats:
    """Stable sections (section, 6): poles inside a circle of 0.97."""
    sections = []
    for _ in range(draw(st.integers(1, 4))):
        radius, angle = draw(st.floats(0.0, 0.97)), draw(st.floats(0.0, np.pi))
        zeros = [draw(st.floats(-2.0, 2.0)) for _ in range(3)]
        sections.append([*zeros, 1.0, -2.0 * radius * np.cos(angle), radius * radius])
    return np.array(sections)


@settings(deadline=None)
@given(st.data(), biquads(), st.integers(0, 40), SIZE)
def test_cascade_is_its_twin(data: st.DataObject, sos: Floats, n: int, channels: int) -> None:
    x, state = data.draw(floats(n, channels)), data.draw(floats(len(sos), 2, channels))
    expected, expected_state = twins.cascade(x, sos, state)
    got, got_state = x.copy(), state.copy()
    read_only(sos)
    kernels.cascade(got, sos, got_state)
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in (x, state, expected, expected_state))
    assert_twin(got, expected, largest)
    assert_twin(got_state, expected_state, largest)


@settings(deadline=None)
@given(st.data(), SIZE, SIZE)
def test_fold_is_its_twin(data: st.DataObject, n: int, channels: int) -> None:
    x, total = data.draw(floats(n, channels)), data.draw(floats(n, channels))
    weights = data.draw(arrays(np.float64, (channels,), elements=st.floats(0.0, 1e3, allow_subnormal=False)))
    expected = twins.fold(x, weights, total)
    got = total.copy()
    read_only(x, weights)
    kernels.fold(x, weights, got)
    assert_twin(got, expected, np.abs(total) + weights * np.abs(x))


@settings(deadline=None)
@given(st.data(), st.integers(1, 50), SIZE)
def test_power_and_peak_magnitude_are_their_twins(data: st.DataObject, n: int, channels: int) -> None:
    x = data.draw(floats(n, channels))
    read_only(x)
    power, peak = np.full(channels, np.nan), np.full(channels, np.nan)
    kernels.power(x, power)
    kernels.peak_magnitude(x, peak)
    assert_twin(power, twins.power(x), twins.power(x))
    assert np.array_equal(peak, twins.peak_magnitude(x))


@pytest.mark.parametrize("kernel", kernels.ALL, ids=lambda k: k.__name__)
def test_one_signature_and_no_other_is_ever_compiled(kernel) -> None:
    (signature,) = kernel.signatures
    assert len(signature) <= 8
    wrong = [np.zeros((2,) * argument.ndim, np.float32) for argument in signature]
    with pytest.raises(TypeError, match="No matching definition"):
        kernel(*wrong)
    assert kernel.signatures == [signature]


def test_all_names_every_kernel_and_every_kernel_has_its_twin() -> None:
    compiled = {name for name, value in vars(kernels).items() if hasattr(value, "py_func")}
    assert compiled == {k.__name__ for k in kernels.ALL}
    assert all(callable(getattr(twins, name)) for name in compiled)
    assert all(k.targetoptions["nogil"] and not k.targetoptions.get("fastmath") for k in kernels.ALL)


def cache_counts(cache: Path) -> dict[str, list[int]]:
    """(hits, misses) per kernel of a fresh process that imports dsp.kernels and runs nothing else."""
    program = (
        "import json, sys; from dsp import kernels\n"
        "sys.stdout.write(json.dumps({k.__name__: [sum(k.stats.cache_hits.values()),"
        " sum(k.stats.cache_misses.values())] for k in kernels.ALL}))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_a_second_process_takes_every_kernel_from_the_cache(tmp_path: Path) -> None:
    assert all(counts == [0, 1] for counts in cache_counts(tmp_path).values())
    second = cache_counts(tmp_path)
    assert set(second) == {k.__name__ for k in kernels.ALL}
    assert all(counts == [1, 0] for counts in second.values())
