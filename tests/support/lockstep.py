"""The whole product without threads, sockets and clocks: the simulated edge feeds the pipeline directly.

Deterministic: what the edge's ring would carry goes straight into the host's pipeline, commands first.
"""

import threading
from collections.abc import Callable
from typing import Any

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.stimulation import Sent, Stimulation, plan_args
from hw.link import Description, Message, StimArm, StimPlan, Stimulus
from hw.model.scenario import NO_CHANGE, Scenario
from hw.samples import SampleBlock


def started(case: Case, description: Description) -> tuple[list[Message], list[dict[str, Any]]]:
    """What a host sends so that every test stimulates, and the pipeline's command "stim.plan" of each."""
    sent: list[Message] = []
    plans: list[dict[str, Any]] = []

    tests = {test.name: test for test in case.tests}

    def planned(one: Sent) -> None:
        plans.append(plan_args(one, tests[one.test]))

    stimulation = Stimulation(case, description, sent.append, planned)
    stimulation.tighten()
    for test in case.tests:
        stimulation.arm(test, lambda refusal: None)
        refusal = stimulation.start(test, lambda refusal: None, "evokd")
        assert not refusal, refusal
    return sent, plans


def start(source: SimulatedSource, case: Case, description: Description) -> list[dict[str, Any]]:
    """Have every test stimulate; the pipeline's command "stim.plan" of each."""
    sent, plans = started(case, description)
    for order in sent:
        assert isinstance(order, StimArm | StimPlan), order
        source.command(order)
    return plans


def simulate(
    seconds: float,
    case: Case | None = None,
    seed: int = 1,
    scenario: Scenario = NO_CHANGE,
    on_block: Callable[[SampleBlock], None] = lambda block: None,
    converter_noise: bool = True,
) -> list[Outgoing]:
    """Every message of `seconds` of a case with all tests started at once."""
    case = case or casefile.procedure("median_ssep")
    source = SimulatedSource(None, seconds, seed, scenario, converter_noise)
    description = source.configure(configure_message(case))
    pipeline = Pipeline(case, description)
    messages: list[Outgoing] = []
    for args in start(source, case, description):
        messages += pipeline.command("stim.plan", args)
        messages += pipeline.command("test.start", {"test": args["test"], "author": ""})

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, SampleBlock):
            on_block(item)
            messages.extend(pipeline.feed(item))
        elif isinstance(item, Stimulus):
            messages.extend(pipeline.prove(item))

    source.run(put, threading.Event())
    return messages + pipeline.finish()
