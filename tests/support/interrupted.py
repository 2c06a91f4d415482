"""A host in lockstep that dies as a killed one does, and the one that takes up its case."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsp.triggers import EdgeFinder
from hostd import casefile
from hostd.blocks import ProofsOnce
from hostd.case import Case
from hostd.case_folder import CaseFolder
from hostd.intake import End
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.processing import Command, Processing
from hostd.repair import repair_unclosed
from hostd.resume import Resumed, _behind, interrupted
from hostd.score.bedside import describe, recording
from hostd.timebase import Timebase, filter_delay
from hw.link import Description, Stimulus
from hw.model.patient import Patient
from hw.samples import SampleBlock
from tests.support.recorded import QUIET, SHOTS, TEXT

EDGE = 4711
SECONDS = 11.0
Given = SampleBlock | Stimulus


class Bus:
    """Where the bus stands: what is posted is done at once."""

    raw_wanted = False

    def __init__(self) -> None:
        self.said: list[Outgoing] = []

    def post(self, *items: Any) -> None:
        for item in items:
            if isinstance(item, Outgoing):
                self.said.append(item)
            else:
                item()


class Host:
    """Samples and commands in, by hand; `died` and `closed` are the two ends."""

    def __init__(
        self, data: Path, case: Case, description: Description, resumed: Resumed | None = None
    ) -> None:
        self.case, self.description, self.resumed = case, description, resumed
        case_id = "case" if resumed is None else resumed.path.name
        self.bus = Bus()
        self.folder = CaseFolder(data, case_id, case, description, resumed)
        self.folder.edge(EDGE, 0, 0)
        if resumed is None:
            pipeline = Pipeline(case, description)
            timebase = Timebase(description.rate_hz, filter_delay(description), (0, time.monotonic_ns()))
        else:
            remembered = resumed.remembered
            pipeline = Pipeline(case, description) if remembered is None else remembered.pipeline
            timebase = resumed.timebase(description.rate_hz)
        of: Any = (pipeline, queue.Queue(), threading.Event(), self.bus, self.folder, timebase, description)
        self.processing = Processing(*of, resumed)
        self._given = 0
        self.proven = ProofsOnce(() if resumed is None else resumed.proofs)
        if resumed is not None:
            self.processing._take_up(resumed)

    @property
    def index(self) -> int:
        return self.processing.index

    def command(self, name: str, **args: Any) -> None:
        refused: list[str | None] = []
        self.processing._process(Command(name, {"author": ""} | args, refused.append))
        assert not [text for text in refused if text], refused

    def start(self) -> None:
        for number, test in enumerate(self.case.tests, start=1):
            self.command("test.start", test=test.name)
            if test.stimulus_hz:
                plan = {"command": number, "current_ma": 20.0, "width_us": 200, "known": True}
                self.command("stim.plan", test=test.name, repeats=True, control=False, **plan)

    def give(self, given: Sequence[Given]) -> None:
        """What the edge gives: samples not yet on file, proofs not yet taken."""
        begins = 0 if self.resumed is None else self.resumed.on_file.end
        for item in given:
            if isinstance(item, Stimulus):
                if self.proven.take(item):
                    self.processing._process(item)
            elif item.end_index > max(begins, self._given):
                block = _behind(item, max(begins, self._given))
                self._given = block.end_index
                self.folder.append(block)
                self.processing._process(block)

    def remember(self) -> None:
        """The next block is followed by a checkpoint."""
        self.processing._memory._next_index = self.processing._memory._next_ns = 0

    def not_yet(self) -> None:
        """No checkpoint before `remember`."""
        self.processing._memory._next_index = 1 << 60

    def lose_commits(self) -> None:
        """From here on nothing comes to the database's file any more: it will have died before the commit."""
        store = self.folder._store
        assert store is not None
        store._queue = lambda row: None  # type: ignore[method-assign]

    def died(self) -> Path:
        """As a process that is killed: nothing is finished, what was written stays."""
        recorder, store, path = self.folder._recorder, self.folder._store, self.folder.path
        assert recorder is not None and store is not None and path is not None
        if not recorder._closed:
            recorder._file.abandon()
        store._rows.put(None)
        store._thread.join()
        store._database.close()
        kept = self.processing._memory._kept
        assert kept is not None
        kept.close(over=False)
        return path

    def closed(self) -> Path:
        """To the case's end, as a host does it that is told to close."""
        assert self.folder.path is not None
        self.processing._take_up = lambda resumed: None  # type: ignore[method-assign]
        self.processing._items.put(End())
        self.processing._run()
        assert self.processing.failure is None
        return self.folder.path


def case() -> tuple[Case, Description]:
    """A short case with all kinds of tests, and its edge."""
    made = casefile.parse(TEXT, "interrupted.toml")
    return made, describe(made)


def given(made: Case, seconds: float = SECONDS) -> list[Given]:
    """All that an edge gives of it: blocks, and before each the proofs of its pulses."""
    lines = {test.line: (k, test) for k, test in enumerate(made.tests, start=1)}
    counts: Counter[int] = Counter()
    finder, began_ns = EdgeFinder(), time.monotonic_ns()
    out: list[Given] = []
    for block in recording(
        made, Patient(made.channels, made.rate_hz, 1, scenario=QUIET), describe(made), seconds, 1, True, SHOTS
    ):
        for edge in finder.find(block):
            k, plan = lines[edge.line]
            number, pulse = divmod(counts[edge.line], plan.stimulus.pulses)
            counts[edge.line] += 1
            out.append(Stimulus(k, k, number + 1, edge.line, edge.index - 1, edge.index, pulse + 1))
        out.append(replace(block, t_ns=began_ns + round(block.end_index * 1e9 / made.rate_hz)))
    return out


def taken_up(data: Path, made: Case, description: Description, edge: int = EDGE) -> tuple[Host | None, str]:
    """The host that is started after one that died, and why it takes up no case."""
    repair_unclosed(data)
    resumed, why = interrupted(data, made, description, edge)
    return (None if resumed is None else Host(data, made, description, resumed)), why
