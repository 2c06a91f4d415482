"""What each metric is: name, unit, help and where in the bus's messages it stands. Pure.

Names and units follow Prometheus: base units, counters end in _total. A figure that is null, missing or no
number has no sample. Labels are names of the case file, as they stand: whoever writes them out escapes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Header = Mapping[str, Any]


@dataclass(slots=True)
class Known:
    """Of one start of a daemon: latest headers by topic, and by kind and test; open alerts; when each test
    last had a good response, in the box's time."""

    latest: dict[str, Header] = field(default_factory=dict)
    tests: dict[str, dict[str, Header]] = field(default_factory=dict)
    alerts: dict[str, Header] = field(default_factory=dict)
    good_ns: dict[str, int] = field(default_factory=dict)
    newest_ns: int = 0


STATUS_COUNTERS = (
    ("evokd_samples", "Samples since the daemon's start.", "samples"),
    ("evokd_lost_samples", "Samples lost before the host had them.", "lost_samples"),
    ("evokd_gaps", "Holes in the samples.", "gaps"),
    ("evokd_link_frames", "Frames from the edge.", "link.frames"),
    ("evokd_link_bad_frames", "Frames from the edge with a wrong CRC.", "link.bad_frames"),
    ("evokd_link_lost_frames", "Frames from the edge that never came.", "link.lost_frames"),
    ("evokd_link_repeated_samples", "Samples that came twice and were dropped.", "link.repeated_samples"),
    ("evokd_link_malformed_blocks", "Blocks from the edge that were none.", "link.malformed_blocks"),
    ("evokd_recording_bytes", "Bytes of the recording.", "recording.bytes"),
    (
        "evokd_recording_lost_samples",
        "Samples that are missing in the recording alone.",
        "recording.lost_samples",
    ),
    ("evokd_stimuli_never_seen", "Stimuli that did not come back in the samples.", "stimulation.never_seen"),
    ("evokd_clients_refused", "Handshakes refused for the key.", "clients.refused"),
    ("evokd_clients_turned_away", "Handshakes refused for want of room.", "clients.full"),
    ("evokd_clients_cut", "Connections cut because they broke a bound.", "clients.cut"),
    ("evokd_clock_refused_edges", "Edges that the clock's fit did not believe.", "timebase.refused"),
)
STATUS_GAUGES = (
    ("evokd_rate_hertz", "Sampling rate as fitted.", "timebase.rate_hz", 1.0),
    ("evokd_link_connected", "1 while the edge is connected.", "link.connected", 1.0),
    ("evokd_recording_waiting_seconds", "Age of the oldest record not on disk.", "recording.waiting_s", 1.0),
    (
        "evokd_clock_residual_seconds",
        "Rms of sample edges about the clock's fit.",
        "timebase.residual_us",
        1e-6,
    ),
    ("evokd_clock_drift_ratio", "Converter's clock less the nominal one, relative.", "timebase.ppm", 1e-6),
    ("evokd_clock_settled", "1 once the clock's fit is settled.", "timebase.settled", 1.0),
)
RECORDING_STATES = ("off", "ok", "slow", "failing")
TEST_STATES = ("stopped", "armed", "running")
CASE_PHASES = ("setup", "baseline", "monitoring", "critical", "alert", "recovery", "closed")
PRIORITIES = ("high", "medium", "low", "info")


def is_good(kind: str, header: Header) -> bool:
    """Whether a `measure` or `response` message holds a response that is seen: the leading peak, or any."""
    if kind == "measure":
        leading = header.get("leading")
        return any(
            p.get("present") is True and leading in (None, p.get("name")) for p in _maps(header.get("peaks"))
        )
    if kind == "response":
        seen = any(answer.get("present") is True for answer in _maps(header.get("responses")))
        return seen and header.get("accepted") is True and header.get("control") is not True
    return False


def of(known: Known, age_s: float) -> Iterator[Metric]:
    """Every metric of a box that was heard `age_s` ago."""
    status = known.latest.get("status", {})
    yield from _status(status)
    yield from _states(status, known.latest.get("case", {}))
    yield from _tests(known, status, age_s)
    yield from _alerts(known)
    yield from _signals(known)


def _status(status: Header) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "evokd_info", "Which start of the box, and which case.", labels=("boot", "case", "source")
    )
    if status:
        info.add_metric([str(status.get(key, "")) for key in ("boot", "case", "source")], 1.0)
    yield info
    for name, text, path in STATUS_COUNTERS:
        if (value := number(status, path)) is not None:
            yield CounterMetricFamily(name, text, value=value)
    for name, text, path, unit in STATUS_GAUGES:
        if (value := number(status, path)) is not None:
            yield GaugeMetricFamily(name, text, value=value * unit)
    faults, leads, clients = status.get("faults"), status.get("leads"), status.get("clients")
    if isinstance(faults, list):
        yield GaugeMetricFamily("evokd_faults", "Faults that stand in status.", value=len(faults))
    connections = GaugeMetricFamily("evokd_clients", "Connections of an endpoint.", labels=("endpoint",))
    for endpoint in ("events", "control", "traces", "raw"):
        _add(connections, [endpoint], number(clients, endpoint))
    yield connections
    off = GaugeMetricFamily(
        "evokd_electrodes", "Electrodes that are off, channels at a rail.", labels=("state",)
    )
    for state in ("off", "railed"):
        listed = leads.get(state) if isinstance(leads, Mapping) else None
        _add(off, [state], float(len(listed)) if isinstance(listed, list) else None)
    yield off


