"""The kernels by themselves, each against what numpy and scipy need for the same, in interleaved runs.

32 channels at 16 kSPS in blocks of 10 ms, sweeps of 50 ms: the sizes of the project's first measurements, so
that figures can be compared. MNE's averaging stands beside them where it is installed.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from scipy import signal

from dsp import kernels, kernels_change, kernels_llvm, kernels_sums, reference_average, reference_change
from dsp.aligned import aligned_empty
from dsp.filters import ForwardFilter, band_pass
from tests.bench.timing import interleave

RATE_HZ, CHANNELS, BLOCK, SWEEP, REST = 16000, 32, 160, 800, 1800
CHAINS = 8
"""Sums beside one another: more than a multiplier is long."""


def measure() -> dict[str, float]:
    """Ratios of the medians of one interleaved run each; `startup_s` and `filter_error_uv` by themselves."""
    alone = {"startup_s": _startup_s(), "filter_error_uv": _filter_error_uv()}
    return _filter() | _fold() | _decode() | _sums() | _cusum() | alone


@intrinsic
def _multiply_and_add(typingctx: Any, x: Any, turns: Any) -> Any:
    """CHAINS vectors of x, each multiplied by and added to itself `turns` times: as fast as this core can."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = kernels_llvm.WIDTHS_F64[0]
        code = kernels_llvm._Code(context, builder, 8, lanes)
        data, _ = kernels_llvm._array(context, builder, signature.args[0], args[0])
        places = [code.constant(k * lanes) for k in range(CHAINS)]
        factor = code.load(data, code.constant(0))

        def turn(at: list[Any], held: list[Any]) -> list[Any]:
            return [code.fma(value, factor, factor) for value in held]

        done = code.loop(args[1], [], [code.load(data, place) for place in places], turn)
        for value, place in zip(done, places, strict=True):
            code.store(value, data, place)
        return context.get_dummy_value()

    return types.void(x, turns), codegen


@numba.njit
def _limit(x: Any, turns: int) -> None:
    _multiply_and_add(x, turns)


def _filter() -> dict[str, float]:
    """The cascade of a band-pass of order 6 and a notch, against scipy and against the core's own limit."""
    band = signal.butter(3, [30, 3000], "bandpass", fs=RATE_HZ, output="sos")
    sos = np.vstack([band, signal.tf2sos(*signal.iirnotch(60, 30, fs=RATE_HZ))])
    x, ours = (
        aligned_empty((BLOCK, CHANNELS)),
        aligned_empty((len(sos), 2, CHANNELS)),
    )  # as the stream has them
    x[:] = np.random.default_rng(1).standard_normal(x.shape)
    ours[:] = 0.0
    theirs = ours.copy()
    lanes = kernels_llvm.WIDTHS_F64[0]
    multiplied = 5 * len(sos) * BLOCK * CHANNELS
    turns = multiplied // (CHAINS * lanes)
    values = np.full(CHAINS * lanes, 0.5)
    seconds = interleave(
        {
            "ours": lambda: kernels.cascade(x, sos, ours),
            "scipy": lambda: signal.sosfilt(sos, x, axis=0, zi=theirs),
            "limit": lambda: _limit(values, turns),
            "nothing": lambda: _limit(values, 0),
        },
        least_s=0.01,
    )
    called = np.median(seconds["nothing"])
    most = np.median(seconds["limit"] - seconds["nothing"])
    return {
        "sos_vs_scipy": float(np.median(seconds["scipy"] / seconds["ours"])),
        "sos_of_limit": float(most / (np.median(seconds["ours"]) - called)),
        "sos_with_call_of_limit": float(most / np.median(seconds["ours"])),
        "sos_per_s": BLOCK * CHANNELS / float(np.median(seconds["ours"])),
    }


def _fold() -> dict[str, float]:
    """One sweep into an average with rejection by channel: against np.add alone, against numpy doing it, and
    weighted by the power of a response-free interval."""
    rng = np.random.default_rng(2)
    ring = rng.standard_normal((4 * SWEEP, CHANNELS))
    sweep, rest = ring[:SWEEP].astype(np.float32), rng.standard_normal((REST, CHANNELS)).astype(np.float32)
    total, wide = np.zeros((SWEEP, CHANNELS), np.float32), np.zeros((SWEEP, CHANNELS))
    single, size, weights = total.copy(), np.empty(CHANNELS, np.float32), np.ones(CHANNELS, np.float32)
    power = np.empty(CHANNELS, np.float32)
    every = int(RATE_HZ / (2.5 * 3000))

    def ours() -> None:
        kernels.peak_magnitude(sweep, size)
        kernels.fold(sweep, weights, total)

    def weighted() -> None:
        kernels.power(rest, every, power)
        kernels.fold(sweep, weights, total)

    def with_numpy() -> None:
        here = ring[SWEEP : 2 * SWEEP]
        if np.abs(here).max() < 250.0:
            np.add(wide, here, out=wide)

    cases: dict[str, Callable[[], object]] = {
        "ours": ours,
        "weighted": weighted,
        "numpy": with_numpy,
        "floor": lambda: np.add(single, sweep, out=single),
    }
    if (theirs := _mne(ring)) is not None:
        cases["mne"] = theirs
    seconds = interleave(cases, least_s=0.01)
    ratio = {name: float(np.median(seconds[name] / seconds["ours"])) for name in cases}
    found = {
        "fold_vs_floor": 1.0 / ratio["floor"],
        "fold_vs_numpy": ratio["numpy"],
        "weighted_vs_plain": ratio["weighted"],
    }
    return found | ({"mne_vs_fold": ratio["mne"] / 100} if "mne" in ratio else {})


