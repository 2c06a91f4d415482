"""What choosing the derivation is worth in sweeps, on median-nerve responses in several leads (seeded).

The heads are `tests.evoked.heads`, the noise's level over time is that of `tests.evoked.noise`. A study, no
part of the product. `python -m tests.evoked.leads --kinds quiet typical severe --cases 200` prints it.
"""

import argparse
from itertools import pairwise

import numpy as np

from dsp.average import hadamard
from dsp.limits import SUB_AVERAGES
from dsp.montage import Selector, derive
from dsp.nouns import Average
from dsp.spatial import learn
from dsp.weights import NoiseWeights
from tests.evoked.heads import (
    LOW_HZ,
    PAIRS,
    QUIET_ROWS,
    RATE_HZ,
    STANDARD,
    TIMES_MS,
    WEIGHTS,
    Floats,
    lead_noise,
    noise,
    response,
)
from tests.evoked.noise import EEG_SHARE, KINDS, level

SWEEP_S = 1.0 / 4.7
SPAN = slice(17, 51)
"""12 to 45 ms (facts/dsp 3.1)."""
BASELINE, LIMIT = 300, 3000
"""Sweeps of the baseline (facts/clinical: 300 at 4.7 Hz), and at most until the criterion (facts/dsp 3.1)."""
HELD = 1.3


def sweeps(rng: np.random.Generator, kind: str, n: int, roots: tuple[Floats, ...]) -> tuple[Floats, Floats]:
    """n sweeps of noise (sweep, time, lead) and their weights from the rows before each. One level for all
    leads: a burst is everywhere, and no derivation dodges it."""
    fine_hz = 50.0
    factors = level(kind, int((n + 2) * SWEEP_S * fine_hz), fine_hz, rng)
    starts = (np.arange(n) + 1) * SWEEP_S
    within, before = (factors[((starts + s) * fine_hz).astype(int)] for s in (0.028, -0.085))
    rows = tuple(WEIGHTS[[STANDARD]] @ root for root in roots)
    quiet = noise(rng, before, rows, QUIET_ROWS).astype(float)
    meter = NoiseWeights(1, LOW_HZ, RATE_HZ)
    weights = np.concatenate([meter.weigh(each) for each in quiet])
    return noise(rng, within, roots, len(TIMES_MS)), weights


def averaged(uv: Floats, weights: Floats, ends: list[int]) -> list[Average]:
    """The averages of the first so many sweeps of uv (sweep, time, lead), as `dsp.average` makes them; all
    leads weighed alike."""
    slots = np.eye(SUB_AVERAGES)[np.arange(len(uv)) % SUB_AVERAGES]
    totals, shares = np.zeros((SUB_AVERAGES, *uv.shape[1:])), np.zeros(SUB_AVERAGES)
    made = []
    for start, end in pairwise([0, *ends]):
        given = (slots[start:end] * weights[start:end, None]).T.astype(np.float32)
        totals = totals + (given @ uv[start:end].reshape(end - start, -1)).reshape(totals.shape)
        shares = shares + given.sum(axis=1)
        whole, used = shares.sum(), weights[:end]
        sums, share = hadamard(totals) / whole, (hadamard(shares) / whole)[1:, None, None]
        null = (sums[1:] - share * sums[0]) / np.sqrt(1.0 - share * share)
        effective = np.full(uv.shape[2], used.sum() ** 2 / np.sum(used**2))
        noise_uv = np.sqrt(np.mean(null * null, axis=(0, 1)))
        made.append(Average(sums[0], noise_uv, null.astype(np.float32), end, 0, effective, 0, end, False))
    return made


GRID = sorted(
    {round(SUB_AVERAGES * 1.1**k) for k in range(60) if SUB_AVERAGES * 1.1**k <= LIMIT * HELD * 1.1}
)


def reached(snr_db: Floats) -> int:
    """Sweeps from which on the ratio (grid,) is 6 dB or more until HELD times as many; LIMIT when never."""
    counts = np.array(GRID)
    for n in counts[counts <= LIMIT]:
        if np.all(snr_db[(counts >= n) & (counts <= HELD * n)] >= 6.0):
            return int(n)
    return LIMIT


def true_snr_db(mean_uv: Floats, truth_uv: Floats) -> float:
    """Of a mean (time,): the response's rms over that of the error, in the span."""
    error = mean_uv[SPAN] - truth_uv[SPAN]
    return float(10.0 * np.log10(np.mean(truth_uv[SPAN] ** 2) / np.mean(error**2)))


def gain(mean_uv: Floats, truth_uv: Floats) -> float:
    """Amplitude of a mean (time,) over the truth's: its projection upon it in the span."""
    return float(mean_uv[SPAN] @ truth_uv[SPAN] / (truth_uv[SPAN] @ truth_uv[SPAN]))


def pooled(gains: Floats, ratios: Floats) -> tuple[float, float]:
    """Mean gain over patients, each by its signal-to-noise ratio (power) as its error asks for, and its
    standard error."""
    share = ratios / ratios.sum()
    mean = float(gains @ share)
    return mean, float(np.sqrt(np.sum((share * (gains - mean)) ** 2)))


