"""The composition root of the edge: the only place that knows which source is which."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import ConfigError, PortError
from firmware.playback import RecordingSource
from firmware.ports import Source
from firmware.simulated import SimulatedSource
from hw.model.scenario import NO_CHANGE, Scenario, parse_scenario


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What the edge was asked to be. `speed` None: as fast as it goes."""

    source: str
    speed: float | None = 1.0
    seconds: float | None = None
    seed: int = 1
    scenario: Path | None = None


def build(options: EdgeOptions) -> Source:
    """The source that `options.source` names: simulated or file:RECORDING.

    Raises ConfigError for any other, PortError when the recording is not there.
    """
    kind, _, rest = options.source.partition(":")
    if options.source == "simulated":
        scenario = NO_CHANGE if options.scenario is None else read_scenario(options.scenario)
        return SimulatedSource(options.speed, options.seconds, options.seed, scenario)
    if options.scenario is not None:
        raise ConfigError(f"--scenario belongs to --source simulated, not to {options.source}")
    if kind == "file" and rest:
        path = Path(rest)
        try:
            there = path.exists()
        except OSError as error:
            raise PortError(f"recording {path}: {error.strerror}; check the path") from None
        if not there:
            raise PortError(f"recording {path} does not exist; check the path")
        return RecordingSource(path, options.speed, options.seconds)
    if options.source == "pi":
        raise ConfigError(
            "--source pi needs the Linux backends, which this version does not have; use simulated"
        )
    raise ConfigError(f"--source {options.source!r} is not simulated, pi or file:RECORDING")


def read_scenario(path: Path) -> Scenario:
    """The scenario in a TOML file. Raises ConfigError in one line."""
    try:
        return parse_scenario(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"scenario {path}: {error.strerror}; check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"scenario {path}: {error}") from None
