"""[acquisition], [recording] and [limits] of a case file, judged and resolved.

Refuses to know which rates a chip can do: a recording has its own, and the source of a chip checks it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hostd.case import MonitorMap, RecordingMap
from hostd.casefile_faults import Faults, choose, read, show, show_key
from hostd.casefile_schema import AcquisitionTable, MonitorTable, RecordingTable
from hw.bdf import ANNOTATION_LABELS
from hw.chips import GAINS
from hw.limits import CEILINGS, FIGURES, KINDS, Ceiling, tightened

MAX_CHANNELS = 32
MAX_LINES = 8
MAX_RATE_HZ = 100_000
# A signal label of EDF and BDF has 16 characters.
_LABEL_CHARS = 16
_MAINS_HZ = (50, 60)
# A figure beyond this is a typing error, and the edge takes none.
_LARGEST_FIGURE = 1e9


@dataclass(frozen=True, slots=True)
class Setup:
    """What the tests are resolved against; None is what is at fault, or a rate left to the recording."""

    channels: tuple[str, ...] | None
    rate_hz: float | None
    gain: int
    reference: str
    recorded: bool
    monitor: MonitorMap | None = None
    mains_hz: float = 0.0


def resolve_setup(
    raw: Mapping[str, object] | None,
    recorded: bool,
    recording_rate_hz: float | None,
    wanted_hz: float,
    faults: Faults,
) -> Setup:
    """[acquisition] judged; `recording_rate_hz` is what the recording being played has, where it is known,
    `wanted_hz` what the tests want where the case leaves the rate open (0: they do not say)."""
    path = ("acquisition",)
    if raw is None:
        if not faults.at(path):
            faults.add(path, "missing", "add [acquisition] with channels = [...]")
        return Setup(None, None, 24, "", recorded)
    table = read(AcquisitionTable, raw, path, faults)
    rate_hz = _rate(table, recorded, recording_rate_hz, wanted_hz, faults)
    gain = 24 if table.gain is None else table.gain
    if gain not in GAINS:
        faults.add(
            (*path, "gain"), f"{gain} is no gain of the ADS1299", f"choose from {', '.join(map(str, GAINS))}"
        )
    mains_hz = table.mains_hz or 0.0
    if table.mains_hz is not None and mains_hz not in _MAINS_HZ:
        faults.add((*path, "mains_hz"), f"{mains_hz:g} Hz is no mains frequency", "write 50 or 60")
    channels = _channels(table, faults)
    monitor = _monitor(table.monitor, channels, faults)
    return Setup(channels, rate_hz, gain, table.reference or "", recorded, monitor, mains_hz)


def _rate(
    table: AcquisitionTable, recorded: bool, actual_hz: float | None, wanted_hz: float, faults: Faults
) -> float | None:
    path = ("acquisition", "rate_hz")
    rate_hz = table.rate_hz
    if faults.at(path):
        return None
    if rate_hz is None and not recorded and actual_hz is None and wanted_hz:
        return wanted_hz
    if rate_hz is None:
        if not recorded and actual_hz is None:
            faults.add(path, "missing", "write the sampling rate, as rate_hz = 4000")
        return actual_hz
    if not 0 < rate_hz <= MAX_RATE_HZ:
        faults.add(
            path, f"{rate_hz:g} samples/s is no sampling rate", f"write one above 0, up to {MAX_RATE_HZ}"
        )
        return None
    # A header of EDF states the rate by samples and duration of a record: a rounded figure is the same rate.
    if actual_hz is not None and abs(actual_hz - rate_hz) > 1e-3 * actual_hz:
        cure = f"write rate_hz = {actual_hz:g}, or leave it out"
        faults.add(path, f"{rate_hz:g}, but the recording has {actual_hz:g}", cure)
        return None
    return rate_hz if actual_hz is None else actual_hz


def _channels(table: AcquisitionTable, faults: Faults) -> tuple[str, ...] | None:
    path = ("acquisition", "channels")
    channels = table.channels
    if faults.at(path):
        return None
    if not channels:
        what = "missing" if channels is None else "no channel"
        faults.add(path, what, 'name the inputs in order, as channels = ["CP3", "CP4"]')
        return None
    if len(channels) > MAX_CHANNELS:
        faults.add(path, f"{len(channels)} channels", f"keep at most {MAX_CHANNELS}, four chips of eight")
    counts: Counter[str] = Counter()
    for number, channel in enumerate(channels):
        counts[channel] += 1
        fits = channel.isascii() and channel.isprintable() and channel == channel.strip()
        if not fits or not 0 < len(channel) <= _LABEL_CHARS or channel in ANNOTATION_LABELS:
            cure = f"use 1 to {_LABEL_CHARS} ASCII characters, no space around, not {ANNOTATION_LABELS[-1]!r}"
            faults.add((*path, number), f"{show(channel)} cannot label a signal in a BDF file", cure)
        elif counts[channel] == 2:
            faults.add((*path, number), f"{show(channel)} is named twice", "give every input its own name")
    return None if faults.at(path) else channels


def _monitor(
    raw: Mapping[str, object] | None, channels: tuple[str, ...] | None, faults: Faults
) -> MonitorMap | None:
    """[acquisition.monitor] judged against the channels."""
    if raw is None:
        return None
    path = ("acquisition", "monitor")
    table = read(MonitorTable, raw, path, faults)
    if table.current is None and not faults.at((*path, "current")):
        cure = 'name the channel that shows the current, as current = "IMON"'
        faults.add((*path, "current"), "missing", cure)
    for key, channel in (("current", table.current), ("voltage", table.voltage)):
        if channel is not None and channels is not None and channel not in channels:
            faults.add((*path, key), f"{show(channel)} is no channel", choose(channel, channels))
    if table.current is not None and table.current == table.voltage:
        what = f"{show(table.current)} shows the current already"
        faults.add((*path, "voltage"), what, "name another channel, or leave voltage out")
    for key, scale in (("ma_per_mv", table.ma_per_mv), ("v_per_mv", table.v_per_mv)):
        if scale is not None and scale <= 0:
            faults.add((*path, key), f"{scale:g} is no scale", f"write one above 0, as {key} = 1.0")
    return MonitorMap(
        table.current or "",
        1.0 if table.ma_per_mv is None else table.ma_per_mv,
        table.voltage or "",
        4.0 if table.v_per_mv is None else table.v_per_mv,
    )


def resolve_limits(raw: Mapping[str, object] | None, faults: Faults) -> tuple[Ceiling, ...]:
    """[limits.*]: the table of hw.limits with what the case makes stricter."""
    ceilings = {ceiling.name: ceiling for ceiling in CEILINGS}
    for kind, table in (raw or {}).items():
        path = ("limits", kind)
        if kind not in ceilings:
            faults.add(path, "no kind of stimulus", choose(kind, KINDS))
        elif not isinstance(table, dict):
            faults.add(path, "expected a table", "write [limits.peripheral] and its figures below")
        else:
            for key, value in table.items():
                ceilings[kind] = _tightened(ceilings[kind], key, value, faults)
    return tuple(ceilings.values())


def _tightened(ceiling: Ceiling, key: str, value: object, faults: Faults) -> Ceiling:
    place = ("limits", ceiling.name, key)
    if key not in FIGURES:
        faults.add(place, "unknown key", choose(key, FIGURES))
    elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST_FIGURE:
        faults.add(place, f"expected a number, got {show(value)}", f"write {key} = 1, or what is stricter")
    else:
        try:
            return tightened(ceiling, {key: value})
        except ValueError as error:
            what, _, cure = str(error).partition("; ")
            faults.add(place, what, f"the case file can only tighten limits: {cure}")
    return ceiling


def resolve_recording(raw: Mapping[str, object] | None, setup: Setup, faults: Faults) -> RecordingMap:
    """[recording] judged against the channels; an absent table maps nothing."""
    path = ("recording",)
    table = read(RecordingTable, raw or {}, path, faults)
    channels, annotations = table.channels or {}, table.annotations or {}
    for channel, label in channels.items():
        place = (*path, "channels", channel)
        if setup.channels is not None and channel not in setup.channels:
            faults.add(place, "no channel of [acquisition]", choose(channel, setup.channels))
        if not label.strip():
            faults.add(place, "no signal label", f'write {show_key(channel)} = "LABEL IN THE FILE"')
    for text, line in annotations.items():
        if not 1 <= line <= MAX_LINES:
            what = f"{show(line)} is no trigger line"
            faults.add((*path, "annotations", text), what, f"choose 1 to {MAX_LINES}")
    if table.trigger_channel is not None and not table.trigger_channel.strip():
        cure = 'write the signal\'s label, as trigger_channel = "Trigger"'
        faults.add((*path, "trigger_channel"), "no signal label", cure)
    if (
        table.threshold is not None
        and table.trigger_channel is None
        and not faults.at((*path, "trigger_channel"))
    ):
        cure = 'add trigger_channel = "LABEL", the signal that it is held against'
        faults.add((*path, "threshold"), "nothing to hold it against", cure)
    if annotations and table.trigger_channel is not None:
        cure = "keep either trigger_channel or annotations, else a stimulus counts twice"
        faults.add((*path, "annotations"), "triggers come from trigger_channel already", cure)
    return RecordingMap(dict(channels), table.trigger_channel, table.threshold, dict(annotations))