def _mne(ring: np.ndarray) -> Callable[[], object] | None:
    """A hundred sweeps through MNE's EpochsArray.average, where MNE is installed."""
    try:
        import mne
    except ImportError:
        return None
    mne.set_log_level("ERROR")
    info = mne.create_info(CHANNELS, RATE_HZ, "eeg")
    sweeps = np.random.default_rng(3).standard_normal((100, CHANNELS, SWEEP))
    return lambda: mne.EpochsArray(sweeps, info, reject={"eeg": 250.0}).average()


def _decode() -> dict[str, float]:
    """A block's bytes to counts, against numpy's shifts."""
    raw = np.random.default_rng(4).integers(0, 256, BLOCK * CHANNELS * 3, dtype=np.uint8)
    out = np.empty(BLOCK * CHANNELS, np.int32)

    def shifts() -> np.ndarray:
        b = raw.reshape(-1, 3).astype(np.int32)
        counts = (b[:, 0] << 16) | (b[:, 1] << 8) | b[:, 2]
        counts -= (counts & 0x800000) << 1
        return counts

    kernels.decode(raw, out)
    if not np.array_equal(out, shifts()):
        raise RuntimeError("the decoders disagree")
    seconds = interleave({"ours": lambda: kernels.decode(raw, out), "numpy": shifts}, least_s=0.01)
    return {"decode_vs_numpy": float(np.median(seconds["numpy"] / seconds["ours"]))}


def _sums() -> dict[str, float]:
    """A sweep of four derivations into the running noise sums, against numpy doing it."""
    n, rows, length = 4, 400, 200
    rng = np.random.default_rng(6)
    uv, weights = rng.standard_normal((rows, n)), np.exp(rng.standard_normal(n))

    def folder(fold: Callable[..., None]) -> Callable[[], None]:
        state = np.zeros((n, kernels_sums.ROWS, rows + 1)), np.zeros((n, kernels_sums.SPAN_ROWS, length))
        sums, added = np.zeros((n, kernels_sums.COLUMNS)), np.zeros(n, np.int64)
        return lambda: fold(uv, weights, 100, 1.0, *state, sums, added)

    cases = {"ours": folder(kernels.running_sums), "numpy": folder(reference_average.running_sums)}
    seconds = interleave(cases, least_s=0.01)
    return {
        "sums_vs_numpy": float(np.median(seconds["numpy"] / seconds["ours"])),
        "sums_us": 1e6 * float(np.median(seconds["ours"])),
    }


def _cusum() -> dict[str, float]:
    """A thousand sweeps' noise, and the alarm over them on a baseline that is being completed, against Python
    doing it."""
    sweeps = 1000
    rng = np.random.default_rng(7)
    p, v = 1.0 + 3.3 * rng.standard_normal(sweeps), np.full(sweeps, 11.0)
    weights = 1.0 / rng.chisquare(16, sweeps)
    settings = np.array([0.6, 16920.0, 1.0, 0.07, 0.0])
    out, found = np.empty((sweeps, kernels_change.COLUMNS)), np.empty(sweeps)
    cases: dict[str, Callable[[], object]] = {}

    def add(name: str, follow: Callable[..., None], noise: Callable[..., None]) -> None:
        state, level = np.zeros(kernels_change.STATE), np.zeros(kernels_change.NOISE_STATE)
        state[kernels_change.KNOWN : kernels_change.WITHHELD] = 25.0
        cases[f"cusum.{name}"] = lambda: follow(p, v, settings, state, out)
        cases[f"noise.{name}"] = lambda: noise(p, weights, level, found)

    add("ours", kernels.cusum, kernels.sweep_noise)
    add("python", reference_change.cusum, reference_change.sweep_noise)
    seconds = interleave(cases, least_s=0.01)
    told = {}
    for name in ("cusum", "noise"):
        ours = seconds[f"{name}.ours"]
        told[f"{name}_vs_python"] = float(np.median(seconds[f"{name}.python"] / ours))
        told[f"{name}_ns"] = 1e9 / sweeps * float(np.median(ours))
    return told


def _startup_s() -> float:
    """Importing the kernels, all taken from the cache, over importing numpy: median of five processes."""
    program = (
        "import time, numpy; start = time.perf_counter(); import dsp.kernels\n"
        "print(time.perf_counter() - start)"
    )
    found = []
    for _ in range(6):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        found.append(float(done.stdout))
    return float(np.median(found[1:]))


def _filter_error_uv() -> float:
    """Largest rms error over four bands, in blocks, as the stream keeps it: 10 uV on an offset of 200 mV."""
    worst = 0.0
    n = 4 * RATE_HZ
    uv = 10.0 * np.random.default_rng(5).standard_normal((n, 1))
    for low_hz, high_hz in ((30.0, 3000.0), (5.0, 3000.0), (1.0, 1000.0), (0.5, 70.0)):
        sos = band_pass(low_hz, high_hz, RATE_HZ)
        plain, offset = uv - uv[0], uv + 200_000.0
        ForwardFilter(sos, 1).run(plain)
        causal = ForwardFilter(sos, 1)
        for at in range(0, n, BLOCK):
            causal.run(offset[at : at + BLOCK])
        error = offset.astype(np.float32) - plain  # as the stream keeps it
        worst = max(worst, float(np.sqrt(np.mean(error * error))))
    return worst


if __name__ == "__main__":
    started = time.perf_counter()
    for name, value in measure().items():
        print(f"{name:24s} {value:.4g}")
    print(f"{time.perf_counter() - started:.1f} s")
