"""The sites that can be stimulated on the model patient, by name: a side and what is stimulated there."""

from hw.board import INVERTED
from hw.model.muscles import MOTOR
from hw.model.pathways import WAYS

SITES = tuple(
    f"{side} {nerve}" for nerve in (*WAYS, *(n for n in MOTOR if n not in WAYS)) for side in ("left", "right")
)


def find(site: str) -> tuple[str, str, float]:
    """`site` as ("left" or "right", what is stimulated, polarity). ValueError names the known sites."""
    bare = site.removesuffix(INVERTED)
    side, _, nerve = bare.partition(" ")
    if bare not in SITES:
        raise ValueError(
            f"site {site!r} evokes nothing in the model patient; known sites: {', '.join(SITES)}"
        )
    return side, nerve, 1.0 if bare == site else -1.0
