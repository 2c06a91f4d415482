"""The coprocessor: an RP2040 or RP2350 between host and converters.

`board/` is what runs on it; some of that is made from the box's own sources.
"""
