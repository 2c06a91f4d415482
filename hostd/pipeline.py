"""Samples and timed commands in, messages out: the same live and in replay.

Owns the tests of a case, the triggers found in the samples, and the proofs of stimulation. Knows no socket,
no file and no clock; `feed` and `command` are called by one thread in order of sample index.
"""

from typing import Any

from dsp.stream import Scale
from dsp.triggers import EdgeFinder
from hostd.case import Case
from hostd.evoked import Evoked
from hostd.leads import COMMANDS as LEAD_COMMANDS
from hostd.leads import REASON, Leads
from hostd.outgoing import Outgoing
from hw.link import NOT_SEEN, Description, Stimulus
from hw.samples import SampleBlock


class Pipeline:
    """Runs a case's tests over a stream described by `description`.

    Raises ValueError when a test does not fit the stream.
    """

    def __init__(self, case: Case, description: Description) -> None:
        scale = Scale(description.lsb_uv, description.offset_uv)
        offset = description.latency_offset_samples
        self.tests = {p.name: Evoked(p, description.rate_hz, scale, offset) for p in case.tests}
        self._by_line = {p.line: p for p in case.tests}
        self._edges = EdgeFinder()
        self.leads = Leads(len(description.channels))
        self._proofs: dict[tuple[int, int], Stimulus] = {}
        self._max_rows = min((t.stream.max_block for t in self.tests.values()), default=1 << 16)
        # Until then every sweep of an earlier stimulus is whole, whatever is interpolated behind it.
        self._told_after = 2 * max((t.stream.max_block for t in self.tests.values()), default=0)
        self._untold: list[tuple[int, int, Outgoing]] = []
        self.next_index: int | None = None
        self.samples = self.lost_samples = self.gaps = 0

    def prove(self, stimulus: Stimulus) -> list[Outgoing]:
        """Take the edge's proof of one pulse; told when its sample comes, or at once if none will."""
        if stimulus.seen == NOT_SEEN:
            return [self._stim(stimulus.line, stimulus.commanded, stimulus)]
        self._proofs[stimulus.seen, stimulus.line] = stimulus
        return []

    def feed(self, block: SampleBlock) -> list[Outgoing]:
        """Process the next block, gaps before it first."""
        messages: list[Outgoing] = []
        if self.next_index is None or block.gaps:
            self.lost_samples += sum(g.length for g in block.gaps)
            self.gaps += len(block.gaps)
            for order, test in enumerate(self.tests.values()):
                messages += self._told(order, test.restart(block.first_index))
        triggers = self._edges.find(block)
        for trigger in triggers:
            proof = self._proofs.pop((trigger.index, trigger.line), None)
            if trigger.line in self._by_line:
                messages.append(self._stim(trigger.line, trigger.index, proof))
        for start in range(0, len(block.counts), self._max_rows):
            first, end = block.first_index + start, block.first_index + start + self._max_rows
            inside = [t for t in triggers if first <= t.index < end]
            for order, test in enumerate(self.tests.values()):
                rows = block.counts[start : start + self._max_rows]
                messages += self._told(order, test.append(rows, inside))
        self.samples += len(block.counts)
        self.next_index = block.end_index
        self._proofs = {k: v for k, v in self._proofs.items() if k[0] >= block.end_index}
        return messages + self._due(block.end_index - self._told_after)

    def command(self, name: str, args: dict[str, Any]) -> list[Outgoing]:
        """Carry out one command now, between two samples. Raises ValueError when it cannot be."""
        index = self.next_index or 0
        if name == "mark":
            fields = {"text": args["text"], "kind": args["kind"], "author": args["author"]}
            return [Outgoing("event", index, fields)]
        if name in LEAD_COMMANDS:
            if name == "impedance.span":
                for one in self.tests.values():
                    one.exclude(args["first_index"], args["end_index"], REASON)
            return self.leads.told(name, args, index)
        test = self.tests[args["test"]]
        messages: list[Outgoing] = []
        match name:
            case "test.start":
                test.start()
            case "test.stop":
                test.stop()
            case "baseline.set":
                messages = test.set_baseline(index)
            case "baseline.clear":
                messages = test.clear_baseline(index)
            case _:
                raise ValueError(f"{name} is no command of the pipeline")
        fields = {"text": f"{name} {args['test']}", "kind": name, "author": args["author"]}
        return [*messages, Outgoing("event", index, fields)]

    def finish(self) -> list[Outgoing]:
        """The samples have ended: say what was not said yet."""
        tests = enumerate(self.tests.values())
        ended = [m for order, test in tests for m in self._told(order, test.finish())]
        return ended + self._due(self.next_index or 0)

    def _told(self, order: int, messages: list[Outgoing]) -> list[Outgoing]:
        """`messages` of one test without its events: these share a topic, so their order must not hang on
        how the samples were cut into blocks. They wait for `_due`."""
        self._untold += [(m.index, order, m) for m in messages if m.topic == "event"]
        return [m for m in messages if m.topic != "event"]

    def _due(self, index: int) -> list[Outgoing]:
        """Events of the tests up to sample `index`, in order of sample, then of test."""
        due = sorted((e for e in self._untold if e[0] <= index), key=lambda e: e[:2])
        self._untold = [e for e in self._untold if e[0] > index]
        return [message for _, _, message in due]

    def _stim(self, line: int, index: int, proof: Stimulus | None) -> Outgoing:
        plan = self._by_line.get(line)
        seen = proof is None or proof.seen != NOT_SEEN
        fields = {
            "test": plan.name if plan else None,
            "site": plan.site if plan else None,
            "line": line,
            "command_id": proof.command if proof else None,
            "number": proof.number if proof else None,
            "verified": seen,
            "lag_samples": proof.seen - proof.commanded if proof and seen else None,
        }
        return Outgoing("stim", index, fields)
