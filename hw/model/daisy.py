"""The daisy chain of modelled chips: what DAISY_IN of one gets from the next. Owns the gap between frames."""

from hw.model.ads1299 import Ads1299Model


class Tail:
    """What a chip shifts into the one before it: `gap_bits` and its own stream."""

    def __init__(self, chip: Ads1299Model, gap_bits: int) -> None:
        self._chip, self._gap_bits = chip, gap_bits

    def __call__(self) -> bytes:
        """The bytes of all chips behind."""
        stream = self._chip.stream()
        if not self._gap_bits:
            return stream
        late = int.from_bytes(stream, "big") << 8 >> self._gap_bits
        return late.to_bytes(len(stream) + 1, "big")
