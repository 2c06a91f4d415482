"""What must be true of a box whatever befell it, from the board's side of it and from the files alone.

Knows what was converted, what rose and what was asked for (`stage.py`), and reads the recordings as anybody
would. Uses none of the product's accounts of itself but the names of gaps on file.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hostd.errors import RecordingError
from hostd.repair import repair_all
from hostd.segments import opened, segment_paths
from hw.limits import HEARTBEAT_TIMEOUT_S, SHOT_WAIT_S
from hw.recording import RecordingReader
from hw.samples import SampleBlock
from tests.faults.box_edge import PER_START, Rise, counts_of
from tests.faults.stage import RATE_HZ, Asked, Life, Stage, case
from tests.faults.unavoidable import kept
from tests.support import strict_bdf

INVERSE = pow(2654435761, -1, 1 << 24)
SILENCE_NS = round(HEARTBEAT_TIMEOUT_S * 1e9)
SOON_NS = 60_000_000
"""A step of the sequencer, the way of a command, a busy scheduler."""
BENT_NS = 900_000_000
"""A stop that broke on the way is said again until it is answered."""
LOOKED_NS = 400_000_000
ON_RECORD_NS = 1_500_000_000
"""The first half second of a case is not committed yet: nobody can take it up."""
TROUBLE_S = 8.0
"""No trouble of the link lasts so long: a ring that holds more loses nothing."""


@dataclass(slots=True)
class Verdict:
    """What was wrong, in words; and figures of one run."""

    wrong: list[str] = field(default_factory=list)
    uncommanded: int = 0
    uncounted: int = 0
    unopened: int = 0
    pulses: int = 0
    samples: int = 0
    lost: int = 0
    bearable: int = 0
    tail: int = 0
    unanswered: int = 0
    stops_ms: list[float] = field(default_factory=list)


def judge(stage: Stage) -> Verdict:
    """All of it, once the stage is still."""
    verdict = Verdict(wrong=[f"crash: {text}" for text in stage.world.crashes])
    for life in stage.hosts:
        if life.why and life.bus is not None and not (stage.disk.until_ns and ".bdf" in life.why):
            verdict.wrong.append(f"a host ended by itself: {life.why}")
    _pulses(stage, verdict)
    _answers(stage, verdict)
    _resumed(stage, verdict)
    verdict.bearable = bearable(stage)
    for life in stage.hosts:
        if life.pipeline is not None and life.pipeline.torn:
            verdict.uncounted += len(life.pipeline.torn)
            verdict.wrong.append(f"a gap that nobody named reached the pipeline at {life.pipeline.torn[0]}")
    for folder in sorted(path for path in stage.data.iterdir() if path.is_dir()):
        _recording(stage, folder, verdict)
    if verdict.lost > verdict.bearable:
        verdict.wrong.append(f"{verdict.lost} samples lost, {verdict.bearable} could not be helped")
    return verdict


def bearable(stage: Stage) -> int:
    """How many samples may be lost at most, given what befell the box: what an edge that was not there or
    stood still could not read, what a cable lost, what died with those who alone had it (`unavoidable`);
    nothing for a host that hung or a link that was cut as long as the edge's ring holds it."""
    lost_ns = 0
    for life, later in itertools.pairwise(stage.edges):
        back = stage.boards[stage.edges.index(later)].began_ns or stage.world.now_ns
        lost_ns += back - (life.ended_ns or back) + LOOKED_NS
    lost_ns += sum(kept(stage, life).lost_ns for life in stage.edges[:-1])  # behind the last one is no gap
    lost_ns += sum(to_ns - from_ns + SOON_NS for life in stage.edges for from_ns, to_ns in life.stops)
    for from_ns, to_ns, what in stage.troubles:
        in_ring = what in ("cut", "still") and not (what == "cut" and stage.cable.serial)
        lost_ns += 0 if in_ring and stage.ring_s > TROUBLE_S else to_ns - from_ns + 2 * SOON_NS
    if stage.ring_s <= TROUBLE_S:
        lost_ns += sum(to_ns - from_ns for life in stage.hosts for from_ns, to_ns in life.stops)
    return round(lost_ns * RATE_HZ / 1e9)