def _states(status: Header, case: Header) -> Iterator[Metric]:
    recording = status.get("recording")
    state = recording.get("state") if isinstance(recording, Mapping) else None
    yield _one_of(
        "evokd_recording_state", "1 for the state of the recording.", (), {(): state}, RECORDING_STATES
    )
    tests = status.get("tests")
    states: dict[tuple[str, ...], Any] = {}
    if isinstance(tests, Mapping):
        states = {(str(test),): state for test, state in tests.items()}
    yield _one_of("evokd_test_state", "1 for the state of a test.", ("test",), states, TEST_STATES)
    if "phase" in case:
        yield _one_of(
            "evokd_case_phase", "1 for the phase of the case.", (), {(): case["phase"]}, CASE_PHASES
        )


def _one_of(
    name: str,
    text: str,
    labels: tuple[str, ...],
    states: Mapping[tuple[str, ...], Any],
    every: tuple[str, ...],
) -> Metric:
    """One sample of each state that there can be, 1 for the one that is; none where it is not known."""
    family = GaugeMetricFamily(name, text, labels=(*labels, "state"))
    for of_whom, state in states.items():
        for each in every if state in every else ():
            family.add_metric([*of_whom, each], float(each == state))
    return family


def _tests(known: Known, status: Header, age_s: float) -> Iterator[Metric]:
    label = ("test",)
    stimulation = status.get("stimulation")
    stimulated = stimulation.get("tests") if isinstance(stimulation, Mapping) else None
    fired = CounterMetricFamily("evokd_stimuli_fired", "Stimuli fired.", labels=label)
    left_out = CounterMetricFamily(
        "evokd_stimuli_left_out", "Stimuli that were due and not fired.", labels=label
    )
    for test, told in stimulated.items() if isinstance(stimulated, Mapping) else ():
        _add(fired, [str(test)], number(told, "fired"))
        _add(left_out, [str(test)], number(told, "left_out"))
    sweeps = GaugeMetricFamily("evokd_average_sweeps", "Sweeps in the running average.", labels=label)
    rejected = GaugeMetricFamily("evokd_average_rejected_sweeps", "Sweeps kept out of it.", labels=label)
    for test, told in known.tests.get("average", {}).items():
        _add(sweeps, [test], number(told, "n_sweeps"))
        _add(rejected, [test], number(told, "n_rejected"))
    text = "Since the last response that was seen, of those heard of."
    good = GaugeMetricFamily("evokd_good_response_age_seconds", text, labels=label)
    for test, t_ns in known.good_ns.items():
        good.add_metric([test], (known.newest_ns - t_ns) * 1e-9 + age_s)
    count = GaugeMetricFamily("evokd_train_of_four_count", "Answers of the last train of four.", labels=label)
    ratio = GaugeMetricFamily("evokd_train_of_four_ratio", "T4/T1 of the last train of four.", labels=label)
    for test, told in known.tests.get("tof", {}).items():
        _add(count, [test], number(told, "count"))
        _add(ratio, [test], number(told, "ratio"))
    yield from (fired, left_out, sweeps, rejected, good, count, ratio)


def _alerts(known: Known) -> Iterator[Metric]:
    still = [alert for alert in known.alerts.values() if alert.get("state") != "cleared"]
    family = GaugeMetricFamily("evokd_alerts", "Open alerts.", labels=("priority", "acknowledged"))
    for priority in PRIORITIES:
        states = [
            alert.get("state") == "acknowledged" for alert in still if alert.get("priority") == priority
        ]
        for seen in (False, True):
            family.add_metric([priority, str(seen).lower()], float(states.count(seen)))
    yield family


def _signals(known: Known) -> Iterator[Metric]:
    mains, impedance = known.latest.get("mains", {}), known.latest.get("impedance", {})
    if (hz := number(mains, "hz")) is not None:
        yield GaugeMetricFamily("evokd_mains_hertz", "Frequency of the mains in the samples.", value=hz)
    level = GaugeMetricFamily(
        "evokd_mains_volts", "Amplitude of a harmonic of the mains.", labels=("harmonic",)
    )
    amplitudes = mains.get("amplitude_uv")
    for k, value in enumerate(amplitudes[:10] if isinstance(amplitudes, list) else (), 1):
        _add(level, [str(k)], number({"uv": value}, "uv"), 1e-6)
    yield level
    ohms = GaugeMetricFamily(
        "evokd_electrode_impedance_ohms", "Of each lead when last measured.", labels=("lead",)
    )
    leads = _maps(impedance.get("leads"))
    for lead in leads[:256]:
        _add(ohms, [str(lead.get("lead"))], number(lead, "ohm"))
    yield ohms
    if impedance:
        unknown = float(sum(number(lead, "ohm") is None for lead in leads))
        text = "Leads whose impedance could not be measured: open, or above the range."
        yield GaugeMetricFamily("evokd_electrodes_not_measurable", text, value=unknown)


def number(told: object, path: str) -> float | None:
    """The number at `path` ("link.frames") of a header; None when there is none."""
    for key in path.split("."):
        told = told.get(key) if isinstance(told, Mapping) else None
    return float(told) if isinstance(told, bool | int | float) else None


def _add(
    family: GaugeMetricFamily | CounterMetricFamily, labels: list[str], value: float | None, unit: float = 1.0
) -> None:
    if value is not None:
        family.add_metric(labels, value * unit)


def _maps(value: object) -> list[Header]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
