"""What a kernel's GPIO character device answers, asked by raw ioctls: one observation per rule, as JSON.

Owns the asking, in modules of cases by noun, and the order of those; refuses to know the right answers: a
record of a real kernel holds those. Rules are those of drivers/gpio/gpiolib-cdev.c of Linux 6.1.

Inputs are driven before they are read; nothing is observed of a line's level after its release, which is the
driver's matter; events are counted and ordered, never timed.
"""

from importlib import import_module
from typing import Final

NOUNS: Final = (
    "information",
    "ioctls",
    "flags",
    "requests",
    "values",
    "events",
    "configuration",
    "watching",
    "version_1",
    "descriptors",
    "removal",
)
"""Modules of cases, in the order in which they are asked; importing one registers its cases."""

for _noun in NOUNS:
    import_module(f"{__name__}.{_noun}")
