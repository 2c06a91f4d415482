"""Samples and timed commands in, messages out: the same live and in replay.

Owns the tests of a case, the triggers found in the samples, and the proofs of stimulation. Knows no socket,
no file and no clock; `feed` and `command` are called by one thread in order of sample index.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from dsp import kernels
from dsp.electrosurgery import Change
from dsp.nouns import Trigger
from dsp.stream import Scale
from dsp.triggers import EdgeFinder
from hostd import storage
from hostd.alerts import Alerts
from hostd.case import Case
from hostd.delivery import STOPPING, Delivery
from hostd.evoked import Evoked
from hostd.leads import COMMANDS as LEAD_COMMANDS
from hostd.leads import REASON, Leads
from hostd.mains import MainsWatch
from hostd.outgoing import Outgoing
from hostd.responses import Responses
from hostd.running import RunningTest
from hostd.surgery import ELECTROSURGERY, SurgeryWatch
from hostd.tof import Tof
from hostd.trains import Trains
from hostd.watches import Watches
from hw.chips import COUNTS_MAX
from hw.limits import RETURN_WITHIN_SAMPLES
from hw.link import NOT_SEEN, Description, Stimulus
from hw.samples import SampleBlock

STIMULUS_FAULT = "stimulus fault"
TRANSCRANIAL = "transcranial stimulus"
_KINDS: dict[str, type[Evoked] | type[Responses] | type[Tof]] = {
    "average": Evoked,
    "response": Responses,
    "tof": Tof,
}
_SHARED = ("event", "tof")
"""Topics that tests share: their order must not hang on how the samples were cut into blocks."""


class Pipeline:
    """Runs a case's tests over a stream described by `description`.

    Raises ValueError when a test does not fit the stream.
    """

    def __init__(self, case: Case, description: Description) -> None:
        scale = Scale(description.lsb_uv, description.offset_uv)
        offset = description.latency_offset_samples
        rate_hz = description.rate_hz
        self.tests: dict[str, RunningTest] = {
            p.name: _KINDS[p.kind](p, rate_hz, scale, offset) for p in case.tests
        }
        # Trains of four first: what they allow is asked by the others.
        self._order = sorted(enumerate(self.tests.values()), key=lambda one: one[1].plan.kind != "tof")
        self._by_line = {p.line: p for p in case.tests}
        self._by_line |= {p.stimulus.alternate_line: p for p in case.tests if p.stimulus.alternate_line}
        self._edges = EdgeFinder()
        self._artifact_rows = {
            p.line: 1 + round(p.blank_ms * rate_hz / 1e3)
            for p in case.tests
            if p.stimulus.kind == "transcranial"
        }
        self._trains = Trains(case.tests, rate_hz)
        self.leads = Leads(len(description.channels))
        self.alerts = Alerts()
        self._delivery = Delivery(case, description)
        monitors = [] if case.monitor is None else [case.monitor.current, case.monitor.voltage]
        self._body = np.array([k for k, c in enumerate(description.channels) if c not in monitors], np.int64)
        self._lsb_uv = np.array(description.lsb_uv)[self._body]
        self._offset_uv = np.array(description.offset_uv)[self._body]
        periods = {p.name: round(rate_hz / p.stimulus_hz) for p in case.tests if p.stimulus_hz}
        self._mains = MainsWatch(rate_hz, periods)
        rail_uv = float(np.max(self._lsb_uv, initial=0.0)) * (COUNTS_MAX - 0.5)
        self._surgery = SurgeryWatch(rate_hz, len(self._body), rail_uv)
        self._proofs: dict[tuple[int, int], Stimulus] = {}
        self._newest: dict[str, int] = {}
        self.watches = Watches(case, rate_hz, scale)
        most = (t.max_block for t in self.tests.values())
        self._max_rows = min(self.watches.max_block, *most) if self.tests else self.watches.max_block
        # Until then every sweep of an earlier stimulus is whole, whatever is interpolated behind it.
        self._told_after = 2 * max((t.history for t in self.tests.values()), default=0)
        self._untold: list[tuple[int, int, Outgoing]] = []
        self._undelivered: list[tuple[Trigger, Stimulus | None]] = []
        self.next_index: int | None = None
        self.samples = self.lost_samples = self.gaps = 0

    def prove(self, stimulus: Stimulus) -> list[Outgoing]:
        """Take the edge's proof of one pulse; told when its sample comes, or the last one that it might have
        been, so that the order of `stim` messages does not hang on when proofs arrive."""
        if stimulus.seen == NOT_SEEN:
            trigger = Trigger(stimulus.commanded, stimulus.line, stimulus.pulse)
            self._undelivered.append((trigger, stimulus))
        else:
            self._proofs[stimulus.seen, stimulus.line] = stimulus
        return []

    def feed(self, block: SampleBlock) -> list[Outgoing]:
        """Process the next block, gaps before it first."""
        messages: list[Outgoing] = []
        if self.next_index is None or block.gaps:
            self.lost_samples += sum(g.length for g in block.gaps)
            self.gaps += len(block.gaps)
            messages += self._pulses_until(block.first_index, block.first_index)
            self._delivery.restart(block.first_index)
            for order, test in enumerate(self.tests.values()):
                messages += self._told(order, test.restart(block.first_index))
            messages += self._told(len(self.tests), self.watches.restart(block.first_index))
        triggers = self._triggers(block)
        cuts = self._looked_at(block)
        start = 0
        while start < len(block.counts):
            end = min(start + self._max_rows, len(block.counts))
            if cuts:
                end = min(end, cuts[0].index - block.first_index)
            messages += self._feed_rows(block, start, end, triggers)
            while cuts and cuts[0].index - block.first_index <= end:
                messages += self._take(cuts.pop(0))
            start = end
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
                self._exclude(args["first_index"], args["end_index"], REASON)
            return self.leads.told(name, args, index)
        match name:
            case "stim.plan":
                self._delivery.planned(args)
                self.tests[args["test"]].planned(args)
                if args.get("repeats"):
                    self._newest[args["test"]] = args["command"]
                return []
            case "stim.fault":
                return self._fault(index, args)
            case storage.COMMAND:
                return storage.told(self.alerts, index, args)
            case "alert.acknowledge":
                return self.alerts.acknowledge(index, args["id"], args["author"])
        if args["test"] not in self.tests:
            messages = self.watches.baseline(name, args["test"], index)
            return [*messages, _event(index, name, args)]
        test = self.tests[args["test"]]
        messages = []
        match name:
            case "test.start":
                test.start()
            case "test.stop":
                test.stop()
            case "test.rate":
                messages = test.change_rate(args["rate_hz"], index)
                self._mains.set_period(args["test"], args["period"])
            case "baseline.set":
                messages = test.set_baseline(index)
            case "baseline.clear":
                messages = test.clear_baseline(index)
            case _:
                raise ValueError(f"{name} is no command of the pipeline")
        return [*messages, _event(index, name, args)]

    def finish(self) -> list[Outgoing]:
        """The samples have ended: say what was not said yet."""
        tests = enumerate(self.tests.values())
        ended = self._pulses_until(None)
        ended += [m for order, test in tests for m in self._told(order, test.finish())]
        ended += self._told(len(self.tests), self.watches.finish())
        return ended + self._due(self.next_index or 0)

    def _triggers(self, block: SampleBlock) -> list[Trigger]:
        """The stimuli in a block, each pulse with its place in its train; their `stim` messages are due."""
        triggers = []
        for found in self._edges.find(block):
            proof = self._proofs.pop((found.index, found.line), None)
            pulse = self._trains.pulse(found, None if proof is None else proof.pulse)
            trigger = replace(found, pulse=0 if self._is_old(proof, found.line) else pulse)
            triggers.append(trigger)
            if trigger.line in self._by_line:
                self._delivery.pulsed(trigger.index)
                self._undelivered.append((trigger, proof))
        return triggers

    def _is_old(self, proof: Stimulus | None, line: int) -> bool:
        """Whether a pulse is of a plan that another one has replaced: on another grid than the average's."""
        plan = self._by_line.get(line)
        return proof is not None and plan is not None and proof.command < self._newest.get(plan.name, 0)

    def _feed_rows(self, block: SampleBlock, start: int, end: int, triggers: list[Trigger]) -> list[Outgoing]:
        first, last = block.first_index + start, block.first_index + end
        inside = [t for t in triggers if first <= t.index < last]
        rows = block.counts[start:end]
        self._delivery.append(rows)
        messages = self._pulses_until(last)
        for trigger in inside:
            self._keep_from_averages(trigger)
        for order, test in self._order:
            messages += self._told(order, test.append(rows, inside))
            if isinstance(test, Tof):
                self._hold_gates(test)
        return messages + self._told(len(self.tests), self.watches.append(rows, inside))

    def _hold_gates(self, of: Tof) -> None:
        """What a train of four allows is known to the tests that ask it."""
        for index, gates in of.new_gates():
            for test in self.tests.values():
                if isinstance(test, Responses) and test.asks == of.plan.name:
                    test.gated(index, gates)

    def _looked_at(self, block: SampleBlock) -> list[Change | Outgoing]:
        """What the whole block shows of electrosurgery and mains, in order of the samples where it counts."""
        body_uv, mean_uv = np.empty((len(block.counts), len(self._body))), np.empty(len(block.counts))
        if not len(self._body):
            return []
        counts = np.ascontiguousarray(block.counts)
        kernels.microvolts(counts, self._body, self._lsb_uv, self._offset_uv, body_uv, mean_uv)
        mains = self._mains.append(block.first_index, mean_uv)
        self._untold += [(message.index, len(self.tests), message) for message in mains]
        seen: list[Change | Outgoing] = [*mains, *self._surgery.append(block.first_index, body_uv)]
        return sorted(seen, key=lambda one: one.index)

    def _take(self, seen: Change | Outgoing) -> list[Outgoing]:
        """What was seen counts from here on: mains to guard against, samples to keep out of averages."""
        if isinstance(seen, Outgoing):
            for test in self.tests.values():
                test.mains(seen.fields["hz"], seen.fields["amplitude_uv"], seen.index)
            return []
        span, text = self._surgery.take(seen)
        if span is not None:
            self._exclude(*span, ELECTROSURGERY)
        if not text:
            return []
        fields = {"text": text, "kind": ELECTROSURGERY, "author": "auto"}
        return [*self._due(seen.index - self._told_after), Outgoing("event", seen.index, fields)]

    def _exclude(self, first: int, end: int | None, reason: str) -> None:
        for test in self.tests.values():
            test.exclude(first, end, reason)
        self.watches.exclude(first, end, reason)

    def _keep_from_averages(self, trigger: Trigger) -> None:
        """A transcranial pulse is millivolts at every electrode of the head: what is left of it behind the
        blanking, and what a zero-phase filter spreads before it, can be small enough to pass for a sweep."""
        if trigger.line not in self._artifact_rows:
            return
        end = trigger.index + self._artifact_rows[trigger.line]
        for test in self.tests.values():
            if test.plan.kind == "average" and test.plan.line != trigger.line:
                test.exclude(trigger.index, end, TRANSCRANIAL)

    def _fault(self, index: int, args: dict[str, Any]) -> list[Outgoing]:
        """The edge found a fault of a stimulus: sweeps that see it are rejected, and it is an alert."""
        plan = self._by_line.get(args["line"])
        if args["line"]:
            self._exclude(args["index"], args["index"] + 1, STIMULUS_FAULT)
        evidence = {"rule": f"edge fault {args['code']}", "index": args["index"], "line": args["line"]}
        evidence |= {"site": plan.site if plan else None, "outputs": "low", "stopped": "all tests"}
        name = plan.name if plan else ""
        return self.alerts.raise_(index, name, "stimulus", "high", args["text"], evidence)

    def _told(self, order: int, messages: list[Outgoing]) -> list[Outgoing]:
        """`messages` of one test without those of shared topics, which wait for `_due`."""
        self._untold += [(m.index, order, m) for m in messages if m.topic in _SHARED]
        return [m for m in messages if m.topic not in _SHARED]

    def _due(self, index: int) -> list[Outgoing]:
        """Events of the tests up to sample `index`, in order of sample, then of test."""
        due = sorted((e for e in self._untold if e[0] <= index), key=lambda e: e[:2])
        self._untold = [e for e in self._untold if e[0] > index]
        return [message for _, _, message in due]

    def _pulses_until(self, index: int | None, begin: int = 0) -> list[Outgoing]:
        """`stim` messages of the pulses whose samples are all before `index` (None: all there will be) and of
        those before sample `begin`, where samples broke off; the edge may have told of later ones."""
        if not self._undelivered:
            return []
        waiting = [(self._ready_at(trigger, proof), trigger, proof) for trigger, proof in self._undelivered]

        def is_due(at: int, trigger: Trigger) -> bool:
            return index is None or at <= index or trigger.index < begin

        due = [one for one in waiting if is_due(one[0], one[1])]
        self._undelivered = [one[1:] for one in waiting if not is_due(one[0], one[1])]
        due.sort(key=lambda one: (one[0], one[1].index, one[1].line))
        return [message for _, trigger, proof in due for message in self._stim(trigger, proof)]

    def _ready_at(self, trigger: Trigger, proof: Stimulus | None) -> int:
        """The first sample that is not needed to tell all of a pulse."""
        if proof is not None and proof.seen == NOT_SEEN:
            return trigger.index + RETURN_WITHIN_SAMPLES + 2  # with the last of these the edge gave it up
        return self._delivery.ready_at(trigger.index, proof.command if proof else None)

    def _stim(self, trigger: Trigger, proof: Stimulus | None) -> list[Outgoing]:
        """One pulse as it was seen, or never seen; what is wrong with its delivery is an alert."""
        line, index = trigger.line, trigger.index
        plan = self._by_line.get(line)
        name = plan.name if plan else None
        seen = proof is None or proof.seen != NOT_SEEN
        command = proof.command if proof else None
        fields = {
            "test": name,
            "site": plan.site if plan else None,
            "line": line,
            "command_id": command,
            "number": proof.number if proof else None,
            "pulse": trigger.pulse,
            "verified": seen,
            "lag_samples": proof.seen - proof.commanded if proof and seen else None,
            **self._delivery.fields(name, index, command if seen else None),
        }
        messages = [Outgoing("stim", index, fields)]
        if proof and seen:
            messages += self.alerts.clear(index, "stimulus", name or "")
        word = fields["delivery"]
        if word == "ok":
            messages += self.alerts.clear(index, "delivery", name or "")
        elif word not in (None, "unknown"):
            stops = word in STOPPING
            keys = ("commanded_ma", "current_ma", "current_error_ma", "load_ohm", "line")
            evidence = {"rule": f"delivered current {word}", "index": index, "stop": stops}
            evidence |= {key: fields[key] for key in keys}
            text = f"{plan.site if plan else 'stimulus'}: {fields['delivery_text']}"
            priority = "high" if stops else "medium"
            messages += self.alerts.raise_(index, name or "", "delivery", priority, text, evidence)  # type: ignore[arg-type]
        return messages


def _event(index: int, name: str, args: dict[str, Any]) -> Outgoing:
    """A command that was carried out, as displays are told of it."""
    rate = f" {args['rate_hz']:.4f} Hz" if name == "test.rate" else ""
    fields = {"text": f"{name} {args['test']}{rate}", "kind": name, "author": args["author"]}
    return Outgoing("event", index, fields)