def chosen(selector: Selector, average: Average) -> Floats:
    """Weights (lead,) of the derivation chosen after this average of the leads."""
    mean, null = derive(average.mean_uv, WEIGHTS), derive(average.null_uv, WEIGHTS)
    selector.update(mean, null, average.n_effective[0])
    return np.asarray(WEIGHTS[selector.chosen])


def case(rng: np.random.Generator, kind: str, emg_share: float) -> tuple[dict[str, tuple[float, ...]], float]:
    """One patient. By method: sweeps to the criterion, amplitude gain after BASELINE sweeps and true ratio
    of a sweep then; and the true ratio of the choice over that of the truly best.

    Derivation and filter are chosen on a baseline of BASELINE sweeps, then the sweeps that count begin;
    `running` has no baseline and chooses on these very sweeps as they come.
    """
    truth, (eeg, emg) = response(rng), lead_noise(rng, emg_share)
    roots = np.linalg.cholesky(eeg + 1e-9 * np.eye(len(eeg))), np.linalg.cholesky(emg)
    uv, weights = sweeps(rng, kind, BASELINE + GRID[-1], roots)
    uv += truth.astype(np.float32)
    (baseline,) = averaged(uv[:BASELINE], weights[:BASELINE], [BASELINE])
    plain = averaged(uv[BASELINE:], np.ones(GRID[-1]), GRID)
    weighted = averaged(uv[BASELINE:], weights[BASELINE:], GRID)
    power = truth[SPAN].T @ truth[SPAN] / len(truth[SPAN])

    def ratio(row: Floats) -> float:
        return float(row @ power @ row / (row @ (eeg + emg) @ row))

    ratios = np.array([ratio(row) for row in WEIGHTS])
    spatial = learn(baseline, SPAN, WEIGHTS[STANDARD])
    selector = Selector([pair.name for pair in PAIRS], STANDARD, SPAN)
    fixed = chosen(selector, baseline)
    worth = float(ratios[selector.chosen] / ratios.max())
    selector = Selector([pair.name for pair in PAIRS], STANDARD, SPAN)
    rows = {
        "standard": [WEIGHTS[STANDARD]] * len(GRID),
        "chosen": [fixed] * len(GRID),
        "running": [chosen(selector, average) for average in weighted],
        "truly best": [WEIGHTS[np.argmax(ratios)]] * len(GRID),
        "DSS": [spatial.weights if spatial else WEIGHTS[STANDARD]] * len(GRID),
    }
    told = {}
    at = int(np.searchsorted(GRID, BASELINE))
    for rule, row in rows.items():
        for how, averages in (("plain", plain), ("weighted", weighted)):
            if how == "plain" and rule not in ("standard", "chosen"):
                continue
            pairs = [(a.mean_uv @ r, truth @ r) for a, r in zip(averages, row, strict=True)]
            n = reached(np.array([true_snr_db(*pair) for pair in pairs]))
            told[f"{how} {rule}"] = n, gain(*pairs[at]), ratio(row[at])
    return told, worth


def measure(cases: int, seed: int, kind: str = "typical", emg_share: float = 0.5) -> dict[str, float]:
    """Figures over so many patients: median sweeps by method, median and quartiles of the speed-up over the
    plain average of the standard derivation, amplitude gains, and how good the choice was."""
    done = [case(np.random.default_rng((seed, k)), kind, emg_share) for k in range(cases)]
    worth = np.array([each[1] for each in done])
    out = {
        "cases": float(cases),
        "best": float(np.mean(worth >= 1.0)),
        "near best": float(np.mean(worth > 0.8)),
    }
    out["worth"] = float(np.median(worth))
    first = np.array([told["plain standard"][0] for told, _ in done])
    for method in done[0][0]:
        counts, gains, ratios = np.array([told[method] for told, _ in done]).T
        out[f"{method}: sweeps"] = float(np.median(counts))
        for name, share in (("lower", 25), ("speed-up", 50), ("upper", 75)):
            out[f"{method}: {name}"] = float(np.percentile(first / counts, share))
        out[f"{method}: reached"] = float(np.mean(counts < LIMIT))
        out[f"{method}: gain"], out[f"{method}: gain error"] = pooled(gains, ratios)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["typical"])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emg-share", type=float, default=EEG_SHARE)
    told = parser.parse_args()
    for kind in told.kinds:
        got = measure(told.cases, told.seed, kind, told.emg_share)
        print(
            f"{kind}, {told.cases} patients, EMG share {told.emg_share}: the choice is the truly best in "
            f"{got['best']:.0%}, above 0.8 of its ratio in {got['near best']:.0%}, median {got['worth']:.2f}"
        )
        for method in (name.removesuffix(": sweeps") for name in got if name.endswith(": sweeps")):
            sweeps_, low, mid, high, reached_, gain_, error = (
                got[f"{method}: {what}"]
                for what in ("sweeps", "lower", "speed-up", "upper", "reached", "gain", "gain error")
            )
            print(
                f"  {method:20} N {sweeps_:5.0f}  speed-up {mid:5.2f} [{low:.2f}-{high:.2f}]  "
                f"reached {reached_:4.0%}  gain {gain_:.3f} +-{error:.3f}"
            )


if __name__ == "__main__":
    main()
