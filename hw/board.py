"""The board: how many lines, where they return, what the loop costs in time.

The output pins of lines 1 to 4 are wired to the GPIO inputs of the first converter, those of 5 to 8 to the
second one's; they appear in the status word. A pin is raised after the frame of sample j has been read, the
level is latched at conversion j+1, and the converter's sinc3 filter delays its samples by 1.5 periods (facts:
hardware 1.1, 2).
"""

LINES_PER_CHIP = 4
MOST_LINES = 8
SINC3_DELAY_SAMPLES = 1.5
LATCH_LAG_SAMPLES = 1
LATENCY_OFFSET_SAMPLES = LATCH_LAG_SAMPLES - SINC3_DELAY_SAMPLES
"""Row k counted from the first sample that shows the trigger lies (k - 0.5) periods after the stimulus."""

INVERTED = " inverted"
"""Behind the name of what a line stimulates: it does so with the other polarity."""


def lines_of(chips: int) -> int:
    """How many lines a board of so many chips has: four return to each of the first two."""
    return min(chips * LINES_PER_CHIP, MOST_LINES)
