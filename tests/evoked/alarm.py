"""Sweeps from a 60 % loss to the alarm, at one false alarm an hour: sequential test against blocks.

Single sweeps' projections in the noise of `tests.evoked.noise`, weighed by the product from a response-free
interval. Both rules are calibrated on runs without a change and their false alarms counted again on others;
the CUSUM also as it is shipped, and both with a baseline of 300 sweeps instead of one without an error.
CUSUM and noise of sweeps are dsp's. Run: python -m tests.evoked.alarm
"""

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from dsp.average import hadamard
from dsp.change import DELTA, Answered, Cusum, Rolling
from dsp.projection import MIN_CLEARANCE, SweepNoise
from dsp.weights import NoiseWeights
from tests.evoked import noise

Floats = NDArray[np.float64]
SWEEPS_PER_S = 4.7
HOUR = round(3600 * SWEEPS_PER_S)
RESPONSE_UV = 2.7
SWEEP_SD_UV = 0.52 * np.sqrt(300)
"""Of a single sweep's projection in plain noise of 7.5 uVrms: 2 s.d. are 1.04 uV after 300 sweeps."""
LEFT = 0.4
BLOCK = 300
FREE_ROWS = 16
"""Degrees of freedom of the response-free interval: 140 ms above 30 Hz."""
WARM_UP = 1500
AFTER = 3000
FALLS = 5
"""Runs with a fall for each hour without: a median of 200 would move by a tenth between seeds."""
ROLLING_SWEEPS = 1200.0 * SWEEPS_PER_S
"""As hostd sets it."""
LATER = 1500
"""Sweeps from a baseline of 300 to the fall."""
NOMINAL_PER_H = np.geomspace(0.5, 2.0, 9)


def runs(cases: int, n: int, kind: str, seed: int) -> tuple[Floats, Floats]:
    """Projections (case, sweep), as ratios, of a response that stays, and the weights of their sweeps."""
    rng = np.random.default_rng(seed)
    level = np.array([noise.level(kind, n, SWEEPS_PER_S, rng) for _ in range(cases)])
    p = 1.0 + SWEEP_SD_UV / RESPONSE_UV * level * rng.normal(size=level.shape)
    weigher = NoiseWeights(cases, FREE_ROWS / 4.0, float(FREE_ROWS))
    weights = np.empty((n, cases))
    for i in range(n):
        # What 16 rows of noise hold of power, as one row of it: the weigher takes the mean square.
        power = rng.chisquare(FREE_ROWS, cases) / FREE_ROWS
        rows = np.tile(7.5 * level[:, i] * np.sqrt(power), (FREE_ROWS, 1))
        weights[i] = weigher.weigh(rows)
    return p, np.ascontiguousarray(weights.T)


def blocks(p: Floats, weights: Floats) -> Floats:
    """Weighted averages (case, block) of 300 sweeps each."""
    whole = p.shape[1] // BLOCK * BLOCK
    shape = (len(p), -1, BLOCK)
    w = weights[:, :whole].reshape(shape)
    return np.asarray((w * p[:, :whole].reshape(shape)).sum(axis=2) / w.sum(axis=2))


def variances(p: Floats, weights: Floats) -> Floats:
    """(case, sweep), as the product tells them."""
    return np.array([SweepNoise().run(*case) for case in zip(p, weights, strict=True)])


def cusum_alarms(p: Floats, v: Floats, per_h: Floats) -> NDArray[np.bool_]:
    """Alarms (sweep, rate, case) of the CUSUM set to each nominal rate, cleared after every alarm."""
    cases, n = p.shape
    found = np.empty((n, len(per_h), cases), np.bool_)
    for k, rate in enumerate(per_h):
        for c in range(cases):
            found[:, k, c] = Cusum(DELTA, float(rate), SWEEPS_PER_S).run(p[c], v[c], answered="cleared").alarm
    return found


