"""The case that a host was running when it died: found, and taken up where it stood.

Owns the question whether there is one, and what of it is on record: samples, commands, proofs, the newest
checkpoint that can be read. A case goes on under its id, in a new segment; what the edge does not hold any
more is a gap. Refuses to take up a case that was closed, is recorded by another host, was made by another box
or from another case file, or is older than an interruption lasts.
"""

import contextlib
import fcntl
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hostd.blocks import MOST_PROOFS
from hostd.case import Case
from hostd.checkpoints import EDGE, Remembered, kept, memory_folder, read
from hostd.errors import EvokdError, RecordingError
from hostd.fingerprint import KEY
from hostd.frozen import FrozenError
from hostd.inputs import Inputs, Recorded
from hostd.past import recorded
from hostd.past_time import PastTime, machine_boot, on_this_clock, past_time
from hostd.recorder import Recorded as OnFile
from hostd.segments import opened, segment_paths
from hostd.stimulation import Sent
from hostd.store import reading
from hostd.store_marks import Mark, marks
from hostd.timebase import Timebase
from hw.link import Description, StimPlan, Stimulus
from hw.raw_bdf import parse_recording_field, segment_number
from hw.recording import RecordingReader, read_header
from hw.samples import SampleBlock

WITHIN_S: Final = 600.0
"""How long an interruption may last: a box that was carried away and is switched on again is another case."""
CLOCK_BACK_S: Final = 3600.0
"""A Pi without a battery clock may start with a time that lies before the last sample."""
BLOCK_S: Final = 0.5
PLAYED: Final = ("simulated", "file")
"""Sources that begin anew with their edge: another patient, not the same one later."""


@dataclass(frozen=True, slots=True)
class EdgeWas:
    """The edge that last served a case: its start (`boot`), how far the case's index is ahead of its own, and
    what is added to its times."""

    boot: int
    shift: int
    offset_ns: int


