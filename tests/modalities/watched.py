"""Trains of four, muscle activity and suppression: each of many seeded patients through the pipeline.

What the patient did is known to the sample. Bars: a ratio within 0.05; 90 % of events at one false a minute;
a suppression ratio within five points with mains of 10 uV.
"""

import math
from collections.abc import Iterator, Sequence
from multiprocessing.pool import Pool
from typing import Any

import numpy as np

from hostd import casefile
from hostd.case import Case
from hostd.score.bedside import Shot, monitored
from hw.model.discharges import Discharge, Kind
from hw.model.scenario import NoiseChange, Scenario
from hw.model.state import Anaesthesia
from hw.model.stochastic import child

RATIO_WITHIN = 0.05
FOUND_AT_LEAST, FALSE_A_MINUTE = 0.9, 1.0
POINTS = 5.0
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
KINDS: tuple[Kind, ...] = ("spike", "burst", "A-train", "B-train", "C-train")
MUSCLES = ("TAL", "TAR", "GASL", "GASR")
EMG_S = 66.0
LISTENS_S = 6.0
"""Until the quiet level of every muscle is known."""
EEG_S = 135.0

Line = tuple[str, bool]


def _case(text: str, channels: Sequence[str], rate: str = "") -> Case:
    listed = ", ".join(f'"{name}"' for name in channels)
    return casefile.parse(f'name = "x"\n[acquisition]\n{rate}channels = [{listed}]\n{text}', "x.toml")


def train(seed: int) -> tuple[float, float | None, int, int | None]:
    """True ratio, told ratio, true count, told count of one patient at some block.

    The truth is what his muscle did at these four stimuli, seen without noise: each answer varies in size and
    shape, so that the ratio of one train lies about that of its block.
    """
    rng = child(seed, "relaxation")
    block = float(rng.uniform(0.0, 0.74)) if rng.random() < 0.7 else float(rng.uniform(0.74, 1.0))
    case = _case('[test.x]\nmodality = "train_of_four"\nside = "left"\nline = 1\n', ("ADML1", "ADML2"))
    relaxed = (Anaesthesia(0.0, block=block),)
    silent = (NoiseChange(0.0, emg=0.0, mains=0.0, eeg=1e-3),)
    told = _train_of(case, seed, Scenario(anaesthesia=relaxed), True)
    still = _train_of(case, seed, Scenario(anaesthesia=relaxed, noise=silent), False)
    first, *_, fourth = sizes_uv = [uv or 0.0 for uv in still["amplitudes_uv"]]
    count = sum(uv >= still["limit_uv"] for uv in sizes_uv)
    return fourth / first if count else 0.0, told["ratio"], count, told["count"]


def _train_of(case: Case, seed: int, scenario: Scenario, converter: bool) -> dict[str, Any]:
    """What is told of one train."""
    messages, _ = monitored(case, 4.0, seed, scenario, converter, shots=[Shot(1.0, "x")])
    (told,) = [message.fields for message in messages if message.topic == "tof"]
    return told


def trains(pool: Pool, seeds: Sequence[int]) -> Iterator[Line]:
    """Trains of four."""
    told = pool.map(train, seeds)
    errors = np.array([ratio - true for true, ratio, _, _ in told if ratio is not None])
    within = float(np.mean(np.abs(errors) <= RATIO_WITHIN))
    counted = float(np.mean([count == true for _, _, true, count in told]))
    text = f"train of four: ratio within {RATIO_WITHIN} in {within:.1%} of {len(errors)} (worst "
    text += f"{np.abs(errors).max():.3f}, bias {errors.mean():+.4f}), "
    text += f"count right in {counted:.1%} of {len(told)}"
    yield text, within >= 0.95 and counted >= 0.95


