"""The scoreboard: many stories played, verdicts summed up, the product beside the fixed rules, with its bars.

Owns the sums and the bars. The same seed gives the same table to the digit, on any number of processes. A
story's recording can be written for another system to be scored on, with its truth beside it.
"""

import json
import math
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from hostd.errors import EvokdError, UsageError
from hostd.recorder import Recorder
from hostd.score.bedside import describe, recording
from hostd.score.play import Played, play
from hostd.score.referee import Verdict
from hostd.score.stories import SECONDS, Story, score_case, story
from hw.model.patient import Patient

STORIES = 240
ATTRIBUTION, FALSE_SHARE, TIME_SHARE = 0.9, 0.5, 0.65
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the scoreboard: the product's value, the fixed rules', and whether the bar is met (None:
    none is set)."""

    name: str
    product: float
    fixed: float
    unit: str
    bar: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Board:
    """All lines, and what each story came to."""

    rows: tuple[Row, ...]
    stories: tuple[dict[str, Any], ...]
    seed: int

    @property
    def ok(self) -> bool:
        """Whether every bar is met."""
        return all(row.ok is not False for row in self.rows)


def played(stories: int, seed: int, workers: int, vitals: bool, tick: Callable[[], None]) -> list[Played]:
    """Every story of a seed, in order; `tick` after each. Raises EvokdError when it is interrupted."""
    found = []
    deaf = signal.SIGINT, signal.SIG_IGN  # an interruption is the first process' to tell
    with ProcessPoolExecutor(workers, initializer=signal.signal, initargs=deaf) as pool:
        try:
            for one in pool.map(partial(play, seed=seed, vitals=vitals), range(stories)):
                found.append(one)
                tick()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise EvokdError(f"stopped after {len(found)} of {stories} stories; nothing is scored") from None
    return found


def board(all_: Sequence[Played], seed: int) -> Board:
    """The scoreboard of played stories. Raises UsageError where no story has an injury in it."""
    hurt = [one for one in all_ if one.story.injury]
    if not hurt:
        raise UsageError(f"{len(all_)} stories without an injury score nothing; play 20 or more")
    rows = [_found(hurt), *_false(all_), *_times(hurt), _attribution(all_)]
    calm = [one for one in all_ if one.story.kind == "nothing"]
    if calm:
        rows.append(
            Row(
                "false alerts where nothing happens",
                float(sum(one.product.false_raised for one in calm)),
                float(sum(one.fixed.false_raised for one in calm)),
                f"in {len(calm) * SECONDS / 3600:.1f} h",
                "",
                None,
            )
        )
    ours, theirs = (float(sum(v(one).explained for one in all_)) for v in (_product, _fixed))
    rows.append(Row("alerts told as systemic or technical", ours, theirs, "", "", None))
    told = tuple(
        {
            "number": one.story.number,
            "kind": one.story.kind,
            "title": one.story.title,
            "onset_s": one.story.onset_s,
            "hurt": sorted(one.story.hurt),
            "product": asdict(one.product),
            "fixed": asdict(one.fixed),
        }
        for one in all_
    )
    return Board(tuple(rows), told, seed)


def _product(one: Played) -> Verdict:
    return one.product


def _fixed(one: Played) -> Verdict:
    return one.fixed


def _found(hurt: Sequence[Played]) -> Row:
    ours, theirs = (sum(v(one).found_s is not None for one in hurt) / len(hurt) for v in (_product, _fixed))
    unit = f"% of {len(hurt)} injuries"
    return Row("injuries confirmed", 100 * ours, 100 * theirs, unit, ">= fixed rules", ours >= theirs)


def _false(all_: Sequence[Played]) -> list[Row]:
    rows = []
    for name, of in (("false alerts raised", "false_raised"), ("false alerts confirmed", "false_confirmed")):
        ours, theirs = (sum(getattr(v(one), of) for one in all_) for v in (_product, _fixed))
        bar = f"<= {FALSE_SHARE:g} x fixed rules"
        rows.append(Row(name, float(ours), float(theirs), "", bar, ours <= FALSE_SHARE * theirs))
    return rows


def _times(hurt: Sequence[Played]) -> list[Row]:
    """Of injuries that both have confirmed; and of all, where one that was missed took for ever."""
    both = [one for one in hurt if one.product.found_s is not None and one.fixed.found_s is not None]
    rows = []
    ours, theirs = (_median(v(one).found_s for one in both) for v in (_product, _fixed))
    bar, unit = f"<= {TIME_SHARE:g} x fixed rules", f"s, median of {len(both)}"
    met = bool(both) and ours <= TIME_SHARE * theirs
    rows.append(Row("time to the confirmed alert, where both told", ours, theirs, unit, bar, met))
    ours, theirs = (_median(_or_never(v(one).found_s) for one in hurt) for v in (_product, _fixed))
    rows.append(Row("the same, of all injuries", ours, theirs, f"s, median of {len(hurt)}", "", None))
    ours, theirs = (_median(_or_never(v(one).raised_s) for one in hurt) for v in (_product, _fixed))
    rows.append(Row("time to the first alert, of all injuries", ours, theirs, "s, median", "", None))
    return rows


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _median(values: Iterable[float | None]) -> float:
    known = sorted(value for value in values if value is not None)
    return median(known) if known else math.nan


def _attribution(all_: Sequence[Played]) -> Row:
    told = [one for one in all_ if one.story.cause is not None and one.product.cause is not None]
    right = sum(one.product.cause == one.story.cause for one in told) / max(1, len(told))
    unit = f"% of {len(told)} told"
    bar = f">= {100 * ATTRIBUTION:g} %"
    return Row("cause told rightly", 100 * right, 0.0, unit, bar, right >= ATTRIBUTION)


def as_json(board_: Board) -> str:
    """The board and every story, for machines; never and not known are null."""
    rows = [
        {**asdict(row), "product": _plain(row.product), "fixed": _plain(row.fixed)} for row in board_.rows
    ]
    whole = {"seed": board_.seed, "ok": board_.ok, "rows": rows, "stories": board_.stories}
    return json.dumps(whole, indent=1)


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def as_text(board_: Board) -> str:
    """The board for people."""
    head = f"{'':44} {'evokd':>8} {'fixed':>8}"
    lines = [f"{len(board_.stories)} stories, seed {board_.seed}", head]
    for row in board_.rows:
        mark = "" if row.ok is None else "met" if row.ok else "NOT MET"
        bar = f"{row.bar} {mark}".strip()
        lines.append(
            f"{row.name:44} {_shown(row.product):>8} {_shown(row.fixed):>8} {row.unit}  {bar}".rstrip()
        )
    kinds = dict.fromkeys(one["kind"] for one in board_.stories)
    lines.append("")
    lines.append(f"{'by kind: stories, found (evokd, fixed), false raised (evokd, fixed), causes told':}")
    for kind in kinds:
        of = [one for one in board_.stories if one["kind"] == kind]
        found = [sum(one[d]["found_s"] is not None for one in of) for d in ("product", "fixed")]
        false = [sum(one[d]["false_raised"] for one in of) for d in ("product", "fixed")]
        causes: dict[str, int] = {}
        for one in of:
            cause = one["product"]["cause"] or "none"
            causes[cause] = causes.get(cause, 0) + 1
        said = ", ".join(f"{cause} {n}" for cause, n in sorted(causes.items()))
        lines.append(
            f"{kind:12} {len(of):4}   {found[0]:3} {found[1]:3}   {false[0]:4} {false[1]:4}   {said}"
        )
    return "\n".join(lines)


def _shown(value: float) -> str:
    return "never" if math.isinf(value) else "-" if math.isnan(value) else f"{value:.1f}"


def write(number: int, seed: int, folder: Path) -> Path:
    """The recording of a story and its truth (`raw.bdf`, `truth.json`), for another system to be scored on;
    the folder. Raises UsageError where it cannot be written."""
    told = story(number, seed)
    into = folder / f"story-{seed}-{number:04}"
    try:
        into.mkdir(parents=True)
        (into / "truth.json").write_text(json.dumps(_truth(told), indent=1), "utf-8")
    except OSError as error:
        raise UsageError(f"{into}: {error.strerror}; name a folder that can be written") from None
    case = score_case()
    patient = Patient(case.channels, case.rate_hz, told.seed, scenario=told.scenario)
    d = describe(case)
    offset = d.latency_offset_samples
    gain = f"gain {case.gain}"
    name = f"story-{seed}-{number}"
    with Recorder(
        into / "raw.bdf", d.channels, d.rate_hz, d.lsb_uv, d.offset_uv, gain, name, STARTED, offset
    ) as to:
        for mark in told.marks:
            values = ", ".join(f"{key}={value:g}" for key, value in mark.values.items())
            to.annotate(round(mark.at_s * case.rate_hz), values)
        for block in recording(case, patient, d, SECONDS, told.seed, True, told.shots):
            to.append(block)
    return into


def _truth(told: Story) -> dict[str, Any]:
    return {
        "number": told.number,
        "seed": told.seed,
        "kind": told.kind,
        "title": told.title,
        "cause": told.cause,
        "onset_s": told.onset_s,
        "hurt": sorted(told.hurt),
        "seconds": SECONDS,
        "scenario": {k: v for k, v in asdict(told.scenario).items() if v},
        "stimuli": [asdict(shot) for shot in told.shots],
        "vitals": [{"at_s": mark.at_s, **mark.values} for mark in told.marks],
    }
