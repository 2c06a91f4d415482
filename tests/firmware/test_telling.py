"""What the loop has to say, in words: nothing is said twice, and what found no room is counted."""

import numpy as np

from firmware.loop import arbiter
from firmware.loop.pulses import tell
from firmware.loop.state import (
    FAULT,
    FAULTED,
    MOST_EVENTS,
    PROOF,
    SPI_ERROR,
    VERB_STOP,
    LoopState,
    loop_state,
)
from firmware.loop.telling import events
from firmware.orders import Order, Orders
from hw.link import NOT_SEEN, Fault, Reply, StimStop, Stimulus
from tests.support.looped import Looped, plan


def stop(state: LoopState, orders: Orders, n: int) -> None:
    """`n` commands, each of which is answered."""
    for number in range(n):
        order = orders.take(StimStop(number, 5))
        assert isinstance(order, Order)
        assert order.verb == VERB_STOP
        arbiter.obey(state, order.row, order.verb)


def test_what_was_said_is_not_said_again() -> None:
    state = loop_state(4, 1, 3)
    stop(state, Orders(state, 4000.0), 3)
    assert list(events(state)) == [Reply(0, ""), Reply(1, ""), Reply(2, "")]
    assert list(events(state)) == []


def test_what_nobody_took_in_time_is_counted_and_told_once() -> None:
    state = loop_state(4, 1, 3)
    orders = Orders(state, 4000.0)
    stop(state, orders, MOST_EVENTS + 7)
    *said, lost = events(state)
    assert said == [Reply(number, "") for number in range(MOST_EVENTS)]
    assert lost == Fault("events_lost", "7 proofs or faults were lost: nobody took them in time", 0)
    stop(state, orders, 2)
    assert list(events(state)) == [Reply(0, ""), Reply(1, "")]


def test_a_loop_that_nobody_listens_to_still_goes_safe() -> None:
    box = Looped()
    box.sequencer.start(plan(hold=40))
    state = box.sequencer.state
    stop(state, Orders(state, 4000.0), MOST_EVENTS + 1)
    assert [arbiter.step(state, index, 0) for index in range(6)] == [1, 1, 1, 1, 0, 0]
    assert state.scalars[FAULTED] == 1


def test_proofs_and_faults_in_words() -> None:
    state = loop_state(4, 1, 3)
    slot = tell(state, PROOF, 2, 8, 1, 3, 951, -1)
    state.events[slot, 7] = np.int64(4)
    tell(state, FAULT, SPI_ERROR, 0, 77, 5, 0, 0)
    assert list(events(state)) == [
        Stimulus(2, 8, 1, 3, 951, NOT_SEEN, 4),
        Fault(
            "spi_error",
            "the SPI transfer of sample 77 failed with errno 5; check the bus and its driver",
            0,
            77,
        ),
    ]


def test_a_stimulus_too_close_to_one_whose_plan_was_stopped_says_so() -> None:
    box = Looped()
    box.sequencer.start(plan(1))
    box.sequencer.start(plan(2, line=2, phase=19))
    box.sequencer.start(plan(3, line=3, period=800, phase=20))
    box.run(5)
    box.sequencer.stop(1)
    box.run(100)
    assert [(u.plan, u.reason) for u in box.unfired] == [(2, "less than 5 ms after another stimulus")]
    assert box.rises(3) == [20]
