"""Every kernel is its twin, takes what the product gives it, and is never compiled after the first sample."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from dsp import kernels, kernels_llvm, kernels_plain, reference_average, reference_change
from dsp import reference_kernels as twins
from dsp.kernels_types import DERIVE_ROWS

Floats = NDArray[np.float64]

ROOT = Path(__file__).parents[2]
TWIN_TOLERANCE = 1e-12
SINGLE_TOLERANCE = 2e-6
RAILS = (int(kernels_plain.RAIL_LOW), int(kernels_plain.RAIL_HIGH))
COUNT = st.one_of(st.integers(-8388608, 8388607), st.sampled_from([int(r) for r in RAILS]))
UV = st.floats(-1e6, 1e6, allow_subnormal=False)
UV32 = st.floats(-65536, 65536, width=32, allow_subnormal=False)
SIZE = st.integers(1, 6)
# As wide as the widest group of channels, one more, one less, and the narrow ones.
WIDTH = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 31, 32, 33, 53])


def implementations() -> list[ModuleType]:
    """The plain kernels, and the vector ones where the CPU has what they need."""
    if not kernels_llvm.available():
        return [kernels_plain]
    from dsp import kernels_vector

    return [kernels_plain, kernels_vector]


EACH = pytest.mark.parametrize("module", implementations(), ids=lambda m: m.__name__.split("_")[-1])


def floats(*shape: int) -> st.SearchStrategy[Floats]:
    return arrays(np.float64, shape, elements=UV)


def singles(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Of magnitudes from thousandths to thousands."""
    return (rng.standard_normal(shape) * np.exp(3.0 * rng.standard_normal(shape))).astype(np.float32)


def read_only(*given_arrays: NDArray[np.generic]) -> None:
    for array in given_arrays:
        array.flags.writeable = False


def assert_twin(
    got: Floats, expected: Floats, magnitude: Floats | float, tolerance: float = TWIN_TOLERANCE
) -> None:
    """Equal to `tolerance` of `magnitude`: the sum of the magnitudes that were added up."""
    assert np.all(np.abs(got - expected) <= tolerance * np.maximum(magnitude, 1e-300))


