"""A soak: so many hours of a case, readings on the way, and the verdict on what they show."""

import contextlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hostd import casefile
from hostd.audit_samples import check_all_records
from hostd.case import Case
from hostd.repair import repair
from hostd.segments import segment_paths
from hw.model.scenario import NO_CHANGE, Scenario, parse_scenario
from hw.recording import RecordingReader
from tests.soak import box as box_of_soak
from tests.soak.apart import EdgeApart
from tests.soak.box import Box
from tests.soak.edge import FastEdge
from tests.soak.gauges import Gauges, Row
from tests.soak.verdict import Bars, verdict

PROCEDURES = Path(casefile.__file__).parent / "procedures"
KEPT_SEGMENTS = 3
WHOLE = Bars(
    growth=Bars().growth | {"rss_kb": 1000.0, "edge_rss_kb": 1000.0, "heap_kb": 200.0, "blocks": 10_000.0}
)


@dataclass(frozen=True, slots=True)
class Soak:
    """What is run. `warm_hours` of readings are left out of the verdict: caches fill, baselines are taken.
    `apart`: the edge has a process of its own."""

    case: Case
    scenario: Scenario
    hours: float
    warm_hours: float
    every_s: float
    block_s: float = 1.0
    seed: int = 1
    topic: str = "measure.left_median"
    bars: Bars = field(default_factory=Bars)
    apart: bool = False


@dataclass(slots=True)
class Outcome:
    """Readings, the table of the verdict, and what was wrong."""

    rows: list[Row] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    checked_samples: int = 0
    said: dict[str, int] = field(default_factory=dict)


def small(hours: float, **more: float) -> Soak:
    """The case that costs least, with a lesion now and then left out: what is the same must stay the same."""
    case = casefile.load(Path(__file__).with_name("small.toml"))
    chosen = {"warm_hours": min(3.0, hours / 4), "every_s": max(15.0, hours * 10.0)} | more
    return Soak(case, NO_CHANGE, hours, **chosen)


def whole(hours: float, procedure: str = "scoliosis") -> Soak:
    """A shipped procedure with everything that happens in its scenario. Its bars leave room for memories of
    what is fired on demand, which are filling for 17 hours to 6 days; `--short` tells whether others grow."""
    case = casefile.procedure(procedure)
    happens = PROCEDURES / "scenarios" / f"{procedure}.toml"
    scenario = parse_scenario(tomllib.loads(happens.read_text())) if happens.exists() else NO_CHANGE
    return Soak(case, scenario, hours, min(1.5, hours / 3), max(15.0, hours * 10.0), 0.25, bars=WHOLE)


def run(
    soak: Soak,
    data: Path,
    told: Callable[[Row], None] = lambda row: None,
    harmed: Callable[[Box], None] = lambda box: None,
) -> Outcome:
    """Carry it out. `harmed` is called after every block: for a leak that the judge must find."""
    outcome = Outcome()
    block = round(soak.block_s * soak.case.rate_hz)
    fast = FastEdge(soak.case, soak.seed, soak.scenario, block)
    with (
        EdgeApart(fast) if soak.apart else contextlib.nullcontext(fast) as edge,
        Box(soak.case, edge, data) as box,
    ):
        gauges = Gauges(box, soak.topic)
        end, every = soak.hours * 3600.0 * soak.case.rate_hz, soak.every_s * soak.case.rate_hz
        due = every
        while box.taken < end:
            box.advance()
            gauges.watch()
            harmed(box)
            if box.taken >= due:
                due += every
                row = gauges.read()
                outcome.rows.append(row)
                told(row)
                if box.faults:  # hours after it would tell nothing
                    break
                if box.folder.path is not None:
                    _make_room(box.folder.path, gauges, outcome)
        outcome.wrong += [f"fault: {fault}" for fault in box.faults]
        outcome.wrong += [f"refused {n} times: {text}" for text, n in box.refusals.items()]
        outcome.said = dict(box.heard)
        if box.lost or box.unproven or box.holes:
            lost = f"{box.lost} samples, {box.holes} messages lost"
            outcome.wrong.append(f"{lost}, {box.unproven} pulses not proven")
        recording, taken = box.folder.recording, box.taken
        if recording["lost_samples"]:
            outcome.wrong.append(f"{recording['lost_samples']} samples are not on file")
        path = box.folder.path
    if path is not None:
        _end(path, taken, outcome, removed=gauges.raw_removed_kb > 0.0)
    outcome.table, wrong = verdict(outcome.rows, soak.warm_hours, soak.bars, box_of_soak.AGAIN_S / 3600.0)
    outcome.wrong += wrong
    return outcome


def _make_room(path: Path, gauges: Gauges, outcome: Outcome) -> None:
    """Check the oldest closed segments, every sample and CRC of them, and remove them: a disk is finite."""
    for segment in segment_paths(path)[:-KEPT_SEGMENTS]:
        _checked(segment, outcome)
        for file in (segment, segment.with_suffix(".crc")):
            gauges.raw_removed_kb += file.stat().st_size / 1024.0
            file.unlink()


def _checked(segment: Path, outcome: Outcome) -> None:
    report = repair(segment)
    if report.changed or report.mismatched:
        outcome.wrong.append(f"a closed segment was not whole: {report.line}")
    with segment.open("rb") as file:
        reader = RecordingReader(file)
        if reader.first_index != outcome.checked_samples:
            outcome.wrong.append(f"{segment.name} begins at {reader.first_index}: samples are missing")
        outcome.checked_samples = reader.first_index + reader.n_samples


def _end(path: Path, taken: int, outcome: Outcome, *, removed: bool) -> None:
    """Check what is left: all of it as one record, too, where nothing was `removed` when its turn came."""
    for segment in segment_paths(path):
        _checked(segment, outcome)
    if outcome.checked_samples != taken:
        outcome.wrong.append(f"{taken} samples were taken, {outcome.checked_samples} are on file")
    if not removed and (why := check_all_records(path).why):
        outcome.wrong.append(why)
