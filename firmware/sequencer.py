"""Fires stimuli on the sample grid, and believes in none that the samples do not show.

The Python side of `firmware.loop`'s sequencer for whoever steps it sample by sample: what one thread may ask
of the compiled steps while no loop is running on them.
"""

from collections.abc import Callable

from firmware.loop import arbiter, pulses
from firmware.loop.state import OUTPUTS, loop_state
from firmware.loop.telling import events
from firmware.orders import Order, Orders
from firmware.ports import Command
from hw.link import ALL_PLANS, Fault, Message, Reply, StimArm, StimPlan, StimStop, Stimulus


class Sequencer:
    """Plans of one board; `report` receives a Stimulus per pulse, `fault` the one line of the first fault.

    After a fault nothing is fired and no other fault is told until a plan is started anew. `said` keeps what
    else there was to say. Not thread-safe.
    """

    def __init__(
        self,
        rate_hz: float,
        lines: int,
        report: Callable[[Stimulus], None],
        fault: Callable[[str, str], None],
    ) -> None:
        self._rate_hz = rate_hz
        self._report, self._fault = report, fault
        self.state = loop_state(lines, 1, 3)
        self._orders = Orders(self.state, rate_hz)
        self.said: list[Message] = []

    @property
    def outputs(self) -> int:
        """Bits that the output lines must show now."""
        return int(self.state.scalars[OUTPUTS])

    def command(self, command: Command) -> str | None:
        """Carry out a command: the refusal, "" when accepted, None: it will be said when it is known."""
        order = self._orders.take(command)
        if not isinstance(order, Order):
            return order
        arbiter.obey(self.state, order.row, order.verb)
        before = len(self.said)
        self._tell()
        replies = [m for m in self.said[before:] if isinstance(m, Reply) and m.command == command.command]
        return replies[-1].refusal if replies else None

    def arm(self, plan: int, seconds: float = 1.0) -> str | None:
        """Let `plan` be started within `seconds`."""
        return self.command(StimArm(0, plan, round(seconds * self._rate_hz)))

    def start(self, plan: StimPlan) -> str | None:
        """Arm and begin a plan; the refusal, "" when it runs, None while a single stimulus waits."""
        self.arm(plan.plan)
        return self.command(plan)

    def stop(self, plan: int = ALL_PLANS) -> None:
        """End one plan or all; nothing more of it is fired, it is disarmed and its line is low."""
        self.command(StimStop(0, plan))

    def step(self, index: int, bits: int) -> int:
        """Take sample `index` with trigger `bits`; return the output bits from now on."""
        outputs = int(arbiter.step(self.state, index, bits))
        self._tell()
        return outputs

    def lost(self, index: int) -> None:
        """Samples before `index` were lost. `outputs` may have changed."""
        pulses.lost(self.state, index)
        self._tell()

    def _tell(self) -> None:
        for message in events(self.state):
            if isinstance(message, Stimulus):
                self._report(message)
            elif isinstance(message, Fault):
                self._fault(message.code, message.text)
            else:
                self.said.append(message)