def calibrate(cases: int, kind: str, seed: int) -> dict[str, float]:
    """What to set for one false alarm an hour: the CUSUM's nominal rate, the blocks' thresholds."""
    p, weights = runs(cases, HOUR + WARM_UP, kind, seed)
    alarms = cusum_alarms(p, variances(p, weights), NOMINAL_PER_H)[WARM_UP:].sum(axis=(0, 2)) / cases
    rate = np.exp(np.interp(0.0, np.log(np.maximum(alarms, 1e-3)), np.log(NOMINAL_PER_H)))
    skip = WARM_UP // BLOCK
    weighted, plain = (np.sort(blocks(p, w)[:, skip:].ravel()) for w in (weights, np.ones_like(p)))
    of, _ = baselines(p, weights)
    own = np.isfinite(of)
    late = np.sort(blocks(p[own] / of[own, None], weights[own])[:, skip:].ravel())
    return {
        "nominal_per_h": float(rate),
        "block": float(weighted[cases]),
        "plain_block": float(plain[cases]),
        "baseline_block": float(late[own.sum()]),
    }


def baselines(p: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Means (case,) of the last BLOCK sweeps of the warm-up, and their relative standard errors from 15 sign
    patterns, as `dsp.projection.template` has them; NaN where it would refuse the baseline."""
    span = slice(WARM_UP - BLOCK, WARM_UP)
    turn = np.arange(BLOCK) % 16
    w = np.array([weights[:, span][:, turn == k].sum(axis=1) for k in range(16)])
    sums = np.array([(weights * p)[:, span][:, turn == k].sum(axis=1) for k in range(16)])
    total, signs, share = w.sum(axis=0), hadamard(sums), hadamard(w) / w.sum(axis=0)
    mean = signs[0] / total
    null = (signs[1:] / total - share[1:] * mean) / np.sqrt(1.0 - share[1:] ** 2)
    error = np.sqrt(np.mean(null**2, axis=0)) / mean
    clear = (mean > 0.0) & (MIN_CLEARANCE * error < 1.0)
    return np.where(clear, mean, np.nan), np.where(clear, error, np.nan)


def tests_of(error: float) -> dict[str, Cusum | Rolling]:
    """The product's alarms on a baseline of this error, and one that knows nothing of it."""
    rate = {"delta": DELTA, "sweeps_per_s": SWEEPS_PER_S}
    return {
        "fixed": Cusum(**rate, baseline_se=error),
        "rolling": Rolling(Cusum(**rate), ROLLING_SWEEPS, error),
        "ignorant": Cusum(**rate),
    }


def with_baseline(
    p: Floats, weights: Floats, answered: Answered = "no"
) -> dict[str, list[NDArray[np.bool_]]]:
    """Alarms (sweep after the warm-up,) of each test, case by case, against baselines of 300 sweeps that end
    with the warm-up."""
    of, errors = baselines(p, weights)
    v = variances(p, weights)
    found: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in tests_of(1.0)}
    for c in np.flatnonzero(np.isfinite(of)):
        for name, test in tests_of(float(errors[c])).items():
            ratios, spread = p[c, WARM_UP:] / of[c], v[c, WARM_UP:] / of[c] ** 2
            found[name].append(test.run(ratios, spread, answered).alarm)
    return found


def false_with_baseline(p: Floats, weights: Floats) -> dict[str, float]:
    """False alarms an hour against a baseline of 300 sweeps: as they come on, nobody answering (an alarm goes
    when its evidence has), with the share of time in alarm; and, `cleared`, if each is cleared at once, and
    may come again for the same reason."""
    told = {}
    for name, alarms in with_baseline(p, weights).items():
        on = np.array(alarms)
        told[f"baseline_{name}_false_per_h"] = float((np.diff(on, axis=1) & on[:, 1:]).sum() / len(on))
        told[f"baseline_{name}_in_alarm"] = float(on.mean())
    for name, alarms in with_baseline(p, weights, "cleared").items():
        told[f"baseline_{name}_cleared_false_per_h"] = float(np.array(alarms).sum() / len(alarms))
    return told


def delays(ends: list[NDArray[np.intp]]) -> Floats:
    """Sweeps to the first alarm of each case; AFTER where there was none."""
    return np.array([e[0] + 1 if len(e) else AFTER for e in ends], float)


