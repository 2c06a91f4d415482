"""A short case with everything in it, recorded without threads: what exports and the schema's examples read.

Seeded and deterministic but for the time of day. A patient beside the pipeline, as `hostd.score.bedside`
has them: an SSEP, a MEP fired three times, trains of four, muscles, EEG, an impedance, an alert, a gap.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsp.triggers import EdgeFinder
from hostd import casefile
from hostd.case_folder import CaseFolder
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.score.bedside import Shot, describe, recording
from hostd.timebase import Timebase, filter_delay
from hw.link import Stimulus
from hw.model.patient import Patient
from hw.model.scenario import parse_scenario
from hw.samples import Gap

CASE_ID = "20261123-161530-3f9a61c8"
SECONDS = 11.0
CANARY = "Canary Ünderhill"
START = datetime(2026, 11, 23, 16, 15, 30, 250_000, UTC)
TEXT = """
name = "Everything, shortly"

[acquisition]
rate_hz = 2000
reference = "Fz"
channels = ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR", "F3", "C3", "ADMR1", "ADMR2", "TAR1", "TAR2"]

[test.left_median]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = 3.7
derivations = ["CP4-CP3", "C5S-Fpz", "EPL-EPR"]
band_hz = [30, 500]
sweeps = 32
current_ma = 20

[test.left_mep]
modality = "tcmep"
side = "left"
line = 2
volts = 400
derivations = ["ADMR1-ADMR2", "TAR1-TAR2"]
band_hz = [10, 800]

[test.tof]
modality = "train_of_four"
side = "right"
line = 3
fire = "repeat"
rate_hz = 0.1999
current_ma = 50
derivations = ["ADMR1-ADMR2"]
band_hz = [10, 800]

[test.emg]
modality = "free_emg"
derivations = ["ADMR1-ADMR2", "TAR1-TAR2"]
band_hz = [30, 900]

[test.eeg]
modality = "eeg"
derivations = ["F3-CP3", "C3-CP3"]
"""
QUIET = parse_scenario(
    {
        "noise": [{"at_s": 0, "emg": 0.05, "mains": 0.1, "eeg": 0.4}],
        "emg": [{"at_s": 9.5, "for_s": 0.9, "muscle": "TAR", "kind": "A-train", "level_uv": 300}],
    }
)
SHOTS = tuple(Shot(at_s, "left_mep") for at_s in (7.2, 7.9, 8.6, 9.1))
LEAD = {"lead": "CP3+", "ohm": 2300.0, "low_ohm": 2100.0, "high_ohm": 2500.0, "phase_deg": -4.0}
IMPEDANCE: dict[str, Any] = {
    "command_id": 90,
    "first_index": 0,
    "last_index": 10,
    "frequency_hz": 31.25,
    "current_na": 24,
    "board": None,
    "leads": [
        LEAD | {"drift_deg": 0.5, "note": ""},
        dict.fromkeys(LEAD) | {"lead": "CP4+", "drift_deg": None, "note": "open, or above 1 MOhm"},
    ],
}
FAULT = {"code": "missing", "text": "the pulse on line 1 never came back", "line": 1}
COMMANDS: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (0.0, "impedance.span", {"first_index": 0, "end_index": 11}),
    (0.02, "impedance.result", IMPEDANCE),
    (
        3.0,
        "mark",
        {"text": "=1+1; <b>clip on</b> & \N{GREEK SMALL LETTER MU}V", "kind": "surgeon", "author": "tech"},
    ),
    (10.4, "baseline.set", {"test": "left_median", "author": "tech"}),
    (9.4, "stim.fault", FAULT | {"index": 18_790}),
    (9.401, "alert.acknowledge", {"id": "stimulus-1", "author": "tech"}),
)
LOST = Gap(18_176, 256, "missed")


class _Recording:
    """The pipeline with the folder that keeps what it says."""

    def __init__(self, data: Path, case_id: str) -> None:
        self.case = casefile.parse(TEXT, "recorded.toml")
        self.description = describe(self.case)
        self.pipeline = Pipeline(self.case, self.description)
        self.folder = CaseFolder(data, case_id, self.case, self.description)
        utc_ns = round(START.timestamp() * 1e9)
        self._timebase = Timebase(self.case.rate_hz, filter_delay(self.description), (0, 0), utc_ns)
        self.folder.anchor(0, 0, utc_ns)
        self.messages: list[Outgoing] = []

    def say(self, said: list[Outgoing]) -> None:
        for message in said:
            self.folder.keep(message, self._timebase.at(message.index)[1])
        self.messages.extend(said)

    def command(self, index: int, name: str, args: dict[str, Any]) -> None:
        said = self.pipeline.command(name, args)
        self.folder.command(index, name, args)
        self.say(said)

    def start(self) -> None:
        for number, test in enumerate(self.case.tests, start=1):
            self.command(0, "test.start", {"test": test.name, "author": ""})
            if test.stimulus_hz:
                known = test.stimulus.current_ma is not None
                current = {"current_ma": test.stimulus.current_ma or 100.0, "width_us": 200, "known": known}
                plan = {"test": test.name, "command": number} | current
                self.command(0, "stim.plan", plan | {"repeats": True, "control": False, "author": ""})

    def run(self) -> None:
        shot = {"command": 2, "current_ma": 400.0, "width_us": 50, "known": True, "repeats": False}
        shots = [
            (s.at_s, "stim.plan", shot | {"test": s.test, "control": False, "author": "tech"}) for s in SHOTS
        ]
        waiting = sorted([*COMMANDS, *shots], key=lambda command: command[0])
        lines = {test.line: (k, test) for k, test in enumerate(self.case.tests, start=1)}
        counts: Counter[int] = Counter()
        patient = Patient(self.case.channels, self.case.rate_hz, 1, scenario=QUIET)
        finder = EdgeFinder()
        for block in recording(self.case, patient, self.description, SECONDS, 1, True, SHOTS):
            if block.first_index == LOST.index:
                continue
            if block.first_index == LOST.index + LOST.length:
                block = replace(block, gaps=(LOST,))
                self.folder.gaps(block)
            while waiting and waiting[0][0] * self.case.rate_hz <= block.first_index:
                self.command(block.first_index, *waiting.pop(0)[1:])
            self.folder.append(block)
            for edge in finder.find(block):
                k, plan = lines[edge.line]
                number, pulse = divmod(counts[edge.line], plan.stimulus.pulses)
                counts[edge.line] += 1
                proof = Stimulus(k, k, number + 1, edge.line, edge.index - 1, edge.index, pulse + 1)
                self.folder.stimulus(proof)
                self.say(self.pipeline.prove(proof))
            self.say(self.pipeline.feed(block))
        self.say(self.pipeline.finish())
        last = {m.topic: m for m in self.messages if m.topic.startswith("average.")}
        for message in last.values():
            self.folder.last_average(message)


def record(data: Path, case_id: str = CASE_ID) -> tuple[Path, list[Outgoing]]:
    """The folder of a case recorded in `data`, and everything that was said of it."""
    made = _Recording(data, case_id)
    try:
        made.start()
        made.run()
    finally:
        made.folder.close()
    return data / case_id, made.messages
