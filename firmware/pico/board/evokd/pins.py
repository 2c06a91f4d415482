"""Which pin of the Pico does what; the board's layout, in one place."""

SCLK, DIN = 2, 3
SELECT = 4
"""GP4 to GP7: chip select of each converter, low together while frames are read."""
DOUT = 8
"""GP8 to GP11: data out of each converter."""
READY = 12
"""Data-ready of the first converter; all share clock and START."""
START, RESET = 13, 14
PIO0_FUNCTION = 6
"""By which a pin is the first PIO block's, the readers' (RP2040 datasheet 2.19.2, RP2350's 9.4)."""
LINE = 15
"""GP15 to GP22: stimulus lines 1 to 8, also wired to the converters' GPIO pins."""
STROBE = 26
"""Left unconnected: by it the scheduler tells the pulse program that it is time."""
MOST_CHIPS = 4
MOST_LINES = 8
