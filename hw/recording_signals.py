"""Which signals of a recording are the case's channels, and what its trigger signal's samples mean.

Owns label matching, units, and counts -> trigger bits. Refuses a choice that the file leaves open:
every refusal is one ValueError line that lists what the file has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hw.bdf import Header, Signal
from hw.raw_bdf import TRIGGER_LABEL

_UV_PER_UNIT = {"uv": 1.0, "\N{MICRO SIGN}v": 1.0, "\N{GREEK SMALL LETTER MU}v": 1.0}
_UV_PER_UNIT |= {"mv": 1e3, "v": 1e6, "nv": 1e-3}
_TRIGGER_LABELS = (TRIGGER_LABEL, "Status")
_INTEGER_TOLERANCE = 0.01
_LISTED = 40


@dataclass(frozen=True, slots=True)
class TriggerMap:
    """How a recording's signals become channels and trigger lines.

    `labels`: channel -> signal label (a channel of the same name needs no entry). `trigger_channel`: label
    of the signal whose integer value is the trigger bits; `threshold` (in its physical unit) makes an
    analogue one line 1. `annotations`: annotation text -> line 1 to 8. With neither trigger source named,
    a signal called Trigger or Status is taken.
    """

    labels: dict[str, str] = field(default_factory=dict)
    trigger_channel: str | None = None
    threshold: float | None = None
    annotations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen signals by their number in the header; microvolts = counts x lsb_uv + offset_uv."""

    channels: tuple[str, ...]
    signals: tuple[int, ...]
    lsb_uv: tuple[float, ...]
    offset_uv: tuple[float, ...]
    trigger: int | None


def select(header: Header, channels: tuple[str, ...] | None, mapping: TriggerMap) -> Selection:
    """The signals of `channels` (None: every signal in a unit of voltage) and the trigger signal.

    Raises ValueError when a channel or trigger source is missing, ambiguous, of another rate, or no voltage.
    """
    trigger = _find_trigger(header, mapping)
    if channels is None:
        signals = tuple(
            k for k, s in enumerate(header.signals) if k != trigger and s.unit.casefold() in _UV_PER_UNIT
        )
        channels = tuple(header.signals[k].label for k in signals)
    else:
        signals = tuple(_find_channel(header, name, mapping.labels.get(name, name)) for name in channels)
    if not signals:
        raise ValueError(f"no channel of the recording has a unit of voltage; it has: {_listed(header)}")
    _check_rates(header, signals, trigger)
    scales = [_scale_uv(header.signals[k]) for k in signals]
    lsb_uv, offset_uv = zip(*scales, strict=True)
    return Selection(channels, signals, lsb_uv, offset_uv, trigger)


def trigger_bits(counts: NDArray[np.int32], signal: Signal, threshold: float | None) -> NDArray[np.uint8]:
    """Trigger bits (time,) of the trigger signal's `counts`: the low eight bits of its physical value, or
    line 1 where it is above `threshold`.

    Raises ValueError when there is no threshold and the values are not whole numbers.
    """
    if threshold is None and signal.scale == 1 and signal.offset == 0:
        return (counts & 0xFF).astype(np.uint8)
    physical: NDArray[np.float64] = counts.astype(np.float64) * signal.scale + signal.offset
    if threshold is not None:
        above: NDArray[np.bool_] = physical > threshold
        return above.astype(np.uint8)
    nearest = np.rint(physical)
    if np.any(np.abs(physical - nearest) > _INTEGER_TOLERANCE + abs(signal.scale) / 2):
        raise ValueError(
            f"trigger channel {signal.label!r} does not hold whole numbers; "
            "give a threshold (in its unit) to make it line 1"
        )
    return (nearest.astype(np.int64) & 0xFF).astype(np.uint8)


def find_label(labels: Sequence[str], wanted: str) -> list[int]:
    """Positions in `labels` that equal `wanted`; without any, those equal but for case and outer spaces."""
    exact = [k for k, label in enumerate(labels) if label == wanted]
    folded = wanted.strip().casefold()
    return exact or [k for k, label in enumerate(labels) if label.strip().casefold() == folded]


def _find_channel(header: Header, name: str, label: str) -> int:
    found = _find_signal(header, label)
    what = f"channel {name!r}" if name == label else f"channel {name!r} (signal {label!r})"
    if not found:
        raise ValueError(f"{what} is not in the recording; it has: {_listed(header)}")
    if len(found) > 1:
        raise ValueError(f"{what} is in the recording {len(found)} times; give its signals distinct labels")
    return found[0]


def _find_trigger(header: Header, mapping: TriggerMap) -> int | None:
    for text, line in mapping.annotations.items():
        if not 1 <= line <= 8:
            raise ValueError(f"annotation {text!r} is mapped to line {line}, expected 1 to 8")
    if mapping.trigger_channel is not None:
        wanted = mapping.trigger_channel
        found = _find_signal(header, wanted)
        if not found:
            raise ValueError(f"trigger channel {wanted!r} is not in the recording; it has: {_listed(header)}")
        return found[0]
    if mapping.annotations:
        return None
    for label in _TRIGGER_LABELS:
        if found := _find_signal(header, label):
            return found[0]
    raise ValueError(
        "the recording has no trigger source; name one of its signals as trigger channel, or map annotation "
        f"texts to lines; it has: {_listed(header)}"
    )


def _find_signal(header: Header, label: str) -> list[int]:
    found = find_label([s.label for s in header.signals], label)
    return [k for k in found if not header.signals[k].is_annotations]


def _check_rates(header: Header, signals: tuple[int, ...], trigger: int | None) -> None:
    chosen = signals if trigger is None else (*signals, trigger)
    rates = {header.signals[k].label: header.signals[k].samples_per_record for k in chosen}
    if len(set(rates.values())) > 1:
        listed = ", ".join(
            f"{name} {n / header.record_duration_s:g} Hz" for name, n in list(rates.items())[:_LISTED]
        )
        raise ValueError(f"channels and trigger must have one rate; choose among: {listed}")


def _scale_uv(signal: Signal) -> tuple[float, float]:
    factor = _UV_PER_UNIT.get(signal.unit.casefold())
    if factor is None:
        raise ValueError(f"channel {signal.label!r} is in {signal.unit!r}, expected uV, mV, V or nV")
    return signal.scale * factor, signal.offset * factor


def _listed(header: Header) -> str:
    labels = [s.label for s in header.signals if not s.is_annotations]
    return ", ".join(labels[:_LISTED]) + (", ..." if len(labels) > _LISTED else "")
