"""The terminal display: a bus client that shows a case over ssh, line by line, or aloud.

What is known (`known`, `courses`) is told as lines of styled text (`screen` and what it is made of), which
a thin Textual application (`app`) puts on the terminal; `plain` tells the same without a screen, `sound`
aloud. Refuses to fire anything, and to let old numbers look live.
"""
