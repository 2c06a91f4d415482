"""What is broken between the modelled chips and the controller: selects, data lines, data-ready.

Owns what becomes of bytes and edges on their way; as built it changes nothing and is not asked. Faults inside
a chip are `ads1299_options.Trouble`.
"""

from dataclasses import dataclass

import numpy as np

from hw.model.stochastic import child


@dataclass(slots=True)
class ChipWires:
    """One chip's wires. `answers`: the byte that the controller always reads, None as sent.

    `shift_bits`: bits come late by so many. `flip_share`: of bits on the way to the controller.
    `corrupt_every`, `stale_every`: frames whose header is broken, and frames that are the one before again.
    `ready_every`: which data-ready edges are lost, 1 for all; `restart_every`: edges until START breaks;
    `reset_after`: edges after which the chip resets itself. 0 for none.
    """

    answers: int | None = None
    din_open: bool = False
    select_stuck: bool | None = None
    shift_bits: int = 0
    flip_share: float = 0.0
    corrupt_every: int = 0
    stale_every: int = 0
    ready_every: int = 0
    restart_every: int = 0
    reset_after: int = 0
    edges: int = 0
    frames: int = 0
    last_frame: bytes = b""


class WireFaults:
    """All wires of a board with `chips` chips. `selects[k]` is the chip that select k reaches."""

    def __init__(self, chips: int, seed: int) -> None:
        self.chips = [ChipWires() for _ in range(chips)]
        self.selects = list(range(chips))
        self._generator = child(seed, "wires")

    def heard_by(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The chips whose select is low when those of `wanted` are driven low."""
        reached = {self.selects[k] for k in wanted}
        return tuple(
            k
            for k, wires in enumerate(self.chips)
            if (k in reached and wires.select_stuck is not True) or wires.select_stuck is False
        )

    def sent(self, chip: int, mosi: bytes) -> bytes:
        """What arrives at the chip."""
        return bytes(len(mosi)) if self.chips[chip].din_open else mosi

    def received(self, chip: int, miso: bytes, frame_at: int | None) -> bytes:
        """What arrives at the controller; `frame_at`: where in it a frame begins."""
        wires = self.chips[chip]
        if frame_at is not None and (wires.corrupt_every or wires.stale_every):
            miso = self._frame(wires, miso, frame_at)
        if wires.shift_bits:
            bits = int.from_bytes(miso, "big") >> wires.shift_bits
            miso = bits.to_bytes(len(miso), "big")
        if wires.flip_share:
            flips = np.packbits(self._generator.random(8 * len(miso)) < wires.flip_share)
            miso = (np.frombuffer(miso, np.uint8) ^ flips).tobytes()
        if wires.answers is not None:
            miso = bytes([wires.answers]) * len(miso)
        return miso

    def _frame(self, wires: ChipWires, miso: bytes, at: int) -> bytes:
        """A frame whose header is broken or that was sent before."""
        wires.frames += 1
        frame = miso[at:]
        if (
            wires.stale_every
            and wires.frames % wires.stale_every == 0
            and len(wires.last_frame) == len(frame)
        ):
            frame = wires.last_frame
        wires.last_frame = frame
        if wires.corrupt_every and wires.frames % wires.corrupt_every == 0:
            frame = bytes([frame[0] ^ 0x50]) + frame[1:]
        return miso[:at] + frame