def _resumed(stage: Stage, verdict: Verdict) -> None:
    """A host that was killed is followed by one that goes on with its case, unless it was not yet on
    record, the disk refused, or a simulated patient began anew with its edge."""
    for before, after in itertools.pairwise(stage.hosts):
        if before.why is not None or before.bus is None or after.bus is None or stage.disk.until_ns:
            continue
        began_ns = min(h.began_ns for h in stage.hosts if h.bus and h.bus.case_id == before.bus.case_id)
        known = (before.ended_ns or 0) - began_ns > ON_RECORD_NS
        new_edge = any(began_ns < e.began_ns < after.began_ns + ON_RECORD_NS for e in stage.edges)
        if known and not (stage.free and new_edge) and before.bus.case_id != after.bus.case_id:
            verdict.wrong.append(f"case {before.bus.case_id} was left by the next host")


def _pulses(stage: Stage, verdict: Verdict) -> None:
    """Every rise was asked for, and none comes after what must end it."""
    verdict.pulses = len(stage.rises)
    for rise in stage.rises:
        if not any(_allows(stage, ask, rise) for ask in _reasons(stage, rise)):
            verdict.uncommanded += 1
            verdict.wrong.append(f"line {rise.line} rose at {rise.t_ns / 1e9:.4f} s and nobody asked for it")
    verdict.stops_ms = [ms for life in stage.hosts if (ms := _stopped_ms(stage, life)) is not None]


def _stopped_ms(stage: Stage, life: Life) -> float | None:
    """From the death of a host to the last pulse that was its; None where nothing stimulated before it or the
    edge did not live on."""
    died_ns = life.ended_ns
    if died_ns is None or life.why is not None:
        return None
    lived = any(e.began_ns < died_ns and (e.ended_ns or 1 << 62) > died_ns + LOOKED_NS for e in stage.edges)
    busy = any(died_ns - LOOKED_NS < r.t_ns < died_ns for r in stage.rises)
    if not (lived and busy):
        return None
    next_ns = min((h.began_ns for h in stage.hosts if h.began_ns >= died_ns), default=1 << 62)
    after = [r.t_ns for r in stage.rises if died_ns < r.t_ns < next_ns]
    return (max(after) - died_ns) / 1e6 if after else 0.0


def _reasons(stage: Stage, rise: Rise) -> list[Asked]:
    """Requests before a rise that may have led to it; a simulated box starts its tests by itself."""
    test = case().tests[rise.line - 1].name if rise.line <= len(case().tests) else ""
    asked = [a for a in stage.asked if a.command in ("test.start", "stim.fire") and a.test == test]
    if stage.free:
        asked += [Asked("test.start", test, life.began_ns, k) for k, life in enumerate(stage.hosts)]
    return [a for a in asked if a.sent_ns <= rise.t_ns]


def _allows(stage: Stage, ask: Asked, rise: Rise) -> bool:
    """Whether what `ask` began may still go on when `rise` came."""
    host, edge = stage.hosts[ask.host], stage.edges[rise.start]
    ends = [] if host.ended_ns is None else [host.ended_ns + SILENCE_NS]
    ends += [at_ns for at_ns, ok, _ in ask.answers if not ok]
    begun_ns = min((at_ns for at_ns, ok, _ in ask.answers if ok), default=None)
    if begun_ns is not None:
        ends += [edge.began_ns] if edge.began_ns > begun_ns else []
        ends += [s + SILENCE_NS for s, e in host.stops if e - s > 2 * SILENCE_NS and s > begun_ns]
        for from_ns, to_ns, what in stage.troubles:
            if from_ns > begun_ns and (
                (what == "cut" and not stage.cable.serial) or to_ns - from_ns > LOOKED_NS
            ):
                ends += [from_ns + SILENCE_NS] if what in ("cut", "still") else []
    for stop in stage.asked:
        stops = stop.command == "stim.stop" or (stop.command == "test.stop" and stop.test == ask.test)
        if stops and stop.sent_ns > ask.sent_ns:
            since = [at_ns for at_ns, ok, _ in stop.answers if ok and (begun_ns is None or at_ns > begun_ns)]
            ends += since
    if ask.command == "stim.fire" and begun_ns is not None:
        ends.append(begun_ns + round(SHOT_WAIT_S * 1e9))
    return all(rise.t_ns <= end_ns + _slack_ns(stage, end_ns, rise) for end_ns in ends)


