"""The coprocessor: firmware of a Raspberry Pi Pico between the converters and the box (`board/`, MicroPython),
and what is made for it from the box's own sources."""
