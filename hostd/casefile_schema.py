"""The form of a case file: one struct per table, each key with what it expects and an example.

The descriptions and examples are the words of the error messages. Every key may be absent here (None);
which ones a case cannot do without is judged where the case is resolved, with a cure of its own.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from dsp.nouns import FixedRule, RuleKind


def _says(description: str, example: str) -> Meta:
    return Meta(description=description, examples=[example])


_WINDOW = "two numbers in milliseconds from the stimulus, [from, to]"
_RANGE_MS = "two numbers in milliseconds, [least, most]"
_RANGE_UV = "two numbers in microvolts, [least, most]"


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TOML table; None is a key that is not written."""


class RootTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file itself."""

    name: Annotated[str | None, _says("text", 'name = "Median nerve SSEP"')] = None
    acquisition: Annotated[dict[str, object] | None, _says("a table", "[acquisition]")] = None
    recording: Annotated[dict[str, object] | None, _says("a table", "[recording]")] = None
    limits: Annotated[
        dict[str, object] | None, _says("one table per kind of stimulus", "[limits.peripheral]")
    ] = None
    test: Annotated[dict[str, object] | None, _says("one table per test", "[test.left_median]")] = None


class AcquisitionTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[acquisition]: how the channels are recorded."""

    rate_hz: Annotated[float | None, _says("a number of samples per second", "rate_hz = 4000")] = None
    gain: Annotated[int | None, _says("a whole number", "gain = 24")] = None
    reference: Annotated[str | None, _says("text", 'reference = "Fz"')] = None
    channels: Annotated[
        tuple[str, ...] | None, _says("a list of names in input order", 'channels = ["CP3", "CP4"]')
    ] = None
    mains_hz: Annotated[float | None, _says("50 or 60", "mains_hz = 50")] = None
    monitor: Annotated[
        dict[str, object] | None,
        _says("a table of the stimulator's monitor channels", 'monitor = { current = "IMON" }'),
    ] = None


class MonitorTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[acquisition.monitor]: where a stimulator shows what it delivers."""

    current: Annotated[str | None, _says("a channel's name", 'current = "IMON"')] = None
    ma_per_mv: Annotated[float | None, _says("a number of milliamperes", "ma_per_mv = 1.0")] = None
    voltage: Annotated[str | None, _says("a channel's name", 'voltage = "VMON"')] = None
    v_per_mv: Annotated[float | None, _says("a number of volts", "v_per_mv = 4.0")] = None


class RecordingTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[recording]: how the signals of a foreign recording become channels and trigger lines."""

    channels: Annotated[
        dict[str, str] | None,
        _says("a table of channel = signal label", 'channels = { CP3 = "EEG CP3" }'),
    ] = None
    trigger_channel: Annotated[str | None, _says("a signal's label", 'trigger_channel = "Trigger"')] = None
    threshold: Annotated[float | None, _says("a number in the signal's unit", "threshold = 1000.0")] = None
    annotations: Annotated[
        dict[str, int] | None,
        _says("a table of annotation text = trigger line", 'annotations = { "click" = 1 }'),
    ] = None


class TestTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[test.NAME]: what is fired, averaged and measured."""

    __test__ = False  # the noun starts with Test; test collectors leave it alone

    modality: Annotated[str | None, _says("the name of a modality", 'modality = "median_ssep"')] = None
    side: Annotated[Literal["left", "right"] | None, _says('"left" or "right"', 'side = "left"')] = None
    root: Annotated[str | None, _says("the name of a root", 'root = "L5"')] = None
    site: Annotated[str | None, _says("text", 'site = "left median nerve"')] = None
    line: Annotated[int | None, _says("a whole number from 1 to 8", "line = 1")] = None
    rate_hz: Annotated[float | None, _says("a number of stimuli per second", "rate_hz = 2.692")] = None
    stimulus: Annotated[str | None, _says("a kind of stimulus", 'stimulus = "peripheral"')] = None
    fire: Annotated[Literal["repeat", "single"] | None, _says('"repeat" or "single"', 'fire = "single"')] = (
        None
    )
    current_ma: Annotated[float | None, _says("a number of milliamperes", "current_ma = 25")] = None
    volts: Annotated[float | None, _says("a number of volts", "volts = 400")] = None
    width_us: Annotated[float | None, _says("a number of microseconds", "width_us = 200")] = None
    area_cm2: Annotated[float | None, _says("a number of square centimetres", "area_cm2 = 0.04")] = None
    pulses: Annotated[int | None, _says("a whole number", "pulses = 5")] = None
    interval_ms: Annotated[float | None, _says("a number of milliseconds", "interval_ms = 3")] = None
    trains: Annotated[int | None, _says("1 or 2", "trains = 2")] = None
    gap_ms: Annotated[float | None, _says("a number of milliseconds", "gap_ms = 20")] = None
    alternate_line: Annotated[int | None, _says("a whole number from 1 to 8", "alternate_line = 2")] = None
    steps_ma: Annotated[tuple[float, ...] | None, _says("a list of milliamperes", "steps_ma = [2, 4, 8]")] = (
        None
    )
    hold_ms: Annotated[float | None, _says("a number of milliseconds", "hold_ms = 1")] = None
    lockout_ms: Annotated[float | None, _says("a number of milliseconds", "lockout_ms = 80")] = None
    sweeps: Annotated[int | None, _says("a whole number", "sweeps = 300")] = None
    window_ms: Annotated[tuple[float, float] | None, _says(_WINDOW, "window_ms = [-10, 80]")] = None
    band_hz: Annotated[
        tuple[float, float] | Literal["off"] | None,
        _says('two numbers in Hz, [low, high], or "off"', "band_hz = [30, 1000]"),
    ] = None
    reject_uv: Annotated[
        float | Literal["off"] | None,
        _says('a number of microvolts or "off"', "reject_uv = 250"),
    ] = None
    weighting: Annotated[
        Literal["noise", "none"] | None, _says('"noise" or "none"', 'weighting = "noise"')
    ] = None
    averaging: Annotated[
        Literal["running", "moving", "exponential", "blocks"] | None,
        _says('"running", "moving", "exponential" or "blocks"', 'averaging = "running"'),
    ] = None
    blank_ms: Annotated[float | None, _says("a number of milliseconds", "blank_ms = 4")] = None
    delay_ms: Annotated[float | None, _says("a number of milliseconds", "delay_ms = 0.9")] = None
    response_ms: Annotated[
        float | None, _says("a number of milliseconds from the stimulus", "response_ms = 60")
    ] = None
    stop: Annotated[
        Literal["sweeps", "certain"] | None, _says('"sweeps" or "certain"', 'stop = "certain"')
    ] = None
    smallest_uv: Annotated[float | None, _says("a number of microvolts", "smallest_uv = 0.3")] = None
    sharpen: Annotated[
        Literal["off", "low-pass", "wiener"] | None,
        _says('"off", "low-pass" or "wiener"', 'sharpen = "low-pass"'),
    ] = None
    choice: Annotated[
        Literal["best", "standard"] | None, _says('"best" or "standard"', 'choice = "standard"')
    ] = None
    virtual: Annotated[Literal["off", "dss"] | None, _says('"off" or "dss"', 'virtual = "dss"')] = None
    mains: Annotated[Literal["leave", "fit"] | None, _says('"leave" or "fit"', 'mains = "fit"')] = None
    droop: Annotated[
        Literal["leave", "compensate"] | None, _says('"leave" or "compensate"', 'droop = "compensate"')
    ] = None
    search_ms: Annotated[tuple[float, float] | None, _says(_WINDOW, "search_ms = [15, 90]")] = None
    m_ms: Annotated[tuple[float, float] | None, _says(_WINDOW, "m_ms = [3, 15]")] = None
    stack: Annotated[int | None, _says("a whole number", "stack = 5")] = None
    pooled: Annotated[int | None, _says("a whole number", "pooled = 1")] = None
    drop_pct: Annotated[float | Literal["off"] | None, _says('a percentage or "off"', "drop_pct = 70")] = None
    confirm: Annotated[int | None, _says("a whole number", "confirm = 2")] = None
    track: Annotated[
        tuple[float, float, float] | None,
        _says("three numbers, [lowest, highest, step]", "track = [200, 800, 20]"),
    ] = None
    allowed_by: Annotated[
        str | None, _says('the name of a train-of-four test or "none"', 'allowed_by = "left_tof"')
    ] = None
    mute_ms: Annotated[float | None, _says("a number of milliseconds", "mute_ms = 25")] = None
    listen: Annotated[
        tuple[str, ...] | None, _says("a list of the test's derivations", 'listen = ["TAL1-TAL2"]')
    ] = None
    full_scale_uv: Annotated[float | None, _says("a number of microvolts", "full_scale_uv = 500")] = None
    squelch_uv: Annotated[float | None, _says("a number of microvolts", "squelch_uv = 0")] = None
    control_pulse: Annotated[bool | None, _says("true or false", "control_pulse = true")] = None
    baseline: Annotated[
        Literal["auto", "manual"] | None, _says('"auto" or "manual"', 'baseline = "auto"')
    ] = None
    baseline_sweeps: Annotated[int | None, _says("a whole number", "baseline_sweeps = 100")] = None
    derivations: Annotated[
        tuple[str, ...] | None, _says("a list of derivations", 'derivations = ["CP4-CP3"]')
    ] = None
    leading: Annotated[str | None, _says("the name of a peak", 'leading = "N20"')] = None
    control: Annotated[str | None, _says('the name of a peak or "none"', 'control = "N9"')] = None
    analysis: Annotated[
        Literal["peaks", "reversal"] | None, _says('"peaks" or "reversal"', 'analysis = "reversal"')
    ] = None
    peak: Annotated[
        tuple[dict[str, object], ...] | None,
        _says("tables in double brackets, one per peak", "[[test.left_median.peak]]"),
    ] = None
    alert: Annotated[
        tuple[dict[str, object], ...] | None,
        _says("tables in double brackets, one per rule", "[[test.left_median.alert]]"),
    ] = None


class PeakTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[test.NAME.peak]]: one peak to measure."""

    name: Annotated[str | None, _says("text", 'name = "N20"')] = None
    derivation: Annotated[str | None, _says("one of the test's derivations", 'derivation = "CP4-CP3"')] = None
    polarity: Annotated[
        Literal["negative", "positive"] | None, _says('"negative" or "positive"', 'polarity = "negative"')
    ] = None
    window_ms: Annotated[tuple[float, float] | None, _says(_WINDOW, "window_ms = [17, 24]")] = None
    to_ms: Annotated[tuple[float, float] | None, _says(_WINDOW, "to_ms = [20, 30]")] = None
    normal_ms: Annotated[tuple[float, float] | None, _says(_RANGE_MS, "normal_ms = [18.5, 21.5]")] = None
    normal_uv: Annotated[tuple[float, float] | None, _says(_RANGE_UV, "normal_uv = [0.5, 5]")] = None


class AlertTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[test.NAME.alert]]: one fixed rule of one peak; one of the three limits."""

    peak: Annotated[str | None, _says("the name of a peak", 'peak = "N20"')] = None
    amplitude_fall_pct: Annotated[float | None, _says("a percentage", "amplitude_fall_pct = 50")] = None
    latency_rise_pct: Annotated[float | None, _says("a percentage", "latency_rise_pct = 10")] = None
    latency_rise_ms: Annotated[float | None, _says("a number of milliseconds", "latency_rise_ms = 1.0")] = (
        None
    )
    level: Annotated[
        Literal["warning", "alarm"] | None, _says('"warning" or "alarm"', 'level = "warning"')
    ] = None
    source: Annotated[str | None, _says("text", 'source = "ACNS 11C"')] = None


LIMITS: tuple[RuleKind, ...] = ("amplitude_fall_pct", "latency_rise_pct", "latency_rise_ms")


def fixed_rule(table: AlertTable) -> FixedRule:
    """The rule that a table states. Raises ValueError unless it has a peak and one limit that makes sense."""
    stated = [kind for kind in LIMITS if getattr(table, kind) is not None]
    if len(stated) != 1 or not table.peak:
        raise ValueError("a rule has one peak and one limit")
    return FixedRule(
        table.peak, stated[0], getattr(table, stated[0]), table.level or "alarm", table.source or ""
    )
