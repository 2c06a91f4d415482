"""The simulated box: the chip model wired to the patient model, behind the same ports as the real one.

Time is its own: edges come exactly 1/rate apart, the next one only after the last was asked for, at `speed`
times real time (None: as fast as asked). It therefore loses nothing on a busy machine and says nothing about
one. The stimulus lines are looped back to the chip's GPIO pins, as on the board.
"""

import threading
import time

from firmware.acquisition import Acquisition
from firmware.ads1299 import Ads1299
from firmware.errors import ConfigError
from firmware.ports import Command, Edge, Put
from hw.board import LATENCY_OFFSET_SAMPLES, N_LINES, SINC3_DELAY_SAMPLES
from hw.chips import VREF_V
from hw.frames import lsb_uv
from hw.link import Configure, Description
from hw.model.ads1299 import Ads1299Model
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario

PACE_NS = 2_000_000


class SimulatedBox:
    """SPI, data-ready, outputs and clock of one simulated board (all four ports in one)."""

    def __init__(self, speed: float | None, seconds: float | None) -> None:
        self._speed, self._seconds = speed, seconds
        self.stop = threading.Event()
        self._now_ns = time.monotonic_ns()
        self._anchor_ns = self._start_ns = 0
        self._period_ns = 0.0
        self._checked_ns = 0
        self._last: int | None = None
        self._conversion = self._edge = 0
        self._outputs = 0
        self._open: list[float] = []
        self._sites: tuple[str, ...] = ()
        self._patient: Patient | None = None
        self.exhausted = False
        self.chip = Ads1299Model(self.now_ns)

    def wire(self, patient: Patient, sites: tuple[str, ...], rate_hz: float) -> None:
        """Put the electrodes on `patient` and stimulus line k on sites[k-1] ("" for none)."""
        self._patient, self._sites = patient, sites
        self._open = [0.0] * (self.chip.chip.channels - len(patient.electrodes))
        self._period_ns = 1e9 / rate_hz
        self._last = None if self._seconds is None else round(self._seconds * rate_hz)

    def power_up(self) -> None:
        """The box's time is the real one; bringing the chip up then takes time of its own."""
        self._now_ns = time.monotonic_ns()

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port."""
        return self.chip.transfer(mosi)

    def now_ns(self) -> int:
        """Clock port: the box's own time."""
        return self._now_ns

    def wait_ns(self, duration_ns: int) -> None:
        """Clock port: the box's own time passes at once."""
        self._now_ns += duration_ns

    def wait(self, timeout_s: float) -> Edge | None:
        """Edge port: the next conversion, when its time has come."""
        patient = self._patient
        if patient is None or (self._last is not None and self._edge >= self._last):
            self.exhausted = patient is not None
            return None
        while True:
            self._advance()
            if self._now_ns >= self._checked_ns and not self._pace():
                return None
            volts = patient.read(self._conversion)
            ready = self.chip.convert(volts + self._open if self._open else volts)
            self._conversion += 1
            if ready:
                self._edge += 1
                return Edge(self._edge - 1, self._now_ns)

    def _advance(self) -> None:
        if not self._anchor_ns:  # not before the time that bringing the chip up has taken: it must settle
            self._anchor_ns = self._start_ns = max(self._now_ns, time.monotonic_ns())
        self._now_ns = self._anchor_ns + round(self._conversion * self._period_ns)

    def _pace(self) -> bool:
        """Wait until this conversion is due; checked every 2 ms of the box's time. False when stopped."""
        self._checked_ns = self._now_ns + PACE_NS
        if self._speed is None:
            return not self.stop.is_set()
        due_ns = self._start_ns + round((self._now_ns - self._anchor_ns) / self._speed)
        late_ns = due_ns - time.monotonic_ns()
        return not (self.stop.wait(late_ns / 1e9) if late_ns > 0 else self.stop.is_set())

    def write(self, bits: int) -> None:
        """Output port: a rising line stimulates its site now; the chip sees it at its next conversion."""
        rising = bits & ~self._outputs
        self._outputs = bits
        self.chip.gpio_pins = bits
        for line, site in enumerate(self._sites):
            if rising >> line & 1 and site and self._patient is not None:
                self._patient.stimulate(float(self._conversion - 1), site)


class SimulatedSource:
    """A source whose front end is the simulated box; the driver, loop and sequencer are the real ones."""

    def __init__(
        self, speed: float | None, seconds: float | None, seed: int, scenario: Scenario = NO_CHANGE
    ) -> None:
        self.patient = speed is None
        self._box = SimulatedBox(speed, seconds)
        self._seed, self._scenario = seed, scenario
        self._acquisition: Acquisition | None = None

    def configure(self, wanted: Configure) -> Description:
        """Bring the simulated chip up. Raises ConfigError for unknown electrodes or sites."""
        channels = wanted.channels
        if len(wanted.lines) > N_LINES:
            raise ConfigError(
                f"{len(wanted.lines)} stimulus lines wanted, the board has {N_LINES}; remove some"
            )
        self._box.power_up()
        driver = Ads1299(self._box, self._box)
        chip = driver.bring_up(wanted.rate_hz, wanted.gain)
        if len(channels) > chip.channels:
            raise ConfigError(
                f"{len(channels)} channels wanted, the simulated box has {chip.channels}; remove some"
            )
        try:
            patient = Patient(
                channels,
                wanted.rate_hz,
                self._seed,
                delay_samples=SINC3_DELAY_SAMPLES,
                scenario=self._scenario,
            )
            for site in filter(None, wanted.lines):
                patient.truth(site, (channels[0], None))
        except ValueError as error:
            raise ConfigError(f"simulated patient: {error}") from None
        self._box.wire(patient, wanted.lines, wanted.rate_hz)
        self._acquisition = Acquisition(
            driver.read_frame, self._box, self._box, wanted.rate_hz, N_LINES, len(channels)
        )
        scale = lsb_uv(wanted.gain, VREF_V)
        n = len(channels)
        return Description(
            "simulated", wanted.rate_hz, channels, (scale,) * n, (0.0,) * n, LATENCY_OFFSET_SAMPLES, N_LINES
        )

    def command(self, command: Command) -> None:
        """Queue a stimulus command."""
        if self._acquisition is not None:
            self._acquisition.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """Acquire until `stop` or the configured seconds are over."""
        if self._acquisition is None:
            raise ConfigError("not configured")
        self._box.stop = stop
        self._acquisition.run(put, stop)
