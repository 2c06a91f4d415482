"""A minute of a case for the tests of the web pages, told to a fake box: tests, muscles, EEG, an alert."""

from typing import Any

import numpy as np

from hostd.web import desk
from tests.support.chromium import Page
from tests.support.fakebus import FakeBus, average_fields, median_ssep, peak_fields, status_fields
from tests.support.fakebus import stimulation_fields as stimulation

TESTS = {"left_median": "running", "right_median": "stopped", "left_mep": "stopped"}
ALL = (*sorted(desk.ASKABLE), "hello", "snapshot")
WAS = {"baseline_latency_ms": 20.0, "baseline_amplitude_uv": 2.9, "change_pct": -14.2}
EVIDENCE: dict[str, Any] = {
    "rule": "change beyond own variability",
    "index": 44_000,
    "since_index": 40_000,
    "responses": [{"name": "N20", "ratio": 0.28, "ratio_ci": [0.1, 0.45], "sweeps": 55, "replicates": 48}],
    "sites": [
        {"name": "left_median N9", "ratio": 0.97, "control": True, "absent": False},
        {"name": "right_median N20", "ratio": 1.02, "control": False, "absent": False},
        {"name": "left_mep TAR1-TAR2", "ratio": 0.0, "control": False, "absent": True},
    ],
    "stimulus": {"artifact_ratio": 0.99, "delivery": "ok", "stimuli": 24},
    "confounders": [{"name": "map_mmhg", "text": "mean arterial pressure 85 to 60 mmHg"}],
    "suspects": [],
    "legacy": [{"peak": "N20", "name": "amplitude fall > 50 %", "verdict": "met"}],
    "checklist": ["Repeat at once", "Is the stimulus delivered? <b>look</b>"],
}


def status(bus: FakeBus, tests: dict[str, str] | None = None, **over: Any) -> None:
    shown = TESTS if tests is None else tests
    of = stimulation(shown) | over.pop("stimulation", {})
    for name in of["tests"]:
        if "mep" in name:
            of["tests"][name]["rate_hz"] = None
    bus.publish("status", status_fields(shown, samples=int(bus.t_ns * 4e-6), stimulation=of, **over))


def mep(answers: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    stack = rng.normal(0, 1, (answers, 400, 2)).astype(np.float32)
    stack[:, 200:260, :] += 80 * np.sin(np.arange(60) / 6)[None, :, None].astype(np.float32)
    made = average_fields(median_ssep(0.0)[:, :2], 1.0, answers, "left hemisphere")
    return made | {
        "derivations": ["TAR1-TAR2", "AHR1-AHR2"],
        "mean_uv": stack.mean(axis=0),
        "stack_uv": stack,
        "sweeps_target": answers,
        "noise_uv": [1.0, 1.0],
        "n_effective": float(answers),
        "final": True,
    }


def case(bus: FakeBus) -> None:
    """A minute of a case: two wrists, a hemisphere, relaxation, muscles and EEG."""
    bus.t_ns = 60_000_000_000
    status(bus)
    bus.publish("mains", {"hz": 50.01, "amplitude_uv": [2.1, 0, 0, 0, 0], "tests": {}})
    bus.publish("case", {"phase": "monitoring", "critical": False, "steps": [], "waiting": [], "alerts": []})
    for test in ("left_median", "right_median"):
        bus.publish(f"baseline.{test}", average_fields(median_ssep(0.0), 0.1, 300, "wrist"))
        for n in range(3):
            bus.t_ns += 20_000_000_000
            average = average_fields(median_ssep(0.05, seed=n), 0.2, 300, "wrist")
            bus.publish(
                f"average.{test}", average | {"final": True, "halves_uv": np.stack([average["mean_uv"]] * 2)}
            )
            peaks = [peak_fields("N20", "CP4-CP3", 20.1 + n / 10, 2.5, **WAS)]
            verdict = {"decision": "present", "done": False, "seconds_left": 7.2}
            bus.publish(f"measure.{test}", {"peaks": peaks, "leading": "N20", "verdict": verdict})
    bus.publish("average.left_mep", mep(5))
    muscles = [peak_fields(name, name, 34.2, 80.0) for name in ("TAR1-TAR2", "AHR1-AHR2")]
    bus.publish("measure.left_mep", {"peaks": muscles, "leading": "TAR1-TAR2", "verdict": None})
    tof = {"test": "tof", "count": 3, "ratio": 0.4, "amplitudes_uv": [9000.0, 7000.0, 3500.0, None]}
    bus.publish(
        "tof",
        tof | {"present": [True, True, True, False], "mep_allowed": False, "mep_why": "3 of 4", "text": "3"},
    )
    status(bus)


def wave(bus: FakeBus, k: int, channels: int = 4) -> None:
    rows = np.sin(np.arange(100)[:, None] / 5 + np.arange(channels)).astype(np.float32) * 40
    names = [f"M{n}1-M{n}2" for n in range(channels)]
    shown = {"test": "emg", "modality": "free_emg", "derivations": names, "rate_hz": 1000.0, "rows_per": 4}
    bus.publish("wave.emg", shown | {"first_index": 400 * k, "uv": rows, "low_uv": -rows})


def spectrum(bus: FakeBus) -> None:
    density = np.linspace(20, -15, 60, dtype=np.float32)[None, :].repeat(2, 0)
    hz = [k / 2 for k in range(1, 61)]
    bus.publish(
        "spectrum", {"test": "eeg", "derivations": ["F3-C3", "F4-C4"], "hz": hz, "density_db": density}
    )
    bus.publish(
        "wave.eeg",
        {
            "test": "eeg",
            "modality": "eeg",
            "derivations": ["F3-C3"],
            "rate_hz": 250.0,
            "rows_per": 16,
            "first_index": 0,
            "uv": np.zeros((25, 1), np.float32),
            "low_uv": None,
        },
    )
    bus.publish(
        "eeg", {"test": "eeg", "text": "eeg: SEF95 21.0 Hz", "sef95_hz": [[21.0, 20, 22], [20.0, 19, 21]]}
    )


def alert(bus: FakeBus, state: str, priority: str = "high", **over: Any) -> None:
    fields = {"id": "change-1", "test": "left_median", "kind": "change", "priority": priority, "state": state}
    fields |= {"cause": "focal", "likelihood": {"focal": 0.95, "technical": 0.05}, "evidence": EVIDENCE}
    text = "left median: N20 down 72 % since 00:10; likely cause: a focal injury"
    bus.publish("alert", fields | {"text": text} | over)
    sounding = priority if state in ("raised", "confirmed") else None
    bus.publish(
        "alarms", {"audio": "on", "alarm": "on", "flashing": sounding, "sounding": sounding, "open": []}
    )


async def open_page(page: Page, port: int) -> None:
    await page.go(f"http://127.0.0.1:{port}/")
    await page.until(
        "evokd.rights.role && evokd.latest['measure.left_mep'] && evokd.locate('left_mep', 0, 0, 0)"
    )


def text(selector: str) -> str:
    return f"document.querySelector({selector!r}).innerText"


async def click(page: Page, selector: str) -> None:
    await page.ask(f"document.querySelector({selector!r}).click()")
