"""Samples and timed commands in, messages out: the same live and in replay.

Owns the tests of a case and the order in which they and what judges them hear of samples. Knows no socket,
no file and no clock; `feed` and `command` are called by one thread in order of sample index.
"""

from typing import Any

import numpy as np

from dsp import kernels
from dsp.electrosurgery import Change
from dsp.nouns import Trigger
from dsp.stream import Scale
from hostd import link_watch, plug_watch, storage
from hostd.alerts import Alerts
from hostd.artifact import ArtifactWatch
from hostd.case import Case
from hostd.case_course import CaseCourse
from hostd.deviations import Deviations
from hostd.evoked import Evoked
from hostd.hearing import Hearing
from hostd.leads import COMMANDS as LEAD_COMMANDS
from hostd.leads import REASON, Leads
from hostd.mains import MainsWatch
from hostd.outgoing import Outgoing, event
from hostd.plug_watch import PlugWatch
from hostd.pulses import Pulses
from hostd.responses import Responses
from hostd.running import RunningTest
from hostd.surgery import ELECTROSURGERY, SurgeryWatch
from hostd.timeline import Timeline
from hostd.tof import Tof
from hostd.watches import Watches
from hw.chips import COUNTS_MAX
from hw.link import Description, Stimulus
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
_HEEDED = ("measure", "response", "eeg", "emg", "tof")
"""What the judge of deviations hears of, in its place."""


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
        self._artifact_rows = {
            p.line: 1 + round(p.blank_ms * rate_hz / 1e3)
            for p in case.tests
            if p.stimulus.kind == "transcranial"
        }
        self.leads = Leads(len(description.channels))
        self.alerts = Alerts()
        monitors = [] if case.monitor is None else [case.monitor.current, case.monitor.voltage]
        self._body = np.array([k for k, c in enumerate(description.channels) if c not in monitors], np.int64)
        self._lsb_uv = np.array(description.lsb_uv)[self._body]
        self._offset_uv = np.array(description.offset_uv)[self._body]
        periods = {p.name: round(rate_hz / p.stimulus_hz) for p in case.tests if p.stimulus_hz}
        self._mains = MainsWatch(rate_hz, periods)
        rail_uv = float(np.max(self._lsb_uv, initial=0.0)) * (COUNTS_MAX - 0.5)
        self._surgery = SurgeryWatch(rate_hz, len(self._body), rail_uv)
        self.watches = Watches(case, rate_hz, scale)
        most = (t.max_block for t in self.tests.values())
        self._max_rows = min(self.watches.max_block, *most) if self.tests else self.watches.max_block
        # Until then every sweep of an earlier stimulus is whole.
        self._timeline = Timeline(max((t.reach for t in self.tests.values()), default=0))
        self._pulses = Pulses(case, description, self.alerts, self._timeline)
        self._artifacts = ArtifactWatch(rate_hz, len(self._body))
        self._links = link_watch.LinkAlerts(self.alerts)
        last = len(case.tests)
        self._hearing = Hearing(Deviations(case, rate_hz, self.alerts), self._timeline, last)
        compared = [p.name for p in case.tests if p.kind != "tof" and (p.peaks or p.response)]
        self._plugs = PlugWatch(case, description, self.alerts, self._timeline, last + 1)
        plugged = self._plugs.names
        self._course = CaseCourse(rate_hz, compared, self.alerts, self._timeline, last, plugged)
        self._plugs.heard = self._course.plugs
        self.next_index: int | None = None
        self.samples = self.lost_samples = self.gaps = 0

    @property
    def told_after(self) -> int:
        """Samples after its stimulus at which what many tests share is told at the latest."""
        return self._timeline.delay

    def prove(self, stimulus: Stimulus) -> list[Outgoing]:
        """Take the edge's proof of one pulse; told when its sample comes."""
        self._pulses.prove(stimulus)
        return []

    def feed(self, block: SampleBlock) -> list[Outgoing]:
        """Process the next block, gaps before it first."""
        messages: list[Outgoing] = []
        if self.next_index is None or block.gaps:
            self.lost_samples += sum(g.length for g in block.gaps)
            self.gaps += len(block.gaps)
            messages += self._heard(self._pulses.restart(block.first_index))
            self._artifacts.restart(block.first_index)
            for order, test in enumerate(self.tests.values()):
                messages += self._told(order, test.restart(block.first_index), test)
            messages += self._told(len(self.tests), self.watches.restart(block.first_index))
            self._plugs.restart(block.first_index)
        triggers = self._pulses.find(block)
        cuts = self._looked_at(block, triggers)
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
        self._pulses.passed(block.end_index)
        return messages + self._due(block.end_index)

    def command(self, name: str, args: dict[str, Any]) -> list[Outgoing]:
        """Carry out one command now, between two samples. Raises ValueError when it cannot be."""
        index = self.next_index or 0
        if name == "mark":
            values = args.get("values") or {}
            self._hearing.posted(index, values)
            return [event(index, args["text"], args["kind"], args["author"], values=values)]
        if name in LEAD_COMMANDS:
            if name == "impedance.span":
                self._exclude(args["first_index"], args["end_index"], REASON)
            if name == "leads":
                self._hearing.leads_off(index, [*args["off"], *args["railed"]])
            if name == "impedance.result":
                self._hearing.impedance(index, args["leads"])
                self._course.measured(index)
            return self.leads.told(name, args, index)
        match name:
            case "stim.plan":
                self._pulses.planned(args)
                self.tests[args["test"]].planned(args)
                self._plugs.planned(args)
                return []
            case "stim.fault":
                return self._fault(index, args)
            case link_watch.LOST | link_watch.BACK:
                return self._course.with_alerts(self._links.told(index, name, args["client"]))
            case storage.COMMAND:
                return self._course.with_alerts(storage.told(self.alerts, index, args))
            case "alert.acknowledge":
                return self._course.with_alerts(self.alerts.acknowledge(index, args["id"], args["author"]))
            case "alert.note":
                return self._course.note(index, args)
            case "alarm.signal":
                return self._course.signal(index, args)
            case plug_watch.COMMAND:
                self._plugs.check(index, args["test"])
                return [_event(index, name, args)]
            case "case.critical":
                self._course.critical(index, args["on"], args["text"])
                text = "critical step" if args["on"] else "critical step is over"
                said = f"{text}: {args['text']}" if args["text"] else text
                return [event(index, said, name, args["author"])]
        if args["test"] not in self.tests:
            messages = self.watches.baseline(name, args["test"], index)
            return [*messages, _event(index, name, args)]
        test = self.tests[args["test"]]
        messages = []
        match name:
            case "test.start":
                test.start()
                self._plugs.start(index, args["test"])
                self._watched(index, args["test"], True)
            case "test.stop":
                test.stop()
                self._plugs.stop(args["test"])
                self._watched(index, args["test"], False)
            case "test.rate":
                messages = test.change_rate(args["rate_hz"], index)
                self._mains.set_period(args["test"], args["period"])
            case "baseline.set":
                messages = test.set_baseline(index)
            case "baseline.clear":
                messages = test.clear_baseline(index)
            case _:
                raise ValueError(f"{name} is no command of the pipeline")
        return [*self._told(list(self.tests).index(args["test"]), messages), _event(index, name, args)]

    def finish(self) -> list[Outgoing]:
        """The samples have ended: say what was not said yet."""
        ended = self._heard(self._pulses.until(None))
        for order, test in enumerate(self.tests.values()):
            ended += self._told(order, test.finish(), test)
        ended += self._told(len(self.tests), self.watches.finish())
        self._course.close(self.next_index or 0)
        return ended + self._due(None)

    def _feed_rows(self, block: SampleBlock, start: int, end: int, triggers: list[Trigger]) -> list[Outgoing]:
        first, last = block.first_index + start, block.first_index + end
        inside = [t for t in triggers if first <= t.index < last]
        rows = block.counts[start:end]
        messages = self._heard(self._pulses.append(rows, last))
        for trigger in inside:
            self._keep_from_averages(trigger)
        for order, test in self._order:
            messages += self._told(order, test.append(rows, inside), test)
            if isinstance(test, Tof):
                self._hold_gates(test)
        self._plugs.append(rows, inside)
        return messages + self._told(len(self.tests), self.watches.append(rows, inside))

    def _hold_gates(self, of: Tof) -> None:
        """What a train of four allows is known to the tests that ask it."""
        for index, gates in of.new_gates():
            for test in self.tests.values():
                if isinstance(test, Responses) and test.asks == of.plan.name:
                    test.gated(index, gates)

    def _looked_at(self, block: SampleBlock, triggers: list[Trigger]) -> list[Change | Outgoing]:
        """What the whole block shows of electrosurgery and mains, in order of the samples where it counts."""
        body_uv, mean_uv = np.empty((len(block.counts), len(self._body))), np.empty(len(block.counts))
        if not len(self._body):
            return []
        counts = np.ascontiguousarray(block.counts)
        kernels.microvolts(counts, self._body, self._lsb_uv, self._offset_uv, body_uv, mean_uv)
        mains = self._mains.append(block.first_index, mean_uv)
        for message in mains:
            self._timeline.put(message.index, len(self.tests), message)
        for trigger, ratio in self._artifacts.append(body_uv, triggers):
            if (plan := self._pulses.by_line.get(trigger.line)) is not None:
                self._hearing.artifact(trigger.index, plan.name, ratio)
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
        return [*self._due(seen.index), event(seen.index, text, ELECTROSURGERY, "auto")]

    def _due(self, fed: int | None) -> list[Outgoing]:
        """What many tests share, as far as it is known, with what each alert means behind it."""
        return self._timeline.due(fed, self._course.with_alerts)

    def _exclude(self, first: int, end: int | None, reason: str) -> None:
        for test in self.tests.values():
            test.exclude(first, end, reason)
        self._plugs.exclude(first, end, reason)
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
        self._plugs.exclude(trigger.index, end, TRANSCRANIAL, trigger.line)

    def _fault(self, index: int, args: dict[str, Any]) -> list[Outgoing]:
        """The edge found a fault of a stimulus: sweeps that see it are rejected, and it is an alert."""
        plan = self._pulses.by_line.get(args["line"])
        if args["line"]:
            self._exclude(args["index"], args["index"] + 1, STIMULUS_FAULT)
        evidence = {"rule": f"edge fault {args['code']}", "index": args["index"], "line": args["line"]}
        evidence |= {"site": plan.site if plan else None, "outputs": "low", "stopped": "all tests"}
        name = plan.name if plan else ""
        raised = self.alerts.raise_(index, name, "stimulus", "high", args["text"], evidence)
        return self._course.with_alerts(raised)

    def _told(self, order: int, messages: list[Outgoing], test: RunningTest | None = None) -> list[Outgoing]:
        """`messages` of one test without those of shared topics, which wait their turn, as does what the
        judge of deviations hears of it."""
        late = test.known_after - self._timeline.delay if isinstance(test, Tof) else 0
        for message in messages:
            family, _, name = message.topic.partition(".")
            index = message.index + late if family == "tof" else message.index
            if message.topic in _SHARED:
                self._timeline.put(index, order, message)
            if family in _HEEDED:
                self._hearing.message(index, order, message)
            elif family == "baseline":
                grade = message.fields["grade"] if message.fields["n_sweeps"] else ""
                self._course.baseline(message.index, order, name, grade)
                self._plugs.baseline(message.index, name, bool(grade))
        for seen in () if test is None else test.take_seen():
            self._hearing.sweep(order, seen)
        return [m for m in messages if m.topic not in _SHARED]

    def _heard(self, stims: list[Outgoing]) -> list[Outgoing]:
        """`stim` messages, of which the judge hears too."""
        for message in stims:
            self._hearing.message(message.index, len(self.tests), message)
        return stims

    def _watched(self, index: int, name: str, runs: bool) -> None:
        """A test was started or stopped."""
        self._course.test(index, name, runs)
        self._hearing.running(index, list(self.tests).index(name), name, runs)


def _event(index: int, name: str, args: dict[str, Any]) -> Outgoing:
    """A command that was carried out, as displays are told of it."""
    rate = f" {args['rate_hz']:.4f} Hz" if name == "test.rate" else ""
    text = f"{name} {args['test'] or 'of all tests'}{rate}"
    return event(index, text, name, args["author"], test=args["test"])
