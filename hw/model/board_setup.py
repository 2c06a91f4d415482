"""What is on the modelled board: chips, clocks, selects, wiring, and what the electrodes see. No behaviour.

Facts/hardware.md 1.7 for several chips.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hw.board import LINES_PER_CHIP, lines_of
from hw.chips import ADS1299, ChipSpec
from hw.model.ads1299_options import ChipOptions, Surroundings

MAX_CHIPS = 4
Clocks = Literal["shared", "first_chip", "own"]


class Body(Protocol):
    """What the electrodes see."""

    def read(self, sample: int) -> Sequence[float]:
        """Volts at conversion `sample`, one per channel of all chips, in order.

        Counted from 0 at the first START, settling conversions too, and never back: a restart goes on with
        the next number. The volts are what the filter makes of the input: delayed by 1.5 samples, as
        `Patient` does, or behind `hw.model.sinc3.Filtered`, which adds its droop.
        """
        ...

    def stimulate(self, at: float, site: str) -> None:
        """A stimulus at `site`, `at` conversions after conversion 0; later samples show it."""
        ...


class Nobody:
    """Electrodes in a beaker: 0 V on `channels` channels."""

    def __init__(self, channels: int) -> None:
        self._volts = (0.0,) * channels

    def read(self, sample: int) -> Sequence[float]:
        """0 V everywhere."""
        return self._volts

    def stimulate(self, at: float, site: str) -> None:
        """Nothing answers."""


@dataclass(frozen=True, slots=True)
class BoardSetup:
    """What is on the board. `sites[k]` is what stimulus line k+1 stimulates ("" for nothing).

    `oscillator_ppm`, `wander_ppm`: error of the clock and the rms of its slow wander; 0 and 0 give exact
    times. `clocks`: `shared`, one clock for all chips; `first_chip`, the first gives it to the others once
    its CONFIG1.CLK_EN is 1, until then they are dead; `own`, every chip runs freely, its error spread by
    a seeded +-`spread_ppm`, as on boards whose chips slide against each other.
    `daisy`: all chips on select 0, the first shifts out what the others give behind its own frame; else one
    select each. `daisy_gap_bits`: bits between two frames, 0 by default since working code reads none, 1 as
    the datasheet's figure can be read (facts 1.7, in doubt).
    """

    chips: tuple[ChipSpec, ...] = (ADS1299,)
    around: Surroundings = field(default_factory=Surroundings)
    sites: tuple[str, ...] = ("",) * LINES_PER_CHIP
    options: ChipOptions = field(default_factory=ChipOptions)
    oscillator_ppm: float = 0.0
    wander_ppm: float = 0.0
    clocks: Clocks = "shared"
    spread_ppm: float = 200.0
    daisy: bool = False
    daisy_gap_bits: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.chips) <= MAX_CHIPS:
            raise ValueError(f"a board has 1 to {MAX_CHIPS} chips, not {len(self.chips)}")
        if len(self.sites) > (lines := lines_of(len(self.chips))):
            raise ValueError(f"{len(self.sites)} stimulus sites, the board has {lines} lines; remove some")
        if self.daisy_gap_bits not in (0, 1):
            raise ValueError(f"{self.daisy_gap_bits} bits between daisy-chained frames: it is 0 or 1")


@dataclass(frozen=True, slots=True)
class ReadyEdge:
    """Data-ready of `chip` (0 = first) fell at `t_ns`; `seq` counts that chip's edges from 0."""

    chip: int
    seq: int
    t_ns: int
