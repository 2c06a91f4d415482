"""A million pulses matched one to one: each on its grid, proven at its sample, shown there, and no others.

Through the compiled steps with a modelled wire, and through whole sources: the simulated box, and the edge on
the rig's nodes (`tests.stimuli.on_nodes`).
"""

import threading
from array import array
from dataclasses import dataclass

import numpy as np

from firmware.loop import arbiter
from firmware.loop.state import (
    EVENTS_IN,
    EVENTS_OUT,
    FAULT,
    MOST_EVENTS,
    NOT_FIRED,
    PROOF,
    SPACING,
    VERB_ARM,
    VERB_START,
    LoopState,
    loop_state,
)
from firmware.orders import plan_row, prepare
from firmware.ports import Source
from firmware.simulated import SimulatedSource
from hw import limits
from hw.link import Configure, Fault, Message, StimArm, StimPlan, Stimulus, Unfired
from hw.samples import SampleBlock
from tests.stimuli.compiled import Row, Table, inner, outer
from tests.stimuli.pool import LINES, RATES
from tests.stimuli.wire import MOST_LAG, N_WIRE, convert, shown

RATE_HZ, PERIOD, HOLD = 250, 8, 2
"""The densest there is: a pulse every 5 ms, rounded up to samples, one line after the other."""


@dataclass(frozen=True, slots=True)
class Matched:
    """`pulses` that were matched, what was `wrong`, and how many returned after so many samples."""

    pulses: int
    wrong: tuple[str, ...]
    lags: dict[int, int]


