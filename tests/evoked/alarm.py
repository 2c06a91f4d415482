"""Sweeps from a 60 % loss to the alarm, at one false alarm an hour: sequential test against blocks.

Single sweeps' projections in the noise of `tests.evoked.noise`, weighed by the product from a response-free
interval. Both rules are calibrated on runs without a change and their false alarms counted again on others.
The CUSUM is dsp.change's, the noise of sweeps that of its twin. Run: python -m tests.evoked.alarm
"""

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from dsp.change import DELTA, Cusum
from dsp.reference_change import sweep_variances
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


def cusum_alarms(p: Floats, v: Floats, per_h: Floats) -> NDArray[np.bool_]:
    """Alarms (sweep, rate, case) of the CUSUM set to each nominal rate, cleared after every alarm."""
    cases, n = p.shape
    found = np.empty((n, len(per_h), cases), np.bool_)
    for k, rate in enumerate(per_h):
        for c in range(cases):
            found[:, k, c] = Cusum(DELTA, float(rate), SWEEPS_PER_S).run(p[c], v[c], answered=True).alarm
    return found


def calibrate(cases: int, kind: str, seed: int) -> dict[str, float]:
    """What to set for one false alarm an hour: the CUSUM's nominal rate, the blocks' thresholds."""
    p, weights = runs(cases, HOUR + WARM_UP, kind, seed)
    alarms = cusum_alarms(p, sweep_variances(p, weights), NOMINAL_PER_H)[WARM_UP:].sum(axis=(0, 2)) / cases
    rate = np.exp(np.interp(0.0, np.log(np.maximum(alarms, 1e-3)), np.log(NOMINAL_PER_H)))
    skip = WARM_UP // BLOCK
    weighted, plain = (np.sort(blocks(p, w)[:, skip:].ravel()) for w in (weights, np.ones_like(p)))
    return {"nominal_per_h": float(rate), "block": float(weighted[cases]), "plain_block": float(plain[cases])}


def delays(ends: list[NDArray[np.intp]]) -> Floats:
    """Sweeps to the first alarm of each case; AFTER where there was none."""
    return np.array([e[0] + 1 if len(e) else AFTER for e in ends], float)


def measure(cases: int = 200, seed: int = 1, kind: str = "typical") -> dict[str, float]:
    """Delays in sweeps (median, quartiles), the ratios of medians, and false alarms an hour on fresh runs."""
    seeds = np.random.SeedSequence([seed, sorted(noise.KINDS).index(kind)]).generate_state(3)
    own = calibrate(cases, kind, int(seeds[0]))
    per_h = np.array([own["nominal_per_h"], 1.0])
    p, weights = runs(cases, HOUR + WARM_UP, kind, int(seeds[1]))
    alarms = cusum_alarms(p, sweep_variances(p, weights), per_h)[WARM_UP:].sum(axis=(0, 2)) / cases
    skip = WARM_UP // BLOCK
    told = {
        "nominal_per_h": own["nominal_per_h"],
        "cusum_false_per_h": float(alarms[0]),
        "cusum_uncalibrated_false_per_h": float(alarms[1]),
        "block_false_per_h": float((blocks(p, weights)[:, skip:] < own["block"]).sum() / cases),
        "plain_block_false_per_h": float(
            (blocks(p, np.ones_like(p))[:, skip:] < own["plain_block"]).sum() / cases
        ),
    }
    return told | fall(FALLS * cases, kind, int(seeds[2]), own)


def fall(cases: int, kind: str, seed: int, own: dict[str, float]) -> dict[str, float]:
    """The delays after a fall to LEFT at a random sweep of a block."""
    p, weights = runs(cases, WARM_UP + BLOCK + AFTER, kind, seed)
    change = WARM_UP + np.random.default_rng(seed + 1).integers(0, BLOCK, cases)
    fallen = np.arange(p.shape[1]) >= change[:, None]
    p = p - (1.0 - LEFT) * fallen
    alarms = cusum_alarms(p, sweep_variances(p, weights), np.array([own["nominal_per_h"]]))[:, 0]
    found = {"cusum": delays([np.flatnonzero(alarms[change[c] :, c]) for c in range(cases)])}
    ends = np.arange(1, p.shape[1] // BLOCK + 1) * BLOCK
    for name, w in (("block", weights), ("plain_block", np.ones_like(p))):
        low = blocks(p, w) < own[name]
        found[name] = delays([ends[low[c] & (ends > change[c])] - change[c] - 1 for c in range(cases)])
    told = {}
    for name, sweeps in found.items():
        low_q, median, high_q = np.quantile(sweeps, (0.25, 0.5, 0.75))
        told |= {f"{name}_median": median, f"{name}_q1": low_q, f"{name}_q3": high_q}
    told["ratio"] = told["cusum_median"] / told["block_median"]
    told["plain_ratio"] = told["cusum_median"] / told["plain_block_median"]
    return {name: float(value) for name, value in told.items()}


def main() -> None:
    """Print one line of JSON for each kind of noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(noise.KINDS), action="append")
    asked = parser.parse_args()
    for kind in asked.kind or noise.KINDS:
        found = measure(asked.cases, asked.seed, kind)
        print(json.dumps({"kind": kind} | {name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
