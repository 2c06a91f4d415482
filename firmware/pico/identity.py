"""How a running board names itself: the `source` of the Description that follows its Hello.

`pico RP2040; evokd 0.1.0; image 0123456789abcdef; self test passed`: board, package version, the first digits
of the manifest's image hash, and what its self test found.
"""

import re
from dataclasses import dataclass

IMAGE_DIGITS = 16
_FORM = re.compile(
    r"pico (?P<board>[^;]+); evokd (?P<version>[^;]+); image (?P<image>[0-9a-f]{16}); (?P<test>.+)"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a board says of itself."""

    board: str
    version: str
    image: str
    self_test: str

    @property
    def text(self) -> str:
        """As the link carries it."""
        image = self.image[:IMAGE_DIGITS]
        return f"pico {self.board}; evokd {self.version}; image {image}; {self.self_test}"


def read(source: str) -> Identity | None:
    """The inverse of `text`, None for what is no board's."""
    match = _FORM.fullmatch(source)
    return None if match is None else Identity(*match.groups())