def _slack_ns(stage: Stage, end_ns: int, rise: Rise) -> int:
    """How long an end may take to reach the lines: what holds up link or edge meanwhile counts."""
    slack = SOON_NS
    for from_ns, to_ns, what in stage.troubles:
        if from_ns - BENT_NS < end_ns < to_ns + BENT_NS:
            slack = max(slack, SOON_NS + BENT_NS if what == "bent" else SOON_NS + SILENCE_NS)
    for from_ns, to_ns in stage.edges[rise.start].stops:
        if from_ns - SOON_NS < end_ns < to_ns + SOON_NS:
            slack = max(slack, to_ns - end_ns + SOON_NS + SILENCE_NS)
    return slack


def _answers(stage: Stage, verdict: Verdict) -> None:
    """No request has two answers; and one where the host lived and the link was whole."""
    bent = any(what == "bent" or stage.cable.serial for _, _, what in stage.troubles)
    for ask in stage.asked:
        host = stage.hosts[ask.host]
        if len(ask.answers) > 1:
            verdict.wrong.append(f"{ask.command} has {len(ask.answers)} answers")
        if ask.answers and ask.answers[0][1] and ask.command == "test.start" and not stage.free:
            _armed(stage, ask, verdict)
        lived = host.ended_ns is None or host.ended_ns - ask.sent_ns > 8_000_000_000
        if not ask.answers and lived and stage.world.now_ns - ask.sent_ns > 8_000_000_000:
            verdict.unanswered += 1
            if not bent:
                verdict.wrong.append(f"{ask.command} at {ask.sent_ns / 1e9:.3f} s was never answered")


def _armed(stage: Stage, start: Asked, verdict: Verdict) -> None:
    """On hardware a test starts only when it was armed, at this host."""
    arms = [
        a for a in stage.asked if a.command == "stim.arm" and (a.test, a.host) == (start.test, start.host)
    ]
    if not any(arm.sent_ns < start.answers[0][0] for arm in arms):
        verdict.wrong.append(f"{start.test} started and was never armed")


def _recording(stage: Stage, folder: Path, verdict: Verdict) -> None:
    """The files of one case: they open, every sample on file is the one that was converted at its place, and
    every place between the first and the last holds one or the name of what is missing."""
    if not (folder / "raw.bdf").exists() or not _opens(folder, verdict):
        return
    place: dict[int, int] = {}
    held: list[np.ndarray] = []
    at = None
    try:
        with opened(segment_paths(folder)) as (first, *further):
            blocks = list(RecordingReader(first, further=further).blocks(1 << 15))
    except (RecordingError, ValueError, OSError) as error:
        verdict.unopened += 1
        verdict.wrong.append(f"{folder.name}: {error}")
        return
    for block in blocks:
        for gap in block.gaps:
            if at is not None and gap.index != at:
                verdict.uncounted += 1
                verdict.wrong.append(f"{folder.name}: a gap at {gap.index}, expected {at}")
            at = gap.index + gap.length
            verdict.lost += gap.length
        if at is not None and block.first_index != at:
            verdict.uncounted += abs(block.first_index - at)
            verdict.wrong.append(f"{folder.name}: a block at {block.first_index}, expected {at}")
        at = block.end_index
        verdict.samples += len(block.counts)
        _true(stage, folder, block.first_index, block.counts, block.trigger_bits, place, verdict)
        held.append(_named(block))
    if held:
        _missing(stage, folder, np.concatenate(held), place, verdict)