def in_terms(gains: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Starts, columns and gains of the terms of a matrix (derivation, channel), as the kernel takes them."""
    used = gains != 0.0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int64)
    return starts, np.nonzero(used)[1].astype(np.int64), np.ascontiguousarray(gains[used])


def room(channels: int) -> Floats:
    """What `derive` works in; nothing that stands there counts."""
    return np.full((channels + 1, DERIVE_ROWS), np.nan)


@settings(deadline=None)
@given(st.data(), st.sampled_from([1, 2, 5, 127, 128, 129, 300]), SIZE, SIZE)
def test_derive_is_its_twin(data: st.DataObject, n: int, channels: int, rows: int) -> None:
    counts = data.draw(arrays(np.int32, (n, channels), elements=COUNT))
    gains = data.draw(
        arrays(np.float64, (rows, channels), elements=st.sampled_from([-0.5, 0.0, 0.0, 1.0, 0.022]))
    )
    offsets = data.draw(floats(rows))
    starts, columns, terms = in_terms(gains)
    read_only(counts, starts, columns, terms, offsets)
    out, railed = np.full((n, rows), np.nan), np.full(n, 7, np.uint8)
    kernels.derive(counts, starts, columns, terms, offsets, out, railed, room(channels))
    expected, expected_railed = twins.derive(counts, gains, offsets)
    assert_twin(out, expected, np.abs(counts.astype(float)) @ np.abs(gains).T + np.abs(offsets))
    assert np.array_equal(railed, expected_railed)


@pytest.mark.parametrize("rail", [-8388608, 8388607])
def test_only_channels_in_use_can_rail(rail: int) -> None:
    counts = np.array([[rail, 0], [0, rail], [rail - np.sign(rail), 0]], np.int32)
    out, railed = np.empty((3, 1)), np.empty(3, np.uint8)
    kernels.derive(counts, *in_terms(np.array([[1.0, 0.0]])), np.zeros(1), out, railed, room(2))
    assert railed.tolist() == [1, 0, 0]


@st.composite
def biquads(draw: st.DrawFn) -> Floats:
    """Stable sections (section, 6): poles inside a circle of 0.97."""
    sections = []
    for _ in range(draw(st.integers(1, 7))):
        radius, angle = draw(st.floats(0.0, 0.97)), draw(st.floats(0.0, np.pi))
        zeros = [draw(st.floats(-2.0, 2.0)) for _ in range(3)]
        sections.append([*zeros, 1.0, -2.0 * radius * np.cos(angle), radius * radius])
    return np.array(sections)


@EACH
@settings(deadline=None)
@given(biquads(), st.integers(0, 40), WIDTH, st.integers(0, 2**32 - 1))
def test_cascade_is_its_twin(module: ModuleType, sos: Floats, n: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, state = rng.standard_normal((n, channels)) * 1e3, rng.standard_normal((len(sos), 2, channels)) * 1e3
    expected, expected_state = twins.cascade(x, sos, state)
    got, got_state = x.copy(), state.copy()
    read_only(sos)
    module.cascade(got, sos, got_state)
    largest = max(float(np.max(np.abs(a), initial=0.0)) for a in (x, state, expected, expected_state))
    assert_twin(got, expected, largest)
    assert_twin(got_state, expected_state, largest)


@EACH
def test_a_channel_does_not_see_how_many_are_beside_it(module: ModuleType) -> None:
    """Bit for bit, whichever group of registers it falls into: replays on another CPU hang on it."""
    rng = np.random.default_rng(4)
    sos = np.array([[0.2, 0.3, 0.1, 1.0, -1.6, 0.8]] * 7)
    x, state = rng.standard_normal((50, 53)), rng.standard_normal((7, 2, 53))
    whole, whole_state = x.copy(), state.copy()
    module.cascade(whole, sos, whole_state)
    for c in range(53):
        one, one_state = np.ascontiguousarray(x[:, c : c + 1]), np.ascontiguousarray(state[:, :, c : c + 1])
        module.cascade(one, sos, one_state)
        assert np.array_equal(one[:, 0], whole[:, c])
        assert np.array_equal(one_state[:, :, 0], whole_state[:, :, c])


@EACH
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), WIDTH, st.integers(0, 2**32 - 1))
def test_fold_is_its_twin(module: ModuleType, n: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, total, weights = singles(rng, n, channels), singles(rng, n, channels), np.abs(singles(rng, channels))
    weights[rng.random(channels) < 0.3] = 0.0
    got = total.copy()
    read_only(x, weights)
    module.fold(x, weights, got)
    wide = [a.astype(np.float64) for a in (x, weights, total)]
    expected = twins.fold(*wide)
    assert_twin(got, expected, np.abs(wide[2]) + wide[1] * np.abs(wide[0]), SINGLE_TOLERANCE)
    # To the bit: product and sum in one rounding.
    assert np.array_equal(got, expected.astype(np.float32))


@EACH
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 5), WIDTH, st.integers(0, 2**32 - 1))
def test_power_and_peak_magnitude_are_their_twins(
    module: ModuleType, n: int, every: int, channels: int, seed: int
) -> None:
    x = singles(np.random.default_rng(seed), n, channels)
    read_only(x)
    power, peak = np.full(channels, np.nan, np.float32), np.full(channels, np.nan, np.float32)
    module.power(x, every, power)
    module.peak_magnitude(x, peak)
    expected = twins.power(x.astype(np.float64), every)
    assert_twin(power, expected, expected, SINGLE_TOLERANCE)
    assert np.array_equal(peak, twins.peak_magnitude(x))


@EACH
def test_what_is_no_number_is_no_peak_and_no_rows_have_no_power(module: ModuleType) -> None:
    x = np.array([[np.nan, 1.0], [3.0, np.nan], [-4.0, np.nan], [np.nan, -2.0], [np.nan, np.nan]], np.float32)
    peak = np.empty(2, np.float32)
    module.peak_magnitude(x, peak)
    assert peak.tolist() == [4.0, 2.0]
    power = np.empty(2, np.float32)
    module.power(x[:0], 1, power)
    assert np.isnan(power).all()


@EACH
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 64, 1001])
def test_decode_is_its_twin(module: ModuleType, n: int) -> None:
    raw = np.random.default_rng(n).integers(0, 256, 3 * n, dtype=np.uint8)
    raw[:3] = (0x80, 0, 0)[: len(raw[:3])]
    read_only(raw)
    out = np.empty(n, np.int32)
    module.decode(raw, out)
    assert np.array_equal(out, twins.decode(raw))


def test_both_implementations_give_the_same_numbers() -> None:
    """Recursions to 1e-12, what is added up in float32 to the bit."""
    if len(implementations()) < 2:
        pytest.skip("this CPU has no instruction that multiplies and adds")
    plain, vector = implementations()
    rng = np.random.default_rng(7)
    sos = np.array([[0.2, 0.3, 0.1, 1.0, -1.6, 0.8], [0.5, -1.0, 0.5, 1.0, -1.8, 0.9]] * 2)
    x, rows, weights = rng.standard_normal((4000, 33)), singles(rng, 4000, 33), singles(rng, 33)
    found = []
    for module in (plain, vector):
        y, state, total = x.copy(), np.zeros((4, 2, 33)), np.zeros((4000, 33), np.float32)
        power = np.empty(33, np.float32)
        module.cascade(y, sos, state)
        for _ in range(20):
            module.fold(rows, weights, total)
        module.power(rows, 3, power)
        found.append((y, state, total, power))
    (y, state, total, power), (y2, state2, total2, power2) = found
    assert np.max(np.abs(y - y2)) <= 1e-12 * np.max(np.abs(y))
    assert np.max(np.abs(state - state2)) <= 1e-12 * np.max(np.abs(state))
    assert np.array_equal(total, total2)
    assert np.array_equal(power, power2)


def test_microvolts_is_its_twin() -> None:
    rng = np.random.default_rng(8)
    counts = rng.integers(-8388608, 8388608, (40, 6), dtype=np.int32)
    columns, lsb_uv, offset_uv = np.array([5, 0, 2]), rng.random(3), rng.standard_normal(3)
    uv, mean = np.empty((40, 3)), np.empty(40)
    kernels.microvolts(counts, columns, lsb_uv, offset_uv, uv, mean)
    expected, expected_mean = twins.microvolts(counts, columns, lsb_uv, offset_uv)
    assert_twin(uv, expected, np.abs(expected).max())
    assert_twin(mean, expected_mean, np.abs(expected).max())


def test_loud_counts_is_its_twin() -> None:
    rng = np.random.default_rng(9)
    x = np.round(rng.standard_normal((80, 5)) * 3)
    x[20:40, 1] = 9.0
    limit = np.array([1.0, 2.0, 0.0, 5.0, 3.0])
    loud, railed = np.empty((5, 5), np.int32), np.empty((5, 5), np.int32)
    kernels.loud_counts(x, x[0] + 1.0, limit, 9.0, 16, loud, railed)
    expected, expected_railed = twins.loud_counts(x, x[0] + 1.0, limit, 9.0, 16)
    assert np.array_equal(loud, expected)
    assert np.array_equal(railed, expected_railed)
    assert railed.sum() >= 19


@pytest.mark.parametrize(("rows", "n"), [(1, 1), (7, 3), (100, 4), (33, 6)])
def test_null_averages_is_its_twin(rows: int, n: int) -> None:
    rng = np.random.default_rng(rows)
    sums, scale = rng.standard_normal((16, rows, n)), rng.random(n)
    scales, shares, halves = rng.random((15, n)), rng.random((15, n)), rng.random((2, n))
    tiles = 5
    tiled = [np.tile(a.astype(np.float32), tiles) for a in (scale, scales, shares, halves)]
    work, squares = np.empty((16, rows * n), np.float32), np.empty(tiles * n, np.float32)
    half = np.empty((2, rows * n), np.float32)
    flat = sums.astype(np.float32).reshape(16, -1)
    read_only(flat)
    kernels.null_averages(flat, work, *tiled[:3], squares, tiled[3], half)
    mean, null, energy, expected_half = twins.null_averages(sums, scale, scales, shares, halves)
    assert_twin(half.reshape(2, rows, n), expected_half, 32.0, SINGLE_TOLERANCE)
    assert_twin(work[0].reshape(rows, n), mean, 16.0, SINGLE_TOLERANCE)
    assert_twin(work[1:].reshape(15, rows, n), null, 32.0, SINGLE_TOLERANCE)
    assert squares.reshape(tiles, n).sum(axis=0) == pytest.approx(energy, rel=1e-4)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_bridge_is_its_twin(rows: int) -> None:
    before, after, x = np.array([1.0, -2e5]), np.array([-7.0, 2e5]), np.full((rows, 2), np.nan)
    kernels.bridge(x, before, after)
    assert_twin(x, twins.bridge(rows, before, after), 2e5)


@pytest.mark.parametrize("without", [None, 0, 5])
def test_pattern_shares_is_its_twin(without: int | None) -> None:
    weights = np.exp(np.random.default_rng(3).standard_normal((16, 4)))
    if without is not None:
        weights[without, 1] = 0.0
        weights[:, 2] = 0.0
        weights[1::2, 3] = 0.0
    tiles = 3
    scale, halves = np.empty((tiles, 4), np.float32), np.empty((2, tiles, 4), np.float32)
    scales, shares = np.empty((15, tiles, 4), np.float32), np.empty((15, tiles, 4), np.float32)
    kernels.pattern_shares(weights, scale, scales, shares, halves)
    expected = twins.pattern_shares(weights)
    for got, of in zip((scale, scales, shares, halves), expected, strict=True):
        wide = np.repeat(np.expand_dims(of, -2), tiles, axis=-2)
        assert got == pytest.approx(wide, rel=1e-5, abs=1e-6, nan_ok=True)


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), SIZE)
def test_rows_are_turned_and_turned_back(data: st.DataObject, n: int, channels: int) -> None:
    x = data.draw(arrays(np.float32, (n, channels), elements=UV32))
    read_only(x)
    out = np.full((n, channels), np.nan)
    kernels.turn(x, out)
    assert np.array_equal(out, twins.turn(x.astype(np.float64)))
    rows = data.draw(st.integers(0, n))
    back, level = np.full((rows, channels), np.nan, np.float32), x[-1].copy()
    kernels.turn_back(out, level, back)
    assert np.array_equal(back, twins.turn_back(out, level, rows))
    assert np.allclose(back, x[:rows], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", kernels.ALL, ids=lambda k: k.__name__)
def test_one_signature_and_no_other_is_ever_compiled(kernel) -> None:
    (signature,) = kernel.signatures
    assert len(signature) <= 8
    wrong = [np.zeros((2,) * getattr(argument, "ndim", 1), np.complex64) for argument in signature]
    with pytest.raises(TypeError, match="No matching definition"):
        kernel(*wrong)
    assert kernel.signatures == [signature]


def test_all_names_every_kernel_and_every_kernel_has_its_twin() -> None:
    compiled = {name for name, value in vars(kernels).items() if hasattr(value, "py_func")}
    assert compiled == {k.__name__ for k in kernels.ALL} == set(kernels.__all__) - {"ALL"}
    told = (twins, reference_average, reference_change)
    assert all(any(callable(getattr(module, name, None)) for module in told) for name in compiled)
    assert all(k.targetoptions["nogil"] and not k.targetoptions.get("fastmath") for k in kernels.ALL)


def cache_counts(**more: str) -> dict[str, list[int]]:
    """(hits, misses) per kernel of a fresh process that imports dsp.kernels and runs nothing else."""
    program = (
        "import json, sys; from dsp import kernels\n"
        "sys.stdout.write(json.dumps({k.__name__: [sum(k.stats.cache_hits.values()),"
        " sum(k.stats.cache_misses.values())] for k in kernels.ALL}))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("which", ["", "plain"])
def test_a_second_process_takes_every_kernel_from_the_cache(which: str) -> None:
    """What this process has compiled, or had from the cache itself."""
    counts = cache_counts(EVOKD_KERNELS=which)
    assert set(counts) == {k.__name__ for k in kernels.ALL}
    assert all(count == [1, 0] for count in counts.values()), counts


def test_a_processor_without_that_instruction_is_known_for_it() -> None:
    """And then has the plain kernels, as whoever asks for them."""
    if kernels_llvm._is_arm():
        pytest.skip("every 64-bit ARM has it")
    program = "from dsp import kernels_llvm; assert not kernels_llvm.available()"
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=120, check=True)


def test_who_asks_for_the_plain_kernels_has_them() -> None:
    program = "from dsp import kernels, kernels_plain; assert kernels.cascade is kernels_plain.cascade"
    environment = os.environ | {"EVOKD_KERNELS": "plain", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=120, check=True)
