"""The simulated box: the modelled board wired to the patient model, behind the same ports as the real one.

Owns pace: the board's time is its own, its edges come exactly 1/rate apart, the next one only after the last
was asked for, at `speed` times real time (None: as fast as asked). It therefore loses nothing on a busy
machine and says nothing about one. Everything on the board, the loop back of the stimulus lines too, is
`hw.model.board`'s.
"""

import threading
import time
from collections.abc import Sequence

from firmware.acquisition import Acquisition
from firmware.errors import ConfigError
from firmware.front_end import FrontEnd, FrontEndSetup
from firmware.leads.monitor import LeadMonitor
from firmware.ports import Command, Edge, LeadCommand, Put
from hw.board import LATENCY_OFFSET_SAMPLES, N_LINES
from hw.frames import decode_frames
from hw.link import Configure, Description
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.sinc3 import Filtered

PACE_NS = 2_000_000


class _Wired:
    """The patient's electrodes on the board's first channels, seen through the filter; the others open."""

    def __init__(self, patient: Patient, channels: int) -> None:
        self._filtered = Filtered(patient)
        self._open = [0.0] * (channels - len(patient.electrodes))

    def read(self, sample: int) -> Sequence[float]:
        """Volts per channel."""
        volts = self._filtered.read(sample)
        return volts + self._open if self._open else volts

    def stimulate(self, at: float, site: str) -> None:
        """The patient answers."""
        self._filtered.stimulate(at, site)


class SimulatedBox:
    """SPI, data-ready, outputs and clock of one modelled board (all four ports in one).

    The board's time begins at 0; `_ahead_ns` is what the box's time has more.
    """

    def __init__(
        self, speed: float | None, seconds: float | None, sites: tuple[str, ...], options: ChipOptions
    ) -> None:
        self._speed, self._seconds = speed, seconds
        self.stop = threading.Event()
        self.exhausted = False
        around = Surroundings(ground="bias")
        self.board = BoardModel(BoardSetup(around=around, options=options, sites=sites))
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
            if edges := board.edges():
                self._edges += 1
                return Edge(self._edges - 1, edges[0].t_ns + self._ahead_ns)
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

    def configure(self, wanted: Configure) -> Description:
        """Power a board up and bring its chip up. Raises ConfigError for unknown electrodes or sites."""
        channels = wanted.channels
        if len(wanted.lines) > N_LINES:
            raise ConfigError(
                f"{len(wanted.lines)} stimulus lines wanted, the board has {N_LINES}; remove some"
            )
        if self._seed < 0:
            raise ConfigError(f"simulated patient: seed = {self._seed} is impossible; give 0 or more")
        options = ChipOptions(noise=self._noise, seed=self._seed)
        box = SimulatedBox(self._speed, self._seconds, wanted.lines, options)
        front_end = FrontEnd([box], box)
        info = front_end.bring_up(FrontEndSetup(wanted.rate_hz, wanted.gain))
        n, has = len(channels), len(info.lsb_uv)
        if n > has:
            raise ConfigError(f"{n} channels wanted, the simulated box has {has}; remove some")
        box.board.body = _Wired(self._patient(wanted), has)
        front_end.start()
        self._box = box
        self._leads = LeadMonitor(front_end, info, channels, box)
        decode = self._leads.watched(decode_frames)
        self._acquisition = Acquisition(
            front_end.read_frame, box, box, wanted.rate_hz, N_LINES, n, decode=decode
        )
        return Description(
            "simulated",
            wanted.rate_hz,
            channels,
            info.lsb_uv[:n],
            (0.0,) * n,
            LATENCY_OFFSET_SAMPLES,
            N_LINES,
        )

    def command(self, command: Command) -> None:
        """Queue a stimulus command."""
        if self._acquisition is not None:
            self._acquisition.command(command)

    def lead_command(self, command: LeadCommand) -> None:
        """Queue a command about electrodes."""
        if self._leads is not None:
            self._leads.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """Acquire until `stop` or the configured seconds are over."""
        if self._acquisition is None or self._box is None or self._leads is None:
            raise ConfigError("not configured")
        self._box.stop = stop
        with self._leads.tapped(put) as tapped:
            self._acquisition.run(tapped, stop)

    def _patient(self, wanted: Configure) -> Patient:
        """The model patient; ConfigError for what it does not have."""
        try:
            patient = Patient(
                wanted.channels,
                wanted.rate_hz,
                self._seed,
                delay_samples=Filtered.delay_samples,
                scenario=self._scenario,
            )
            for site in filter(None, wanted.lines):
                patient.truth(site, (wanted.channels[0], None))
        except ValueError as error:
            raise ConfigError(f"simulated patient: {error}") from None
        return patient