def _named(block: SampleBlock) -> np.ndarray:
    """(n, 3): position, start and index of each sample of a block."""
    named = (block.counts[:, 0].astype(np.int64) + (1 << 23)) * INVERSE % (1 << 24)
    rows = np.arange(block.first_index, block.end_index)
    return np.stack([rows, *np.divmod(named, PER_START)], axis=1)


def _missing(stage: Stage, folder: Path, held: np.ndarray, place: dict[int, int], verdict: Verdict) -> None:
    """No place of a sample that is not on file is taken by another, and the end of a start is not left out
    where a later one is on file."""
    starts = {int(position): int(start) for position, start, _ in held}
    for start, shift in place.items():
        made = np.arange(stage.boards[start].made) + shift
        taken = sum(starts.get(int(p), start) != start for p in made if p >= held[0, 0])
        if taken:
            verdict.uncounted += taken
            verdict.wrong.append(
                f"{folder.name}: {taken} samples of start {start} are neither there nor named"
            )


def _opens(folder: Path, verdict: Verdict) -> bool:
    """Whether repair and the strict rules take every file that has a record."""
    try:
        reports = repair_all(folder)
        if any(report.fault or report.mismatched for report in reports):
            raise RecordingError("; ".join(report.line for report in reports))
        for path in segment_paths(folder):
            if path.name == "raw.bdf" and reports[0].records == 0:
                return False
            strict_bdf.check(path)
    except (AssertionError, RecordingError, ValueError, OSError) as error:
        verdict.unopened += 1
        verdict.wrong.append(f"{folder.name} does not open: {error}")
        return False
    return True


def _true(
    stage: Stage,
    folder: Path,
    first: int,
    counts: np.ndarray,
    bits: np.ndarray,
    place: dict[int, int],
    verdict: Verdict,
) -> None:
    """Samples name themselves: each start of the edge stands at one place of the case."""
    named = (counts[:, 0].astype(np.int64) + (1 << 23)) * INVERSE % (1 << 24)
    starts, index = np.divmod(named, PER_START)
    for start in np.unique(starts):
        rows = np.flatnonzero(starts == start)
        shift = first + rows - index[rows]
        if not (shift == place.setdefault(int(start), int(shift[0]))).all():
            verdict.uncounted += len(rows)
            verdict.wrong.append(f"{folder.name}: samples of start {start} stand at two places")
        lo, n = int(index[rows[0]]), len(rows)
        whole = np.array_equal(index[rows], np.arange(lo, lo + n))
        if whole and not np.array_equal(counts[rows], counts_of(int(start), lo, n)):
            verdict.uncounted += n
            verdict.wrong.append(f"{folder.name}: counts at {first} are not what was converted")
        if not whole:
            verdict.uncounted += n
            verdict.wrong.append(f"{folder.name}: samples of start {start} are out of order at {first}")
        if not stage.bits_spoilt and whole:
            _shown(stage, int(start), lo, bits[rows], verdict)


def _shown(stage: Stage, start: int, lo: int, bits: np.ndarray, verdict: Verdict) -> None:
    """What rose is seen in the samples, and nothing else is."""
    for line in range(1, 5):
        seen = {lo + 1 + int(k) for k in np.flatnonzero(np.diff((bits >> (line - 1) & 1).astype(int)) == 1)}
        rose = {r.index + 1 for r in stage.rises if r.start == start and r.line == line}
        inside = {k for k in rose if lo < k < lo + len(bits)}
        if not seen <= rose or not inside <= seen:
            odd = sorted(seen ^ inside)
            verdict.uncommanded += len(odd)
            verdict.wrong.append(
                f"line {line}: pulses in the samples at {odd[:5]} are not those that went out"
            )
