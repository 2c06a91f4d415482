"""The simulated box: the modelled board wired to the patient model, behind the same ports as the real one.

Owns pace: the board's time is its own, its edges come exactly 1/rate apart, the next one only after the last
was asked for, at `speed` times real time (None: as fast as asked). It therefore loses nothing on a busy
machine and says nothing about one. Everything on the board, the loop back of the stimulus lines too, is
`hw.model.board`'s.
"""

import threading
import time
from collections.abc import Callable

from firmware.acquisition import Acquisition
from firmware.errors import ConfigError
from firmware.front_end import FrontEnd, FrontEndSetup
from firmware.leads.monitor import LeadMonitor
from firmware.ports import Command, Edge, LeadCommand, Put
from firmware.simulated_stimulator import SimulatedStimulator, WiredBody
from hw.board import LATENCY_OFFSET_SAMPLES, LINES_PER_CHIP, MOST_LINES, lines_of
from hw.chips import ADS1299
from hw.frames import decode_board
from hw.link import LOCK_IMPEDANCE, Configure, Description, Lockout, StimPlan
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.model.contact_leads import ContactLeads
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.sinc3 import Filtered

PACE_NS = 2_000_000
MOST_CHANNELS = 32


class _Select:
    """One chip select of the board; bytes take no time."""

    def __init__(self, board: BoardModel, select: int) -> None:
        self._board, self._select = board, select

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port."""
        return self._board.transfer(self._select, mosi)


class _StartPin:
    """The START pins of all chips."""

    def __init__(self, board: BoardModel) -> None:
        self._board = board

    def write(self, bits: int) -> None:
        """1: conversions run."""
        self._board.set_start(bool(bits))


class SimulatedBox:
    """Data-ready, outputs and clock of one modelled board, and its first SPI port; `ports` are all of them.

    The board's time begins at 0; `_ahead_ns` is what the box's time has more.
    """

    def __init__(
        self,
        speed: float | None,
        seconds: float | None,
        sites: tuple[str, ...],
        options: ChipOptions,
        chips: int = 1,
    ) -> None:
        self._speed, self._seconds = speed, seconds
        self.stop = threading.Event()
        self.exhausted = False
        around = Surroundings(ground="bias")
        parts = (ADS1299,) * chips
        self.board = BoardModel(BoardSetup(parts, around=around, options=options, sites=sites))
        self.ports = tuple(_Select(self.board, k) for k in range(chips))
        self._ahead_ns = time.monotonic_ns()
        self._anchor_ns = self._start_ns = self._checked_ns = 0
        self._edges = 0
        self._last: int | None = None

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port; bytes take no time."""
        return self.board.transfer(0, mosi)

    def now_ns(self) -> int:
        """Clock port: the box's own time."""
        return self.board.now_ns() + self._ahead_ns

    def wait_ns(self, duration_ns: int) -> None:
        """Clock port: the box's own time passes at once."""
        self.board.advance(self.board.now_ns() + duration_ns)

    def wait(self, timeout_s: float) -> Edge | None:
        """Edge port: the next conversion with data, when its time has come."""
        if not self._anchor_ns:
            self._anchor()
        if self._edges == self._last:
            self.exhausted = True
            return None
        board = self.board
        while (due_ns := board.next_ready_ns()) is not None:
            if due_ns >= self._checked_ns and not self._pace(due_ns):
                return None
            board.advance(due_ns)
            for edge in board.edges():
                if edge.chip == 0:
                    self._edges += 1
                    return Edge(self._edges - 1, edge.t_ns + self._ahead_ns)
        return None

    def write(self, bits: int) -> None:
        """Output port: a rising line stimulates its site now; the chip sees it at its next conversion."""
        self.board.set_stimulus(bits)

    def _anchor(self) -> None:
        """The first sample is due now, but not before bringing the chip up has taken its time."""
        self.board.edges()
        self._anchor_ns = self.board.now_ns()
        self._ahead_ns = max(self._ahead_ns, time.monotonic_ns() - self._anchor_ns)
        self._start_ns = self._anchor_ns + self._ahead_ns
        if self._seconds is not None:
            self._last = round(self._seconds * self.board.rate_hz)

    def _pace(self, due_ns: int) -> bool:
        """Wait until this conversion is due; checked every 2 ms of the box's time. False when stopped."""
        self._checked_ns = due_ns + PACE_NS
        if self._speed is None:
            return not self.stop.is_set()
        late_ns = self._start_ns + round((due_ns - self._anchor_ns) / self._speed) - time.monotonic_ns()
        return not (self.stop.wait(late_ns / 1e9) if late_ns > 0 else self.stop.is_set())


