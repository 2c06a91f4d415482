"""What a wrong answer of a chip means: expected, got, likely cause and cure, in one line.

Words only: sends nothing, decides nothing.
"""

LOST_WRITE = (
    "likely cause the write did not arrive (chip in continuous mode, or clocked too fast to decode); "
    "cure: at most 4 MHz for registers, chip select low 2 us after the last byte"
)
NO_ANSWER = (
    "likely cause no answer (chip unpowered, held in reset, without clock, wrong chip select, or used before "
    "128 ms after power-up); cure: check supplies, RESET pin, clock and chip select, then power up again"
)
FLOATING = (
    "likely cause the data line floats high (DOUT not connected, or wrong chip select); "
    "cure: check the wire from DOUT to MISO and the chip select in use"
)
SHIFTED = "likely cause bits shifted by one (wrong SPI mode); cure: use mode 1 (CPOL 0, CPHA 1)"
FLIPPED = "likely cause one bit flipped on the wire; cure: lower the SPI clock, shorten or shield the leads"
OTHER = "likely cause another part or a disturbed wire; cure: check the part's marking, lower the SPI clock"
NOT_RESET = (
    "likely cause the RESET command did not arrive, or power-up was upset; "
    "cure: check chip select and wires, switch supplies off and on"
)


def complaint(name: str, expected: int, got: int, cause: str) -> str:
    """One line about register `name`."""
    return f"expected 0x{expected:02X} in {name}, got 0x{got:02X}: {cause}"


def diagnose(expected: int, got: int, reset: int | None = None) -> str:
    """The likely cause and the cure for reading `got`; `reset` is given once the ID has read well."""
    if got == reset:
        return LOST_WRITE
    if got == 0x00:
        return NO_ANSWER
    if got == 0xFF:
        return FLOATING
    if got in (expected << 1 & 0xFF, expected << 1 & 0xFF | 1, expected >> 1, expected >> 1 | 0x80):
        return SHIFTED
    return FLIPPED if (got ^ expected).bit_count() == 1 else OTHER
