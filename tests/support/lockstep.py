"""The whole product without threads, sockets and clocks: the simulated edge feeds the pipeline directly.

Deterministic: what the edge's ring would carry goes straight into the host's pipeline, commands first.
"""

import threading
from collections.abc import Callable

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.stimulation import stim_plan
from hw.link import Message, Stimulus
from hw.model.scenario import NO_CHANGE, Scenario
from hw.samples import SampleBlock


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
    for number, plan in enumerate(case.tests, 1):
        messages += pipeline.command("test.start", {"test": plan.name, "author": ""})
        source.command(stim_plan(case, plan, description.rate_hz, number, 0))

    def put(item: SampleBlock | Message) -> None:
        if isinstance(item, SampleBlock):
            on_block(item)
            messages.extend(pipeline.feed(item))
        elif isinstance(item, Stimulus):
            messages.extend(pipeline.prove(item))

    source.run(put, threading.Event())
    return messages + pipeline.finish()
