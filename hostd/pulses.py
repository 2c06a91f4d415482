"""Every pulse as it was seen in the samples, proven, and delivered: the `stim` messages, and what is wrong.

Owns the triggers found in the samples, the edge's proofs of them, and which pulse is which of its train; what
each delivered is `hostd.delivery`'s. A pure function of samples, proofs and plans, whatever the blocks.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.nouns import Trigger
from dsp.triggers import EdgeFinder
from hostd.alerts import Alerts, Priority
from hostd.case import Case, TestPlan
from hostd.delivery import STOPPING, Delivery
from hostd.outgoing import Outgoing
from hostd.timeline import Timeline
from hostd.trains import Trains
from hw.limits import RETURN_WITHIN_SAMPLES
from hw.link import NOT_SEEN, Description, Stimulus
from hw.samples import SampleBlock


class Pulses:
    """Of a case's stream; what is wrong with one is raised by `alerts` in its place of the `timeline`."""

    def __init__(self, case: Case, description: Description, alerts: Alerts, timeline: Timeline) -> None:
        self.by_line: Mapping[int, TestPlan] = {p.line: p for p in case.tests} | {
            p.stimulus.alternate_line: p for p in case.tests if p.stimulus.alternate_line
        }
        self._edges = EdgeFinder()
        self._trains = Trains(case.tests, description.rate_hz)
        self._delivery = Delivery(case, description)
        self._alerts, self._timeline = alerts, timeline
        self._proofs: dict[tuple[int, int], Stimulus] = {}
        self._newest: dict[str, int] = {}
        self._undelivered: list[tuple[Trigger, Stimulus | None]] = []

    def prove(self, stimulus: Stimulus) -> None:
        """Take the edge's proof of one pulse; told when its sample comes, or the last one that it might have
        been, so that the order of `stim` messages does not hang on when proofs arrive."""
        if stimulus.seen == NOT_SEEN:
            trigger = Trigger(stimulus.commanded, stimulus.line, stimulus.pulse)
            self._undelivered.append((trigger, stimulus))
        else:
            self._proofs[stimulus.seen, stimulus.line] = stimulus

    def planned(self, args: dict[str, Any]) -> None:
        """A plan goes to the edge."""
        self._delivery.planned(args)
        if args.get("repeats"):
            self._newest[args["test"]] = args["command"]

    def restart(self, index: int) -> list[Outgoing]:
        """The samples begin anew at `index`."""
        messages = self.until(index, index)
        self._delivery.restart(index)
        return messages

    def find(self, block: SampleBlock) -> list[Trigger]:
        """The stimuli in a block, each pulse with its place in its train; their `stim` messages are due."""
        triggers = []
        for found in self._edges.find(block):
            proof = self._proofs.pop((found.index, found.line), None)
            pulse = self._trains.pulse(found, None if proof is None else proof.pulse)
            trigger = replace(found, pulse=0 if self._is_old(proof, found.line) else pulse)
            triggers.append(trigger)
            if trigger.line in self.by_line:
                self._delivery.pulsed(trigger.index)
                self._undelivered.append((trigger, proof))
        return triggers

    def append(self, counts: NDArray[np.int32], end: int) -> list[Outgoing]:
        """The next contiguous samples, before sample `end`; `stim` messages of pulses that are whole now."""
        self._delivery.append(counts)
        return self.until(end)

    def passed(self, index: int) -> None:
        """What was proven before sample `index` and not seen there is no pulse."""
        self._proofs = {k: v for k, v in self._proofs.items() if k[0] >= index}

    def until(self, index: int | None, begin: int = 0) -> list[Outgoing]:
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
        return [self._stim(*one) for one in due]

    def _is_old(self, proof: Stimulus | None, line: int) -> bool:
        """Whether a pulse is of a plan that another one has replaced: on another grid than the average's."""
        plan = self.by_line.get(line)
        return proof is not None and plan is not None and proof.command < self._newest.get(plan.name, 0)

    def _ready_at(self, trigger: Trigger, proof: Stimulus | None) -> int:
        """The first sample that is not needed to tell all of a pulse."""
        if proof is not None and proof.seen == NOT_SEEN:
            return trigger.index + RETURN_WITHIN_SAMPLES + 2  # with the last of these the edge gave it up
        return self._delivery.ready_at(trigger.index, proof.command if proof else None)

    def _stim(self, ready: int, trigger: Trigger, proof: Stimulus | None) -> Outgoing:
        """One pulse as it was seen, or never seen; what is wrong with its delivery is an alert."""
        line, index = trigger.line, trigger.index
        plan = self.by_line.get(line)
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
        message = Outgoing("stim", index, fields)
        self._timeline.now(ready, 0, lambda: self._judged(message, proof is not None and seen))
        return message

    def _judged(self, stim: Outgoing, proven: bool) -> list[Outgoing]:
        """What a pulse raises or clears."""
        f, index, name = stim.fields, stim.index, stim.fields["test"] or ""
        messages = self._alerts.clear(index, "stimulus", name) if proven else []
        word = f["delivery"]
        if word == "ok":
            messages += self._alerts.clear(index, "delivery", name)
        elif word not in (None, "unknown"):
            stops = word in STOPPING
            keys = ("commanded_ma", "current_ma", "current_error_ma", "load_ohm", "line")
            evidence = {"rule": f"delivered current {word}", "index": index, "stop": stops}
            evidence |= {key: f[key] for key in keys}
            text = f"{f['site'] or 'stimulus'}: {f['delivery_text']}"
            priority: Priority = "high" if stops else "medium"
            messages += self._alerts.raise_(index, name, "delivery", priority, text, evidence)
        return messages
