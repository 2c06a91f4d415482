"""An edge many times as fast as time: the real sequencer and the real fit of time, a modelled patient.

The compiled steps of the sequencer run over whole blocks, the converter is its steps and noise, the crystal
is off by so much and wanders. Everything said goes over the link's own frames. What is left out is the chip's
bytes, the acquisition loop and the socket, which `tests.hostd.test_session` and `tests.pico` have.
"""

import math
from collections.abc import Iterator

import numpy as np
from numba import njit

from firmware.loop import arbiter
from firmware.loop.state import loop_state
from firmware.loop.telling import events
from firmware.orders import Order, Orders
from firmware.session import block_message
from firmware.timebase import TimebaseReporter
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.score.bedside import describe
from hw.board import LATCH_LAG_SAMPLES
from hw.link import Message, Reply, Sender, StimArm, StimLimits, StimPlan, StimStop
from hw.model.converter_noise import noise_uv
from hw.model.patient import Patient
from hw.model.scenario import Scenario
from hw.model.stochastic import child
from hw.samples import SampleBlock

LINES = 8
PPM = 17.0
"""How far the modelled crystal is off."""
WANDER_PPM, WANDER_S = 0.5, 7200.0
JITTER_NS = 2000.0
PIECE_S = 0.05
BORN_NS = 1_000_000_000


@njit(nogil=True)
def _steps(state, first, shown, bits):  # type: ignore[no-untyped-def]
    """Sample by sample, each showing what the outputs were after the one before; what they are at the end."""
    for k in range(bits.size):
        bits[k] = shown
        shown = arbiter.step(state, first + k, shown)
    return shown


class FastEdge:
    """Blocks of `block` samples of a patient under the plans that it is sent, as frames of the link."""

    def __init__(self, case: Case, seed: int, scenario: Scenario, block: int) -> None:
        self.rate_hz, self.block, self.first = case.rate_hz, block, 0
        self._patient = Patient(case.channels, case.rate_hz, seed, scenario=scenario)
        self._sites = dict(enumerate(configure_message(case).lines, start=1))
        self.description = describe(case)
        self._noise = child(seed, "converter")
        self._level_uv = noise_uv(case.gain, case.rate_hz)
        self._state = loop_state(LINES, 1, 3)
        self._orders = Orders(self._state, case.rate_hz)
        self._shown, self._piece = 0, max(1, round(PIECE_S * case.rate_hz))
        self._strength: dict[int, tuple[float | None, float | None]] = {}
        self._reporter = TimebaseReporter(case.rate_hz)
        self._sender = Sender()
        self._answers: list[Message] = []
        self._known = {t.line: t.stimulus.current_ma or t.stimulus.volts for t in case.tests}

    def command(self, message: StimArm | StimPlan | StimStop | StimLimits) -> None:
        """Carry out; the answer comes with the next block."""
        if isinstance(message, StimPlan):
            ma = message.current_ua / 1e3 if self._known.get(message.line) is not None else None
            self._strength[message.line] = ma, float(message.width_us) if ma is not None else None
        order = self._orders.take(message)
        if isinstance(order, Order):
            arbiter.obey(self._state, order.row, order.verb)
        else:
            self._answers.append(Reply(message.command, order))

    def edges_ns(self, index: np.ndarray) -> np.ndarray:
        """When the data-ready edges of these samples really fell."""
        seconds = index / self.rate_hz
        turned = 2.0 * math.pi / WANDER_S
        wander_s = 1e-6 * WANDER_PPM / turned * np.sin(turned * seconds)
        return BORN_NS + np.rint(1e9 * (seconds * (1.0 - 1e-6 * PPM) + wander_s)).astype(np.int64)

    def frames(self) -> bytes:
        """Everything of the next block."""
        n, first = self.block, self.first
        bits = np.zeros(n, np.int64)
        self._stimulate(n, first, bits)
        volts = self._patient.read_block(first, n)
        uv = 1e6 * volts + self._level_uv * self._noise.standard_normal(volts.shape)
        counts = np.rint(uv / self.description.lsb_uv[0]).astype(np.int32)
        index = np.arange(first, first + n)
        seen_ns = self.edges_ns(index) + np.rint(JITTER_NS * self._noise.standard_normal(n)).astype(np.int64)
        self.first += n
        said: list[Message] = [*self._answers, *events(self._state)]
        self._answers = []
        for at in range(
            0, n, self._piece
        ):  # as often as an edge looks, so that a report comes when it is due
            piece = slice(at, at + self._piece)
            report = self._reporter.watch(index[piece], seen_ns[piece])
            said += [] if report is None else [report]
        block = SampleBlock(first, counts, bits.astype(np.uint8), int(seen_ns[-1]))
        return b"".join(map(self._sender.frame, (*said, block_message(block))))

    def _stimulate(self, n: int, first: int, bits: np.ndarray) -> None:
        before, self._shown = self._shown, int(_steps(self._state, first, self._shown, bits))
        for at, line in _rises(before, bits, first):
            site = self._sites.get(line)
            if site:
                ma, us = self._strength.get(line, (None, None))
                self._patient.stimulate(max(float(at - LATCH_LAG_SAMPLES), first - 1.0), site, ma, us)


def _rises(before: int, bits: np.ndarray, first: int) -> Iterator[tuple[int, int]]:
    """Samples at which a line rose; a line that was high in the last block's last sample did not."""
    last = np.concatenate(([before], bits[:-1]))
    for k in np.flatnonzero(bits & ~last):
        for line in range(1, LINES + 1):
            if bits[k] & ~last[k] & 1 << (line - 1):
                yield first + int(k), line
