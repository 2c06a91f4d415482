"""What a detector told of a story, held against its truth: found or not, when, why, and false alarms.

Owns the rules of the field beside the product's alerts, both read from the same messages. A verdict counts a
detector's own confirmed alerts; what was told before the injury, or of a test that it spares, is false.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsp.attribution import Cause
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.score.stories import Story

AMPLITUDE_LEFT, LATENCY_MORE = 0.5, 1.1
SETTLES_S = 60.0
"""The cause that counts is the one told by then: more of the other limbs is known."""
PATIENT: tuple[str, ...] = ("focal", "peripheral", "unknown")
"""Causes that send a surgeon to look."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert of a detector about a test: raised and confirmed when (None: never), why (None: it cannot
    say)."""

    test: str
    raised_s: float
    confirmed_s: float | None
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A detector on one story. `found_s`: from the onset to the first confirmed alert of a test that is hurt.
    `false_raised` and `false_confirmed` call for a look at an uninjured patient or limb; `explained` are told
    of one with a cause that says so. `cause`: that of the first true alert, None where there is none."""

    found_s: float | None
    raised_s: float | None
    false_raised: int
    false_confirmed: int
    explained: int
    cause: Cause | None


def judge(story: Story, alerts: Sequence[Told]) -> Verdict:
    """The alerts of one detector held against a story's truth."""
    onset = story.onset_s
    true = [
        a
        for a in alerts
        if story.injury and onset is not None and a.test in story.hurt and a.raised_s >= onset
    ]
    found = [a.confirmed_s - onset for a in true if a.confirmed_s is not None and onset is not None]
    raised = [a.raised_s - onset for a in true if onset is not None]
    rest = [a for a in alerts if a not in true]
    false = [a for a in rest if a.cause is None or a.cause in PATIENT]
    about = true if story.injury else [a for a in alerts if onset is not None and a.raised_s >= onset]
    confirmed = [a for a in about if a.confirmed_s is not None] or about
    first = min(confirmed, key=lambda a: a.raised_s, default=None)
    return Verdict(
        min(found, default=None),
        min(raised, default=None),
        len(false),
        sum(a.confirmed_s is not None for a in false),
        len(rest) - len(false),
        None if first is None else first.cause,
    )


def of_product(case: Case, messages: Iterable[Outgoing]) -> list[Told]:
    """The product's own alerts about the patient, and technical ones about a test, as they were told."""
    rows: dict[str, Told] = {}
    settled: dict[str, bool] = {}
    for message in messages:
        f = message.fields
        if message.topic != "alert" or f["kind"] not in ("change", "noise", "delivery", "yield"):
            continue
        now_s, cause = message.index / case.rate_hz, f["cause"]
        before = rows.get(f["id"])
        if f["state"] == "cleared":
            settled[f["id"]] = True
            continue
        confirmed = now_s if f["state"] == "confirmed" else None
        if before is None:
            rows[f["id"]] = Told(f["test"], now_s, confirmed, cause)
            continue
        first = before.confirmed_s if before.confirmed_s is not None else confirmed
        late = now_s > (first if first is not None else before.raised_s) + SETTLES_S
        keep = settled.get(f["id"], False) or late
        rows[f["id"]] = Told(before.test, before.raised_s, first, before.cause if keep else cause)
    return list(rows.values())


def of_fixed_rules(case: Case, messages: Iterable[Outgoing]) -> list[Told]:
    """The rules of the field on the same measurements: 50 % and 10 % of whole averages confirmed by the next,
    70 % of single responses confirmed by the next. They know no cause."""
    averages = {plan.name: plan.leading for plan in case.tests if plan.kind == "average"}
    open_: dict[tuple[str, str], Told] = {}
    told: list[Told] = []

    def step(key: tuple[str, str], now_s: float, met: bool) -> None:
        before = open_.get(key)
        if not met:
            if before is not None:
                told.append(open_.pop(key))
        elif before is None:
            open_[key] = Told(key[0], now_s, None, None)
        elif before.confirmed_s is None:
            open_[key] = Told(before.test, before.raised_s, now_s, None)

    for message in messages:
        family, _, test = message.topic.partition(".")
        now_s, f = message.index / case.rate_hz, message.fields
        if family == "measure" and test in averages and f["final"]:
            peak = next(p for p in f["peaks"] if p["name"] == f["leading"])
            if peak["baseline_amplitude_uv"] is not None:
                step((test, peak["name"]), now_s, _met(peak))
        elif family == "response" and f["accepted"]:
            for row in f["responses"]:
                if row["baseline_uv"] is not None:
                    left = 0.0 if not row["present"] else row["amplitude_uv"] / row["baseline_uv"]
                    step((test, row["name"]), now_s, left <= 0.3)
    return told + list(open_.values())


def _met(peak: dict[str, float | None]) -> bool:
    """Half of the amplitude gone, a tenth of the latency more, or nothing there."""
    now_uv, before_uv = peak["amplitude_uv"], peak["baseline_amplitude_uv"]
    if not peak["present"] or now_uv is None or before_uv is None:
        return True
    now_ms, before_ms = peak["latency_ms"], peak["baseline_latency_ms"]
    late = now_ms is not None and before_ms is not None and now_ms > LATENCY_MORE * before_ms
    return now_uv < AMPLITUDE_LEFT * before_uv or late
