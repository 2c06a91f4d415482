"""Real sweeps: the noise that the product tells is the noise there is, and no response is told absent.

Single records of the mouse auditory brainstem response (shared/data), laid end to end and put through the
chain as the mouse procedure does: band 100-3000 Hz, weights, reject at 50 uV. Skipped where they are absent.
"""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dsp import modes
from dsp.average import Averager
from dsp.filters import band_pass
from dsp.measure import measure
from dsp.nouns import Average, Peak, Sweep, Trigger
from dsp.sweeps import SweepCutter, window
from dsp.weights import NoiseWeights
from hostd.modalities import MODALITIES
from tests.support.mouse_abr import DATA
from tests.support.streams import Floats, cut_sweeps, stream, to_counts

PROCEDURE = Path(__file__).parents[2] / "hostd" / "procedures" / "mouse_abr.toml"
LEVELS_DB = (80, 50, 0)
LSB_UV = 0.0005
ORDERS = 40


@dataclass(frozen=True, slots=True)
class Recorded:
    """Accepted sweeps of one level, as the product cut them; their `uv` (sweep, time) and `weights`."""

    sweeps: tuple[Sweep, ...]
    uv: Floats
    weights: Floats
    dt_ms: float


@functools.cache
def recorded(level_db: int) -> Recorded:
    if not DATA.exists():
        pytest.skip(f"no real recordings at {DATA}")
    with np.load(DATA) as data:
        records, rate_hz = data[f"uv_{level_db}db"].astype(np.float64), float(data["fs_hz"])
    baep = MODALITIES["baep"]
    sos = band_pass(*baep.band_hz, rate_hz)
    test = tomllib.loads(PROCEDURE.read_text())["test"]["click"]
    geometry = window(tuple(test["window_ms"]), baep.response_ms, 0.0, rate_hz, sos, peaks()[-1].to_ms[1])
    weights = NoiseWeights(1, baep.band_hz[0], rate_hz)
    cutter = SweepCutter(geometry, sos, 1, (1,), baep.reject_uv, weights)
    uv = np.concatenate([records.ravel(), np.zeros(geometry.history)])[:, None]
    made = stream(sos, 1, 0, geometry.history + 400, LSB_UV)
    triggers = [Trigger(records.shape[1] * k, 1) for k in range(len(records))]
    cut = [s for s in cut_sweeps(made, cutter, to_counts(uv, LSB_UV), triggers) if s.accepted]
    rows = np.array([s.uv[:, 0] for s in cut], dtype=np.float64)
    return Recorded(tuple(cut), rows, np.array([s.weights[0] for s in cut]), 1e3 / rate_hz)


def peaks() -> tuple[Peak, ...]:
    """Those of the procedure, all of them positive."""
    told = tomllib.loads(PROCEDURE.read_text())["test"]["click"]["peak"]
    return tuple(Peak(p["name"], 0, 1, tuple(p["window_ms"]), tuple(p["to_ms"])) for p in told)


def averaged(of: Recorded, order: np.ndarray) -> Average:
    averager = Averager(of.uv.shape[1], 1, max(len(order), 16))
    for k in order:
        averager.add(of.sweeps[k])
    return averager.average()


def split_half_noise_uv(of: Recorded, order: np.ndarray, weighted: bool = True) -> float:
    """rms of half the difference of the averages of two halves, over 200 random splits of the sweeps."""
    rng = np.random.default_rng(1)
    uv, weights = of.uv[order], of.weights[order] if weighted else np.ones(len(order))
    powers = []
    for _ in range(200):
        shuffled = rng.permutation(len(uv))
        one, two = (weights[half] @ uv[half] / weights[half].sum() for half in np.array_split(shuffled, 2))
        powers.append(np.mean((one - two) ** 2) / 4.0)
    return float(np.sqrt(np.mean(powers)))


@pytest.mark.parametrize("level_db", LEVELS_DB)
def test_the_residual_noise_is_that_of_independent_halves(level_db: int) -> None:
    """As recorded and in other orders, all the sweeps and a quarter of them."""
    of = recorded(level_db)
    n = len(of.uv)
    assert n > 600
    truth = split_half_noise_uv(of, np.arange(n))
    assert averaged(of, np.arange(n)).noise_uv[0] == pytest.approx(truth, rel=0.10)
    rng = np.random.default_rng(2)
    told = [averaged(of, rng.permutation(n)).noise_uv[0] for _ in range(8)]
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(truth, rel=0.05)
    quarters = [rng.permutation(n)[: n // 4] for _ in range(24)]
    ratios = [averaged(of, q).noise_uv[0] / split_half_noise_uv(of, q) for q in quarters]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("level_db", LEVELS_DB)
@pytest.mark.parametrize("name", ["weighted", "plain", "exponential", "blocks"])
def test_every_mode_tells_the_noise_of_independent_halves(level_db: int, name: modes.Name) -> None:
    """The recorded order and 39 others side by side, as derivations: one plus-minus trace has few degrees of
    freedom (it scatters by a fifth)."""
    of, rng = recorded(level_db), np.random.default_rng(4)
    n = len(of.uv)
    orders = np.array([np.arange(n), *(rng.permutation(n) for _ in range(39))])
    mode = modes.make(name, of.uv.shape[1], len(orders), share=0.002)
    for now in orders.T:
        mode.add(of.uv[now].T, of.weights[now])
    got = mode.result()
    plus_minus = np.sqrt(np.mean(got.plus_minus_uv**2))
    if name in ("weighted", "plain"):
        truth = split_half_noise_uv(of, np.arange(n), weighted=name == "weighted")
        assert got.noise_uv == pytest.approx(np.full(len(orders), truth), rel=0.10)
        assert plus_minus == pytest.approx(truth, rel=0.15)
    told = np.sqrt(np.mean(got.noise_uv**2))
    assert plus_minus == pytest.approx(told, rel=0.15)
    assert np.sqrt(np.mean(got.null_uv**2)) == pytest.approx(told, rel=0.05)


def presence(level_db: int, size: int) -> Floats:
    """Whether each peak was present, (average, peak): disjoint subsets of `size` sweeps, as recorded and in
    many random orders."""
    of, rng, found = recorded(level_db), np.random.default_rng(3), []
    for order in [np.arange(len(of.uv)), *(rng.permutation(len(of.uv)) for _ in range(ORDERS))]:
        for start in range(0, len(order) - size + 1, size):
            average = averaged(of, order[start : start + size])
            found.append([m.present for m in measure(average, peaks(), ("ABR",), 0.0, of.dt_ms)])
    return np.array(found, dtype=float)


def test_what_is_not_there_is_told_absent() -> None:
    """0 dB, 1,025 answers: one wrong one is expected, more than four once in 270 times."""
    assert presence(0, 128).sum() <= 4


def test_what_is_there_is_told_present() -> None:
    """80 dB: every peak of all the sweeps; the first two of a half of them, mostly."""
    of = recorded(80)
    whole = measure(averaged(of, np.arange(len(of.uv))), peaks(), ("ABR",), 0.0, of.dt_ms)
    assert all(m.present for m in whole)
    assert presence(80, 360)[:, :2].mean() > 0.9


@pytest.mark.parametrize("level_db", LEVELS_DB)
def test_fmp_agrees(level_db: int) -> None:
    of = recorded(level_db)
    span = (round(1.0 / of.dt_ms), round(7.2 / of.dt_ms))
    mode = modes.make("weighted", of.uv.shape[1], 1, span)
    for uv, weight in zip(of.uv, of.weights, strict=True):
        mode.add(uv[:, None], np.array([weight]))
    assert mode.result().present.all() == (level_db > 0)
