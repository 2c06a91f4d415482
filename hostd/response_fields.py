"""Answers to single stimuli in the words of the bus: fields of `response`, and of `measure` beside it."""

from typing import Any

from dsp.muscle import Response
from dsp.reflex import Reflex
from dsp.repeats import Repeats

NO_COURSE: dict[str, Any] = {
    **dict.fromkeys(("verdict", "choice", "halves", "change", "control", "virtual", "mains_fit", "reversal")),
    "ranking": [],
    "rules": [],
}
"""What `measure` says of averages and has nothing to say of here."""
NO_TRACES: dict[str, Any] = dict.fromkeys(
    ("sharp_uv", "sharp_noise_uv", "sharp_loss_bound", "sharp_kind", "virtual_uv", "virtual_noise_uv")
)


def response_fields(
    one: Response, repeats: Repeats, reflex: Reflex | None, spread: bool | None
) -> dict[str, Any]:
    """One answer in one derivation, how its repeats stand, the M wave beside an H reflex, and whether a
    single pulse evokes it too."""
    summary, before = repeats.summary(), repeats.baseline
    m = None
    if reflex is not None:
        m = {
            "present": reflex.m.present,
            "onset_ms": reflex.m.onset_ms,
            "amplitude_uv": reflex.m.amplitude_uv,
            "ratio": reflex.ratio,
            "ratio_ci": _pair(reflex.ratio_ci),
        }
    return {
        "name": one.name,
        "present": one.present,
        "onset_ms": one.onset_ms,
        "onset_ci_ms": _pair(one.onset_ci_ms),
        "amplitude_uv": one.amplitude_uv,
        "amplitude_ci_uv": _pair(one.amplitude_ci_uv),
        "area_uv_ms": one.area_uv_ms,
        "duration_ms": one.duration_ms,
        "turns": one.turns,
        "phases": one.phases,
        "noise_uv": one.noise_uv,
        "limit_uv": one.limit_uv,
        "clipped": one.clipped,
        "artifact": one.artifact,
        "state": repeats.standing.state,
        "beyond": repeats.standing.beyond,
        "absent": summary.absent,
        "repeats": summary.n,
        "median_uv": summary.median_uv,
        "cv": summary.cv,
        "baseline_uv": None if before is None else before.uv,
        "baseline_cv": None if before is None else before.cv,
        "change_pct": summary.change_pct,
        "change_ci_pct": _pair(summary.change_ci_pct),
        "m_wave": m,
        "spread": spread,
    }


def peak_of(one: Response, repeats: Repeats) -> dict[str, Any]:
    """The same as a peak of `measure`, for displays that know averages: its latency is the onset."""
    before = repeats.baseline
    changed = None
    if before is not None and one.amplitude_uv is not None:
        changed = 100.0 * (one.amplitude_uv / before.uv - 1.0)
    return {
        "name": one.name,
        "derivation": one.name,
        "present": one.present,
        "latency_ms": one.onset_ms,
        "latency_ci_ms": _pair(one.onset_ci_ms),
        "amplitude_uv": one.amplitude_uv,
        "amplitude_ci_uv": _pair(one.amplitude_ci_uv),
        "noise_uv": one.noise_uv,
        "baseline_latency_ms": None,
        "baseline_amplitude_uv": None if before is None else before.uv,
        "change_pct": changed,
        "normal_latency_ms": None,
        "normal_amplitude_uv": None,
    }


def sentence(
    site: str,
    rows: list[dict[str, Any]],
    reason: str,
    threshold: dict[str, Any] | None,
    gate: dict[str, Any] | None,
    control: bool,
) -> str:
    """One plain sentence: what answered, what stands against it, and what to do."""
    site = f"{site}, control pulse" if control else site
    if not rows:
        return f"{site}: not read, {reason}; repeat"
    parts = [_counted(rows)]
    if spread := [row["name"] for row in rows if row["spread"]]:
        answer = "answers" if len(spread) == 1 else "answer"
        parts.append(f"{', '.join(spread)} {answer} a single pulse too: spread, not cortex")
    parts += [text for row in rows if (text := _stands(row))]
    if threshold is not None:
        parts.append(_threshold(threshold))
    if gate is not None and not gate["allowed"]:
        parts.append(f"train of four: {gate['why']}")
    return f"{site}: {'; '.join(parts)}"


def _counted(rows: list[dict[str, Any]]) -> str:
    there = [row["name"] for row in rows if row["present"]]
    if len(there) == len(rows):
        return "all answer" if len(rows) > 1 else "present"
    return f"{len(there)} of {len(rows)} answer" if len(rows) > 1 else "absent"


def _stands(row: dict[str, Any]) -> str:
    """What a rule says of one muscle; nothing while all is steady, or before it ever answered."""
    if row["baseline_uv"] is None or row["state"] == "steady":
        return ""
    left = "absent" if not row["present"] else f"{row['amplitude_uv'] / row['baseline_uv']:.0%} of baseline"
    if not row["beyond"]:
        return f"{row['name']} is back, {left}: repeat to confirm"
    if row["state"] == "lost":
        return f"{row['name']} lost in {row['beyond']} repeats"
    if row["state"] == "suspect":
        return f"{row['name']} {left}: repeat to confirm"
    return f"{row['name']} {left} in {row['beyond']} repeats"


def _threshold(found: dict[str, Any]) -> str:
    if found["ma"] is None:
        up_to = found["none_up_to_ma"]
        return "no threshold yet" if up_to is None else f"none up to {up_to:g} mA"
    verdict = f", {found['verdict']}" if found["verdict"] else ""
    return f"threshold {found['ma']:g} mA ({found['muscle']}){verdict}"


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [float(interval[0]), float(interval[1])]
