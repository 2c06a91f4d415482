"""What the electrodes see on the rig: the model patient, a recording, a ramp, or steady volts.

Owns the passage from the program's own rate and START to each body's time; refuses to know chips. A body's
time runs while the chip converts: the program may choose its rate, stop, and start again.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from firmware.errors import ConfigError, PortError
from firmware.recorded import open_recording
from hw.board import SINC3_DELAY_SAMPLES
from hw.model.body import ELECTRODES
from hw.model.patient import Patient
from hw.model.scenario import Scenario
from hw.model.sites import SITES
from hw.raw_bdf import RAW_NAME
from hw.recording import RecordingReader, TriggerMap, read_header
from hw.samples import SampleBlock

RAMP_V: Final = 100e-6
RAMP_SAMPLES: Final = 80_000
RAMP_START_V: Final = -4.0
_BLOCK: Final = 4096
RateHz = Callable[[], float]


class Steady:
    """The same volts on each channel, for ever."""

    def __init__(self, volts: Sequence[float]) -> None:
        self._volts = tuple(volts)

    def read(self, sample: int) -> Sequence[float]:
        """The volts, whatever the sample."""
        return self._volts

    def stimulate(self, at: float, site: str) -> None:
        """Nothing answers."""


class Ramp:
    """RAMP_V more with every conversion on every channel, from RAMP_START_V; again after RAMP_SAMPLES.

    Shows a program, or a test of one, which sample it holds.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels

    def read(self, sample: int) -> Sequence[float]:
        """Volts of conversion `sample`."""
        return (RAMP_START_V + RAMP_V * (sample % RAMP_SAMPLES),) * self._channels

    def stimulate(self, at: float, site: str) -> None:
        """Nothing answers."""


class PatientBody:
    """The model patient at whatever rate the program sets. One thread.

    `electrodes`: one name per channel; empty takes the model's in order, from the start again when they end.
    Raises ConfigError for an unknown electrode.
    """

    def __init__(
        self, channels: int, rate_hz: RateHz, seed: int, scenario: Scenario, electrodes: tuple[str, ...] = ()
    ) -> None:
        names = electrodes or tuple(ELECTRODES)
        self._electrodes = tuple(names[k % len(names)] for k in range(channels))
        self._rate_hz, self._seed, self._scenario = rate_hz, seed, scenario
        self._patient = self._at_rate(1000.0)
        self._base = 0
        self._last = -1
        self._stimulated = -1.0

    def read(self, sample: int) -> Sequence[float]:
        """Volts of conversion `sample`."""
        if self._rate_hz() != self._patient.rate_hz:
            self._change_rate(sample)
        self._last = self._base + sample
        return self._patient.read(self._last)

    def stimulate(self, at: float, site: str) -> None:
        """Responses follow in later samples. A stimulus before the first sample leaves no trace."""
        at += self._base
        if at >= max(self._last, 0) and at > self._stimulated:
            self._stimulated = at
            self._patient.stimulate(at, site)

    def _change_rate(self, sample: int) -> None:
        """The same patient at another rate, as old as before."""
        lived_s = (self._last + 1) / self._patient.rate_hz
        self._patient = self._at_rate(self._rate_hz())
        self._base = round(lived_s * self._patient.rate_hz) - sample
        self._stimulated = -1.0

    def _at_rate(self, rate_hz: float) -> Patient:
        try:
            return Patient(
                self._electrodes,
                rate_hz,
                self._seed,
                delay_samples=SINC3_DELAY_SAMPLES,
                scenario=self._scenario,
            )
        except ValueError as error:
            raise ConfigError(f"--electrodes: {error}") from None


class RecordingBody:
    """A recording, whatever its rate and the program's: the sample nearest in time, over and over.

    Channels beyond the recording's, and gaps, read 0 V. Raises ConfigError for what is no recording,
    PortError when it cannot be opened.
    """

    def __init__(self, path: Path, channels: int, rate_hz: RateHz) -> None:
        path = path / RAW_NAME if path.is_dir() else path
        self._files = contextlib.ExitStack()
        try:
            self._reader = _reader(*open_recording(path, self._files))
        except OSError as error:
            raise PortError(f"--recording {path}: {error.strerror}; check the path") from None
        except ValueError as error:
            raise ConfigError(f"--recording {path}: {error}") from None
        if not self._reader.n_samples:
            raise ConfigError(f"--recording {path}: it has no samples; choose another")
        self._channels, self._rate_hz = channels, rate_hz
        used = min(channels, len(self._reader.channels))
        self._scale = np.array(self._reader.lsb_uv[:used]) * 1e-6
        self._offset = np.array(self._reader.offset_uv[:used]) * 1e-6
        self._rest = (0.0,) * (channels - used)
        self._lap = -1
        self._origin, self._step, self._taken = 0.0, 0.0, 0  # in samples of the recording, all laps
        self._blocks: Iterator[SampleBlock] = iter(())
        self._block: SampleBlock | None = None

    def read(self, sample: int) -> Sequence[float]:
        """Volts of conversion `sample`."""
        step = self._reader.rate_hz / self._rate_hz()
        if step != self._step:
            self._origin += self._taken * self._step
            self._step, self._taken = step, 0
        at = int(self._origin + self._taken * step + 1e-6)  # no sample late for a rounding
        self._taken += 1
        lap, index = divmod(at, self._reader.n_samples)
        return self._volts(lap, index + self._reader.first_index)

    def stimulate(self, at: float, site: str) -> None:
        """A recording does not answer."""

    def _volts(self, lap: int, index: int) -> Sequence[float]:
        if lap != self._lap:
            self._lap = lap
            self._blocks = self._reader.blocks(_BLOCK)
            self._block = next(self._blocks, None)
        while self._block is not None and index >= self._block.end_index:
            self._block = next(self._blocks, None)
        if self._block is None or index < self._block.first_index:
            return (0.0,) * self._channels
        counts = self._block.counts[index - self._block.first_index, : len(self._scale)]
        volts: list[float] = (counts * self._scale + self._offset).tolist()
        return (*volts, *self._rest)


def _reader(file: BinaryIO, *further: BinaryIO) -> RecordingReader:
    """All signals in volts; which of them would be the trigger is no matter here. Raises ValueError."""
    volts = tuple(s.label for s in read_header(file).signals if s.unit.casefold().endswith("v"))
    if not volts:
        raise ValueError("none of its signals has a unit of voltage")
    return RecordingReader(file, volts, TriggerMap(trigger_channel=volts[0], threshold=0.0), further)


def check_sites(sites: Sequence[str]) -> tuple[str, ...]:
    """Sites of the stimulus lines. Raises ConfigError for one that the model patient does not have."""
    for site in sites:
        if site and site not in SITES:
            raise ConfigError(f"--sites: {site!r} is unknown; use {', '.join(SITES)} or nothing")
    return tuple(sites)
