"""The oscillators of a modelled board: who runs on whose clock (facts/hardware.md 1.1, 1.7)."""

from hw.model.board_setup import BoardSetup
from hw.model.oscillator import Oscillator
from hw.model.stochastic import child


def oscillators(setup: BoardSetup, now_ns: int) -> tuple[Oscillator, ...]:
    """One for every chip; the same for all where they share a clock."""
    seed = setup.options.seed
    if setup.clocks != "own":
        return (Oscillator(setup.oscillator_ppm, setup.wander_ppm, seed, now_ns),) * len(setup.chips)
    spread = child(seed, "oscillators")
    return tuple(
        Oscillator(
            setup.oscillator_ppm + float(spread.uniform(-1, 1)) * setup.spread_ppm,
            setup.wander_ppm,
            seed + k,
            now_ns,
        )
        for k in range(len(setup.chips))
    )