class SimulatedSource:
    """A source whose front end is the simulated box; the driver, loop and sequencer are the real ones.

    `converter_noise` False leaves the patient's own noise only, whose level the scenario sets.
    """

    def __init__(
        self,
        speed: float | None,
        seconds: float | None,
        seed: int,
        scenario: Scenario = NO_CHANGE,
        converter_noise: bool = True,
    ) -> None:
        self.patient = speed is None
        self._speed, self._seconds = speed, seconds
        self._seed, self._scenario = seed, scenario
        self._noise = converter_noise
        self._box: SimulatedBox | None = None
        self._acquisition: Acquisition | None = None
        self._leads: LeadMonitor | None = None
        self._stimulator: SimulatedStimulator | None = None
        self.quiet: Callable[[], None] = lambda: None

    def configure(self, wanted: Configure) -> Description:
        """Power a board up and bring its chip up. Raises ConfigError for unknown electrodes or sites."""
        channels = wanted.channels
        if len(wanted.lines) > MOST_LINES or len(channels) > MOST_CHANNELS:
            raise ConfigError(
                f"{len(wanted.lines)} stimulus lines and {len(channels)} channels wanted, "
                f"the simulated box has {MOST_LINES} and {MOST_CHANNELS}; remove some"
            )
        chips = max(-(-len(channels) // ADS1299.channels), 1 + (len(wanted.lines) > LINES_PER_CHIP))
        lines = lines_of(chips)
        if self._seed < 0:
            raise ConfigError(f"simulated patient: seed = {self._seed} is impossible; give 0 or more")
        options = ChipOptions(noise=self._noise, seed=self._seed)
        box = SimulatedBox(self._speed, self._seconds, wanted.lines, options, chips)
        front_end = FrontEnd(box.ports, box, _StartPin(box.board) if chips > 1 else None)
        info = front_end.bring_up(FrontEndSetup(wanted.rate_hz, wanted.gain))
        n, has = len(channels), len(info.lsb_uv)
        self._stimulator = stimulator = SimulatedStimulator(wanted, self._scenario)
        electrodes = {name: k for k, name in enumerate(channels) if k not in stimulator.places}
        lie, plugs = self._scenario.electrode, self._scenario.plugs
        leads = ContactLeads(box.board, electrodes, wanted.rate_hz, lie, plugs)
        box.board.body = WiredBody(self._patient(wanted, stimulator), stimulator, has, leads)
        box.board.pulsed = stimulator.fire
        front_end.start()
        self._box = box
        self._leads = LeadMonitor(front_end, info, channels, box, lock=self._lock)
        layout = info.layout
        self._acquisition = Acquisition(
            front_end.read_frame,
            box,
            box,
            wanted.rate_hz,
            lines,
            n,
            layout.row_bytes,
            layout.first_bits,
            self._leads.watched(lambda rows: decode_board(rows, layout, lines)),
        )
        return Description(
            "simulated",
            wanted.rate_hz,
            channels,
            info.lsb_uv[:n],
            (0.0,) * n,
            LATENCY_OFFSET_SAMPLES,
            lines,
        )

    def _lock(self, on: bool) -> None:
        """A current for impedance flows, or no longer."""
        self.command(Lockout(0, LOCK_IMPEDANCE, int(on)))

    def command(self, command: Command) -> None:
        """Queue a stimulus command; the stimulator is set as its plan says."""
        if isinstance(command, StimPlan) and self._stimulator is not None:
            self._stimulator.plan(command)
        if self._acquisition is not None:
            self._acquisition.command(command)

    def heard(self, t_ns: int) -> None:
        """The host was heard; see ports.Source."""
        if self._acquisition is not None:
            self._acquisition.heard(t_ns)

    def lead_command(self, command: LeadCommand) -> None:
        """Queue a command about electrodes."""
        if self._leads is not None:
            self._leads.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """Acquire until `stop` or the configured seconds are over."""
        if self._acquisition is None or self._box is None or self._leads is None:
            raise ConfigError("not configured")
        self._box.stop, self._acquisition.quiet = stop, self.quiet
        with self._leads.tapped(put) as tapped:
            self._acquisition.run(tapped, stop)

    def _patient(self, wanted: Configure, stimulator: SimulatedStimulator) -> Patient:
        """The model patient; ConfigError for what it does not have."""
        electrodes = tuple(name for k, name in enumerate(wanted.channels) if k not in stimulator.places)
        try:
            patient = Patient(
                electrodes,
                wanted.rate_hz,
                self._seed,
                delay_samples=Filtered.delay_samples,
                scenario=self._scenario,
            )
            for site in filter(None, wanted.lines):
                patient.truth(site, (electrodes[0], None))
        except ValueError as error:
            raise ConfigError(f"simulated patient: {error}") from None
        return patient