def dense_plans(rate_hz: int, period: int) -> list[StimPlan]:
    """One plan a line, a quarter of the period apart."""
    phases = [k * period // LINES for k in range(LINES)]
    return [StimPlan(100 + k, k + 1, k + 1, period, phases[k], HOLD, 0) for k in range(LINES)]


@inner
def check_proof(e: Row, i: int, lag: int, next_at: Row, numbers: Row, period: int) -> int:
    """1 when the proof `e` at sample `i` is not the next one of its line, of that sample."""
    k = e[4] - 1
    right = e[1] == k + 1 and e[3] == numbers[k] + 1 and e[5] == next_at[k]
    right = right and e[6] == i and e[6] - e[5] == lag and e[7] == 1
    numbers[k] += 1
    next_at[k] += period
    return 0 if right else 1


@outer
def run_dense(st: LoopState, rows: Table, period: int, n: int, lag: int, true_lag: int, lags: Row) -> int:
    """Run until `n` pulses were proven on a wire of `true_lag`, which should be `lag`; what was not so."""
    wire, next_at, numbers = np.zeros(N_WIRE, np.int64), np.zeros(LINES, np.int64), np.zeros(LINES, np.int64)
    head, wrong, seen, edges, i, before, out = np.zeros(len(rows[0]), np.int64), 0, 0, 0, 0, 0, 0
    for k in range(LINES):
        head[0], head[2], next_at[k] = k + 1, 1000, rows[k, 5]
        arbiter.obey(st, head, VERB_ARM)
        arbiter.obey(st, rows[k], VERB_START)
    st.scalars[EVENTS_OUT] = st.scalars[EVENTS_IN]
    while seen < n:
        convert(wire, out)
        bits = shown(wire, i, true_lag)
        was, out = out, arbiter.step(st, i, bits)
        rising = bits & ~before
        before = bits
        for position in range(st.scalars[EVENTS_OUT], st.scalars[EVENTS_IN]):
            e = st.events[position % MOST_EVENTS]
            if e[0] in (FAULT, NOT_FIRED):
                wrong += 1
            if e[0] == PROOF:
                wrong += check_proof(e, i, lag, next_at, numbers, period)
                rising &= ~(1 << (e[4] - 1))
                lags[min(max(e[6] - e[5], 0), MOST_LAG)] += 1
                seen += 1
        st.scalars[EVENTS_OUT] = st.scalars[EVENTS_IN]
        wrong += rising != 0
        for k in range(LINES):
            raised = out >> k & 1 and not was >> k & 1
            edges += raised
            wrong += raised != (i % period == rows[k, 5])
        i += 1
        if wrong > 100:
            break
    return wrong + abs(edges - seen - (1 if edges > seen else 0))


def compiled(n: int, lie: bool = False) -> Matched:
    """`n` pulses over all rates and lags 1 to 3; `lie`: the wire is one sample later than is said."""
    wrong, lags = [], np.zeros(MOST_LAG + 1, np.int64)
    each = -(-n // (3 * len(RATES)))
    for rate in RATES:
        st = loop_state(LINES, 1, 3)
        prepare(st, rate)
        period = max(PERIOD, LINES * int(st.scalars[SPACING]))
        for lag in (1, 2, 3):
            st = loop_state(LINES, 1, 3)
            prepare(st, rate)
            plans = dense_plans(rate, period)
            refused = [limits.refuse(plan, rate, LINES) for plan in plans]
            rows = np.array([plan_row(plan) for plan in plans])
            bad = run_dense(st, rows, period, each, lag, lag + lie, lags) if not any(refused) else -1
            if bad:
                wrong.append(f"{rate} SPS, lag {lag}: {bad} wrong {''.join(refused)}")
    return Matched(int(lags.sum()), tuple(wrong), {k: int(x) for k, x in enumerate(lags.tolist()) if x})


class Matcher:
    """Takes what a source puts: keeps proofs, edges in the blocks, and complaints."""

    def __init__(self) -> None:
        self.proofs = [array("q") for _ in range(LINES)]
        self.edges = [array("q") for _ in range(LINES)]
        self.wrong: list[str] = []
        self.lags: dict[int, int] = {}
        self._last, self.end = 0, 0

    def put(self, item: SampleBlock | Message) -> None:
        """Whatever comes."""
        if isinstance(item, SampleBlock):
            self._block(item)
        elif isinstance(item, Stimulus):
            lag = item.seen - item.commanded
            self.lags[lag] = self.lags.get(lag, 0) + 1
            proofs = self.proofs[item.line - 1]
            if lag != 1 or item.number != len(proofs) + 1 or item.plan != item.line or item.pulse != 1:
                self.complain(f"{item}")
            proofs.append(item.commanded)
        elif isinstance(item, Fault | Unfired):
            self.complain(f"{item}")

    def complain(self, text: str) -> None:
        """The first few are enough."""
        if len(self.wrong) < 10:
            self.wrong.append(text)

    def _block(self, block: SampleBlock) -> None:
        if block.gaps or block.first_index != self.end:
            self.complain(f"samples lost before {block.first_index}")
        self.end = block.end_index
        bits = block.trigger_bits.astype(np.int64)
        rising = bits & ~np.concatenate([[self._last], bits[:-1]])
        self._last = int(bits[-1])
        for at in np.flatnonzero(rising):
            for line in range(LINES):
                if rising[at] >> line & 1:
                    self.edges[line].append(block.first_index + int(at))

    def matched(self, plans: list[StimPlan]) -> Matched:
        """Every grid point has its proof, every proof its edge one sample on, and there are no others."""
        for line, plan in enumerate(plans):
            commanded = np.array(self.proofs[line], np.int64)
            edges = np.array(self.edges[line], np.int64)
            grid = plan.phase + plan.period * np.arange(len(commanded))
            whole = (self.end - 2 - plan.phase) // plan.period + 1
            if len(commanded) != whole or not np.array_equal(commanded, grid):
                self.complain(f"line {line + 1}: {len(commanded)} of {whole} on the grid")
            if not np.array_equal(edges, commanded + 1):
                self.complain(f"line {line + 1}: {len(edges)} edges for {len(commanded)} proofs")
        return Matched(sum(map(len, self.proofs)), tuple(self.wrong), self.lags)


def through(source: Source, n: int, channels: int = 1) -> Matched:
    """`n` pulses of the densest plans through a source that ends by itself after `samples_for(n)`."""
    names = ("CP3", "CP4", "Fpz", "C5S", "CPz", "Cz", "C3", "C4")[:channels]
    blank = ("",) * channels
    source.configure(Configure(RATE_HZ, 24, names, ("",) * LINES, blank, "", float("nan"), ()))
    plans, matcher = dense_plans(RATE_HZ, PERIOD), Matcher()
    for plan in plans:
        source.command(StimArm(0, plan.plan, 1000))
        source.command(plan)
    source.run(matcher.put, threading.Event())
    matched = matcher.matched(plans)
    few = (f"{matched.pulses} pulses instead of {n}",) if matched.pulses < n else ()
    return Matched(matched.pulses, matched.wrong + few, matched.lags)


def samples_for(n: int) -> int:
    """Samples in which `n` pulses fall."""
    return n * PERIOD // LINES + 4 * PERIOD


def simulated(n: int) -> Matched:
    """`n` pulses through the simulated box, as fast as it goes."""
    return through(SimulatedSource(None, samples_for(n) / RATE_HZ, 1, converter_noise=False), n)
