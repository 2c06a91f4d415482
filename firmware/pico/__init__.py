<<<<<<< HEAD
"""The coprocessor: firmware of a Raspberry Pi Pico between the converters and the box (`board/`, MicroPython),
and what is made for it from the box's own sources."""
=======
"""The coprocessor: an RP2040 or RP2350 between host and converters. `board/` is what runs on it."""
>>>>>>> pio
