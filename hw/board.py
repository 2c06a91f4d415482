"""The board: how many lines, where they return, what the loop costs in time.

A line's output pin is wired to the converter's GPIO input of the same number, which appears in the status
word. The pin is raised after the frame of sample j has been read, the level is latched at conversion j+1, and
the converter's sinc3 filter delays its samples by 1.5 periods (facts: hardware 1.1, 2).
"""

N_LINES = 4
SINC3_DELAY_SAMPLES = 1.5
LATCH_LAG_SAMPLES = 1
LATENCY_OFFSET_SAMPLES = LATCH_LAG_SAMPLES - SINC3_DELAY_SAMPLES
"""Row k counted from the first sample that shows the trigger lies (k - 0.5) periods after the stimulus."""