def measure_kind(cases: int, seed: int, kind: str) -> dict[str, float]:
    """Delays in sweeps (median, quartiles), the ratios of medians, and false alarms an hour on fresh runs."""
    seeds = np.random.SeedSequence([seed, sorted(noise.KINDS).index(kind)]).generate_state(3)
    own = calibrate(cases, kind, int(seeds[0]))
    per_h = np.array([own["nominal_per_h"], 1.0])
    p, weights = runs(cases, HOUR + WARM_UP, kind, int(seeds[1]))
    alarms = cusum_alarms(p, variances(p, weights), per_h)[WARM_UP:].sum(axis=(0, 2)) / cases
    skip = WARM_UP // BLOCK
    told = {
        "nominal_per_h": own["nominal_per_h"],
        "cusum_false_per_h": float(alarms[0]),
        "shipped_false_per_h": float(alarms[1]),
        "block_false_per_h": float((blocks(p, weights)[:, skip:] < own["block"]).sum() / cases),
        "plain_block_false_per_h": float(
            (blocks(p, np.ones_like(p))[:, skip:] < own["plain_block"]).sum() / cases
        ),
    }
    told |= false_with_baseline(p, weights)
    return told | fall(FALLS * cases, kind, int(seeds[2]), own)


def measure(cases: int = 200, seed: int = 1) -> dict[str, float]:
    """All kinds of noise, without the quartiles."""
    return {
        f"{kind}: {name}": value
        for kind in noise.KINDS
        for name, value in measure_kind(cases, seed, kind).items()
        if not name.endswith(("_q1", "_q3"))
    }


def fall(cases: int, kind: str, seed: int, own: dict[str, float]) -> dict[str, float]:
    """The delays after a fall to LEFT at a random sweep of a block; with a baseline of 300 sweeps, LATER."""
    p, weights = runs(cases, WARM_UP + LATER + BLOCK + AFTER, kind, seed)
    change = WARM_UP + np.random.default_rng(seed + 1).integers(0, BLOCK, cases)
    n = WARM_UP + BLOCK + AFTER
    found = _without_error(_fallen(p[:, :n], change), weights[:, :n], change, own)
    change = change + LATER
    return _quartiles(found | _with_error(_fallen(p, change), weights, change, own))


def _fallen(p: Floats, change: NDArray[np.intp]) -> Floats:
    return np.asarray(p - (1.0 - LEFT) * (np.arange(p.shape[1]) >= change[:, None]))


def _block_delays(p: Floats, weights: Floats, limit: float, change: NDArray[np.intp]) -> Floats:
    ends = np.arange(1, p.shape[1] // BLOCK + 1) * BLOCK
    low = blocks(p, weights) < limit
    return delays([ends[low[c] & (ends > change[c])] - change[c] - 1 for c in range(len(low))])


def _without_error(
    p: Floats, weights: Floats, change: NDArray[np.intp], own: dict[str, float]
) -> dict[str, Floats]:
    alarms = cusum_alarms(p, variances(p, weights), np.array([own["nominal_per_h"], 1.0]))
    found = {
        name: delays([np.flatnonzero(alarms[at:, k, c]) for c, at in enumerate(change)])
        for k, name in enumerate(("cusum", "shipped"))
    }
    found["block"] = _block_delays(p, weights, own["block"], change)
    found["plain_block"] = _block_delays(p, np.ones_like(p), own["plain_block"], change)
    return found


def _with_error(
    p: Floats, weights: Floats, change: NDArray[np.intp], own: dict[str, float]
) -> dict[str, Floats]:
    of, _ = baselines(p, weights)
    known = np.isfinite(of)
    found = {
        f"baseline_{name}": delays(
            [np.flatnonzero(on[at - WARM_UP :]) for on, at in zip(alarms, change[known], strict=True)]
        )
        for name, alarms in with_baseline(p, weights, "cleared").items()
    }
    against = p[known] / of[known, None]
    found["baseline_block"] = _block_delays(against, weights[known], own["baseline_block"], change[known])
    return found


def _quartiles(found: dict[str, Floats]) -> dict[str, float]:
    told = {}
    for name, sweeps in found.items():
        low_q, median, high_q = np.quantile(sweeps, (0.25, 0.5, 0.75))
        told |= {f"{name}_median": median, f"{name}_q1": low_q, f"{name}_q3": high_q}
    told["ratio"] = told["cusum_median"] / told["block_median"]
    told["shipped_ratio"] = told["shipped_median"] / told["block_median"]
    told["plain_ratio"] = told["cusum_median"] / told["plain_block_median"]
    told["baseline_ratio"] = told["baseline_fixed_median"] / told["baseline_block_median"]
    return {name: float(value) for name, value in told.items()}


def main() -> None:
    """Print one line of JSON for each kind of noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(noise.KINDS), action="append")
    asked = parser.parse_args()
    for kind in asked.kind or noise.KINDS:
        found = measure_kind(asked.cases, asked.seed, kind)
        print(json.dumps({"kind": kind} | {name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
