"""Derivation names to channel weights: "CP4", "CP4-CP3", "Cz-(A1+A2)/2".

Owns the notation only; which derivations a modality wants is `hostd.modalities`.
"""

import re
from collections.abc import Sequence

from dsp.nouns import Derivation

# Two channels and a link of a handful; beyond it trying every split would only cost time.
_LONGEST = 200
_LINKED = re.compile(r"\((.+)\)/([0-9]+)")


class UnknownElectrodeError(ValueError):
    """A derivation names electrodes that are not among the channels; `names` holds them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"no channel {', '.join(names)}")
        self.names = names


def derive(name: str, channels: Sequence[str]) -> Derivation:
    """The derivation that `name` writes: a channel, or ACTIVE-REFERENCE, each a channel or a link (A+B)/2.

    Labels may hold '-', so every split is tried. A whole name that is a channel is that channel. Raises
    UnknownElectrodeError when an electrode is missing and ValueError when the name has two readings,
    cancels to nothing or is absurdly long.
    """
    text = name.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    whole = _term(text, channels)
    if whole is not None:
        return Derivation(text, whole)
    readings: list[tuple[float, ...]] = []
    for active, reference in _splits(text):
        plus, minus = _term(active, channels), _term(reference, channels)
        if plus is not None and minus is not None:
            readings.append(tuple(a - b for a, b in zip(plus, minus, strict=True)))
    if not readings:
        raise UnknownElectrodeError(_missing(text, channels))
    if len(readings) > 1:
        raise ValueError("can be read in two ways, as the labels hold '-' themselves")
    if not any(readings[0]):
        raise ValueError("subtracts an electrode from itself")
    return Derivation(text, readings[0])


def _splits(text: str) -> list[tuple[str, str]]:
    return [(text[:at].strip(), text[at + 1 :].strip()) for at, sign in enumerate(text) if sign == "-"]


def _members(term: str) -> list[str]:
    """The electrodes of a term: those of a link (A+B)/2 whose divisor counts them, else the term itself."""
    linked = _LINKED.fullmatch(term)
    if linked:
        members = [member.strip() for member in linked[1].split("+")]
        if linked[2] == str(len(members)) and len(set(members)) == len(members):
            return members
    return [term]


def _term(term: str, channels: Sequence[str]) -> tuple[float, ...] | None:
    """Weights of a channel or of a link; None when an electrode of it is no channel."""
    members = [term] if term in channels else _members(term)
    if any(member not in channels for member in members):
        return None
    return tuple(1.0 / len(members) if channel in members else 0.0 for channel in channels)


def _missing(text: str, channels: Sequence[str]) -> tuple[str, ...]:
    """The electrodes to blame, by the split that leaves the fewest unknown."""
    blamed = [
        tuple(member for side in split for member in _members(side) if member not in channels)
        for split in _splits(text)
    ]
    return min(blamed, key=len) if blamed else tuple(m for m in _members(text) if m not in channels)
