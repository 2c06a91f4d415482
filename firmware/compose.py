"""The composition root of the edge: the only place that knows which source is which."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.errors import ConfigError, PortError
from firmware.playback import RecordingSource
from firmware.ports import Source
from firmware.simulated import SimulatedSource
from firmware.wiring import Wiring, read_wiring
from hw.model.scenario import NO_CHANGE, Scenario, parse_scenario


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What the edge was asked to be. `speed` None: as fast as it goes."""

    source: str
    speed: float | None = 1.0
    seconds: float | None = None
    seed: int = 1
    scenario: Path | None = None
    wiring: Path | None = None


def build(options: EdgeOptions, say: Callable[[str], None] = lambda line: None) -> Source:
    """The source that `options.source` names: simulated, pi or file:RECORDING. `say` gets lines for the log.

    Raises ConfigError for any other, PortError when the recording is not there.
    """
    kind, _, rest = options.source.partition(":")
    if options.wiring is not None and options.source != "pi":
        raise ConfigError(f"--wiring belongs to --source pi, not to {options.source}")
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
        if options.speed != 1.0:
            raise ConfigError("--speed belongs to recordings and the simulation; a board has its own")
        # Here and not above: no other source needs compiled device loops and their bindings.
        from firmware.linux_source import LinuxSource

        wiring = Wiring() if options.wiring is None else read_wiring(options.wiring)
        return LinuxSource(wiring, options.seconds, say)
    raise ConfigError(f"--source {options.source!r} is not simulated, pi or file:RECORDING")


def read_scenario(path: Path) -> Scenario:
    """The scenario in a TOML file. Raises ConfigError in one line."""
    try:
        return parse_scenario(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"scenario {path}: {error.strerror}; check the path") from None
    except RecursionError:
        raise ConfigError(f"scenario {path}: nested too deeply; it is a list of tables") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"scenario {path}: {error}") from None