@dataclass(frozen=True, slots=True)
class Desk:
    """What the serving thread knew, as far as it goes on: tests that ran, rates that were chosen (Hz), when
    the electrodes were measured (sample), the last command number, plans sent, pulses by (command, line)."""

    running: tuple[str, ...]
    rates: dict[str, float]
    checked_at: int | None
    command: int
    sent: dict[int, Sent]
    pulses: Counter[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Resumed:
    """An interrupted case: the directory, what is on file, which checkpoint of it (`remembered` None: none
    can be read, all is computed anew), the inputs behind it, proofs that are on record already, the desk, and
    the edge as it was. `time` is on this machine's clock, and the one on record `ahead_ns` of it;
    `clocks` as `on_this_clock` takes them. `began_utc` is the exact start of the recording."""

    path: Path
    on_file: OnFile
    mark: Mark
    remembered: Remembered | None
    inputs: Inputs
    proofs: tuple[Stimulus, ...]
    commands: int
    desk: Desk
    edge: EdgeWas
    same_edge: bool
    time: PastTime
    ahead_ns: int
    clocks: dict[str, int]
    began_utc: datetime
    why: str = ""

    @property
    def begins(self) -> int:
        """The sample from which the pipeline must be fed again."""
        return self.on_file.first if self.remembered is None else self.remembered.sample

    def blocks(self, rate_hz: float) -> Iterator[SampleBlock]:
        """What is on file from `begins` on. Raises RecordingError when it cannot be read."""
        begins = self.begins
        if begins >= self.on_file.told:
            return
        try:
            with opened(_reaching(segment_paths(self.path), begins)) as (first, *further):
                reader = RecordingReader(first, further=further)
                for block in reader.blocks(max(1, round(BLOCK_S * rate_hz))):
                    if block.end_index > begins:
                        yield _behind(block, begins)
        except (OSError, ValueError) as error:
            raise RecordingError(f"{self.path}: {error}") from None

    def timebase(self, rate_hz: float) -> Timebase:
        """The time of the case up to the last sample on file."""
        told = self.time
        timebase = Timebase(rate_hz, told.delay_samples, told.anchor, told.utc_minus_t_ns)
        timebase.know(told.fitted)
        return timebase


def interrupted(
    data: Path, case: Case, description: Description, edge_boot: int
) -> tuple[Resumed | None, str]:
    """The case in `data` that is to go on with this edge, or None; and why the newest one that was never
    closed does not, or ""."""
    try:
        cases = sorted((p for p in data.iterdir() if (p / "case.sqlite").is_file()), reverse=True)
    except OSError:  # told when a case is to be made there
        return None, ""
    for path in cases:
        try:
            return _taken_up(path, case, description, edge_boot)
        except _OthersError:
            continue
        except _NotThisError as why:
            return None, f"{path.name} was never closed and is not taken up: {why}" if str(why) else ""
        except (EvokdError, sqlite3.Error, OSError, ValueError, LookupError, TypeError) as error:
            return None, f"{path.name} cannot be taken up: {error}"
    return None, ""


class _NotThisError(ValueError):
    """Why a case does not go on; empty when it was closed."""


class _OthersError(ValueError):
    """Another host records this case."""


def _taken_up(path: Path, case: Case, description: Description, edge_boot: int) -> tuple[Resumed | None, str]:
    _must_be_free(path)
    with reading(path / "case.sqlite") as database:
        settings = {k: json.loads(v) for k, v in database.execute("SELECT key, value FROM settings")}
        if KEY in settings:
            raise _NotThisError("")
        newest = _edge(path) or settings.get("edge")
        if newest is None:
            raise _NotThisError("it died within half a second, or an older evokd recorded it")
        edge = EdgeWas(*newest)
        _must_be_this(path, case, description, settings)
        by_number = marks(database)
        plans = database.execute(
            "SELECT actor, detail FROM audit WHERE action = 'stim.plan' ORDER BY n"
        ).fetchall()
        counted = database.execute(
            "SELECT command, line, count(*) FROM stimuli GROUP BY command, line"
        ).fetchall()
    paths = segment_paths(path)
    on_file = _on_file(paths)
    past, ahead_ns = on_this_clock(past_time(path / "case.sqlite"), settings["clocks"])
    same_edge = edge.boot == edge_boot
    if not same_edge and description.source in PLAYED:
        raise _NotThisError(f"its edge is gone, and a {description.source} one begins anew")
    remembered, mark, why = _newest(path, by_number, on_file)
    every, _ = recorded(path / "case.sqlite")
    behind, unproven = recorded(
        path / "case.sqlite", mark.rows.get("commands", 0), mark.rows.get("stimuli", 0)
    )
    _, proofs = recorded(path / "case.sqlite", len(every))
    known = {args["command"]: args["known"] for _, name, args in every if name == "stim.plan"}
    sent = dict(_sent(actor, json.loads(detail), known) for actor, detail in plans)
    pulses = Counter({(command, line): n for command, line, n in counted})
    found = Resumed(
        path,
        on_file,
        mark,
        remembered,
        Inputs(behind, unproven),
        proofs[-MOST_PROOFS:],
        len(every),
        _desk(every, sent, pulses),
        edge,
        same_edge,
        past,
        ahead_ns,
        settings["clocks"] | {machine_boot(): past.utc_minus_t_ns},
        datetime.fromisoformat(settings["began"]),
        why,
    )
    age_s = _age_s(found, description.rate_hz, machine_boot() in settings["clocks"])
    if not same_edge and not -CLOCK_BACK_S < age_s < WITHIN_S:
        raise _NotThisError(f"its last sample is {age_s / 60:.0f} minutes old")
    return found, why


def _edge(path: Path) -> list[int] | None:
    """What was noted of the edge last; None where nothing can be read."""
    with contextlib.suppress(OSError, ValueError):
        where = json.loads((path / EDGE).read_text(encoding="ascii"))
        if isinstance(where, list) and len(where) == 3 and all(type(one) is int for one in where):
            return where
    return None


def _age_s(found: Resumed, rate_hz: float, same_clock: bool) -> float:
    """How long ago the last sample on file was: by the clock of this start of the machine if it saw the case,
    which nobody sets; else by the time of day."""
    t_ns, utc_ns = found.timebase(rate_hz).at(found.on_file.end - 1)
    return (time.monotonic_ns() - t_ns if same_clock else time.time_ns() - utc_ns) / 1e9


def _must_be_free(path: Path) -> None:
    """Raises _OthersError when another host records the case."""
    for segment in segment_paths(path):
        with segment.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _OthersError from None


def _must_be_this(path: Path, case: Case, description: Description, settings: dict[str, Any]) -> None:
    """Raises _NotThisError when the case is another one."""
    if (path / "case.toml").read_text(encoding="utf-8") != case.text:
        raise _NotThisError("its case file is another one")
    for key in ("source", "rate_hz", "channels", "lsb_uv", "offset_uv", "latency_offset_samples"):
        now = getattr(description, key)
        if settings[key] != (list(now) if isinstance(now, tuple) else now):
            raise _NotThisError(f"its {key} was another one")


def _on_file(paths: tuple[Path, ...]) -> OnFile:
    with opened(paths[:1]) as (file,):
        header = read_header(file)
        origin = parse_recording_field(header.recording)
    with opened(paths[-1:]) as (file,):
        reader = RecordingReader(file)
        told = reader.first_index + reader.n_samples
        end = reader.first_index + reader.n_records * header.signals[0].samples_per_record
    if origin is None or told == origin.first_index:
        raise _NotThisError("not one sample of it is on file")
    n_bytes = sum(path.stat().st_size for path in paths)
    return OnFile(header, origin.first_index, told, end, segment_number(paths[-1].name) or 1, n_bytes)


def _newest(path: Path, by_number: dict[int, Mark], on_file: OnFile) -> tuple[Remembered | None, Mark, str]:
    """The newest checkpoint that can be read and lies within the samples on file, its mark, and why others
    were passed over."""
    why: list[str] = []
    for file in kept(path, memory_folder()):
        try:
            remembered = read(file)
        except FrozenError as error:
            why.append(f"{file.name} {error}")
            continue
        mark = by_number.get(remembered.n)
        if mark is not None and mark.sample == remembered.sample <= on_file.told:
            return remembered, mark, "; ".join(why)
    why = why or ["there is none"]
    return None, Mark(), f"its checkpoints cannot be used ({'; '.join(why)}): it is computed anew"


def _desk(commands: tuple[Recorded, ...], sent: dict[int, Sent], pulses: Counter[tuple[int, int]]) -> Desk:
    """What the commands of a case leave behind them."""
    running: dict[str, None] = {}
    rates: dict[str, float] = {}
    checked_at = None
    for index, name, args in commands:
        match name:
            case "test.start":
                running[args["test"]] = None
            case "test.stop":
                running.pop(args["test"], None)
            case "test.rate":
                rates[args["test"]] = args["rate_hz"]
            case "impedance.result":
                checked_at = index
    numbers = [*sent, *(command for command, _ in pulses)]
    return Desk(tuple(running), rates, checked_at, max(numbers, default=0), sent, pulses)


def _sent(actor: str, detail: dict[str, Any], known: dict[int, bool]) -> tuple[int, Sent]:
    """A plan as the audit has it; `known`: whether its current was stated."""
    test, control = detail.pop("test"), detail.pop("control", False)
    plan = StimPlan(**detail)
    return plan.command, Sent(test, plan, actor, known.get(plan.command, False), control)


def _reaching(paths: tuple[Path, ...], index: int) -> tuple[Path, ...]:
    """The segments from the one on that holds `index`."""
    start = 0
    for k, path in enumerate(paths):
        with path.open("rb") as file, contextlib.suppress(ValueError):
            origin = parse_recording_field(read_header(file).recording)
            if origin is not None and origin.first_index <= index:
                start = k
    return paths[start:]


def _behind(block: SampleBlock, first: int) -> SampleBlock:
    """`block` without what lies before sample `first`."""
    skip = first - block.first_index
    if skip <= 0:
        return block
    counts, bits = block.counts[skip:], block.trigger_bits[skip:]
    return replace(block, first_index=first, counts=counts, trigger_bits=bits, gaps=())