def minute(seed: int) -> tuple[dict[str, tuple[int, int, int]], int, float]:
    """By kind: events, found, named right; false ones; minutes listened to (all muscles together)."""
    rng = child(seed, "muscle activity")
    discharges, at_s, known = [], LISTENS_S + 1.0, []
    while at_s < EMG_S - 4.0:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        lasts = {"spike": 0.0, "burst": float(rng.uniform(0.06, 0.18))}.get(
            kind, float(rng.uniform(0.7, 2.0))
        )
        muscle = MUSCLES[int(rng.integers(len(MUSCLES)))]
        level = math.exp(rng.uniform(math.log(60.0), math.log(400.0)))
        discharges.append(Discharge(at_s, lasts, muscle, kind, level))
        known.append((f"{muscle}1-{muscle}2", kind, at_s, at_s + max(lasts, 0.02)))
        at_s += lasts + float(rng.uniform(1.0, 2.5))
    case = _case('[test.x]\nmodality = "free_emg"\n', [f"{m}{k}" for m in MUSCLES for k in (1, 2)])
    # Resting muscle without the bursts that would be activity themselves.
    scenario = Scenario(noise=(NoiseChange(0.0, emg=0.3),), emg=tuple(discharges))
    messages, _ = monitored(case, EMG_S, seed, scenario)
    rate_hz = case.rate_hz
    events = [m.fields for m in messages if m.topic == "emg" and not m.fields["ongoing"]]
    used: set[int] = set()
    by: dict[str, tuple[int, int, int]] = {}
    for name, kind, begin_s, end_s in known:
        hits = [
            k
            for k, event in enumerate(events)
            if event["derivation"] == name
            and event["first_index"] / rate_hz < end_s + 0.1
            and event["end_index"] / rate_hz > begin_s - 0.05
        ]
        used |= set(hits)
        called = {_called(events[k]) for k in hits}
        n, found, right = by.get(kind, (0, 0, 0))
        by[kind] = n + 1, found + bool(hits), right + (kind in called)
    false = len([k for k in range(len(events)) if k not in used])
    return by, false, (EMG_S - LISTENS_S) / 60.0


def _called(event: dict[str, str]) -> str:
    return f"{event['train']}-train" if event["kind"] == "train" else event["kind"]


def muscles(pool: Pool, seeds: Sequence[int]) -> Iterator[Line]:
    """Muscle activity."""
    told = pool.map(minute, seeds)
    minutes, false = sum(one[2] for one in told), sum(one[1] for one in told)
    for kind in KINDS:
        n, found, right = (sum(one[0].get(kind, (0, 0, 0))[k] for one in told) for k in range(3))
        yield (
            f"EMG {kind}: {found} of {n} found ({found / n:.1%}), {right / n:.1%} named right",
            found >= 0.9 * n,
        )
    text = (
        f"EMG: {false} false in {minutes:.0f} min of {len(MUSCLES)} muscles ({false / minutes:.2f} a minute)"
    )
    yield text, false <= FALSE_A_MINUTE * minutes


def share(seed: int) -> tuple[float, float, float]:
    """True suppression of the last minute, told by amplitude, by variance (percent, the worst derivation)."""
    wanted = SHARES[seed % len(SHARES)]
    case = _case('[test.x]\nmodality = "eeg"\n', ("F3", "F4", "P3", "P4"), "rate_hz = 500\n")
    state = Scenario(
        anaesthesia=(Anaesthesia(0.0, suppression=wanted),),
        # Surgical depth with its muscles at rest; mains of some 10 uV between electrodes.
        noise=(NoiseChange(0.0, emg=0.15, mains=4.0),),
    )
    messages, patient = monitored(case, EEG_S, seed, state)
    last = [m.fields for m in messages if m.topic == "eeg" and m.fields["suppression"] is not None][-1]
    told = last["suppression"]
    end_s = told["end_index"] / case.rate_hz
    # Only what is flat for more than half a second counts as suppression (facts: clinical 1.F).
    spans = [span for span in patient.suppressed(end_s) if span[1] - span[0] > 0.5]
    true = sum(max(0.0, min(end, end_s) - max(begin, end_s - 60.0)) for begin, end in spans)
    by = [[value[0] for value in told[key]] for key in ("ratio_pct", "ratio_by_variance_pct")]
    worst = [max(values, key=lambda value: abs(value - true / 0.6)) for values in by]
    return true / 0.6, worst[0], worst[1]


def suppressed(pool: Pool, seeds: Sequence[int]) -> Iterator[Line]:
    """Suppression of the EEG."""
    told = np.array(pool.map(share, seeds))
    for k, rule in ((1, "amplitude"), (2, "variance")):
        errors = told[:, k] - told[:, 0]
        within = float(np.mean(np.abs(errors) <= POINTS))
        text = f"EEG suppression by {rule}: within {POINTS:g} points in {within:.1%} of {len(errors)} "
        yield (
            text + f"(worst {np.abs(errors).max():.1f}, bias {errors.mean():+.2f})",
            k == 2 or within >= 0.95,
        )
