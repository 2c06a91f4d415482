"""A whole scoliosis correction on one host: its share of a core, and how soon each modality is heard.

A stand-in edge sends the model patient's 32 channels at 8 kSPS in real time over the link's own socket, with
stimuli to four nerves, trains to both hemispheres and trains of four, to a host process that records,
averages, listens and publishes. Times are from when the block with the last sample that is needed was sent
until the message came, both stamps of this machine's monotonic clock.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hostd import casefile
from hostd.case import Case
from hostd.client import Subscription
from hostd.score.bedside import Shot, describe, recording
from hw.frames import pack24
from hw.model.patient import Patient
from tests.bench.stand_in_edge import Samples, StandInEdge
from tests.support.ports import free_bus

NAME = "scoliosis"
BLOCK = 80
SETTLED_S = 8.0
TOPICS = ("emg.audio", "response.", "eeg", "average.")


def _blocks(case: Case, seconds: float) -> list[Samples]:
    """A recording of the procedure, made before it runs."""
    shots = [Shot(at, test) for at, test in zip(np.arange(6.0, seconds - 2.0, 2.63), _turns(), strict=False)]
    patient = Patient(case.channels, case.rate_hz, 1)
    blocks = recording(case, patient, describe(case), seconds, 1, True, shots, BLOCK)
    return [(b.first_index, pack24(b.counts).tobytes(), b.trigger_bits.tobytes()) for b in blocks]


def _turns() -> list[str]:
    return ["left_mep", "right_mep"] * 100


def _cpu_s(pid: int) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(seconds: float = 40.0) -> dict[str, float]:
    """The host's share of a core in percent; p99 in ms of sound, averages and MEP (after the train's last
    pulse), and how often a second the EEG was told."""
    case = casefile.procedure(NAME)
    late: dict[str, list[float]] = {"sound": [], "mep": [], "average": []}
    eeg = 0
    with tempfile.TemporaryDirectory() as folder:
        edge = StandInEdge(f"{folder}/edge.sock", lambda _: describe(case), _blocks(case, seconds), BLOCK)
        file = Path(folder) / "case.toml"
        file.write_text(case.text)
        bus = free_bus()
        edge.start()
        host = [sys.executable, "-m", "hostd", "host", str(file), "--link", f"unix:{folder}/edge.sock"]
        host += [
            "--bus",
            bus,
            "--data",
            str(Path(folder) / "data"),
            "--alone",
            "--seconds",
            str(seconds - 1.0),
        ]
        process = subprocess.Popen(host, stderr=subprocess.DEVNULL)
        begun: tuple[int, float] | None = None
        last = (0, 0.0)
        with Subscription(bus, TOPICS) as subscription:
            while process.poll() is None:
                messages = subscription.receive(20)
                now_ns = time.monotonic_ns()
                if edge.sent_ns and now_ns - edge.sent_ns[0] > SETTLED_S * 1e9:
                    last = now_ns, _cpu_s(process.pid)
                    begun = begun or last
                for message in messages:
                    header, sent = message.header, edge.sent_ns
                    if header["index"] < SETTLED_S * case.rate_hz:
                        continue
                    if message.topic == "emg.audio":
                        # The newest sample of the sound was in this block.
                        needed = round((header["first_index"] + 160) * case.rate_hz / header["rate_hz"])
                        late["sound"].append(now_ns - sent[min(needed // BLOCK, len(sent) - 1)])
                    elif message.topic.startswith("response."):
                        (test,) = [t for t in case.tests if message.topic.endswith(t.name)]
                        s = test.stimulus
                        end = header["trigger_index"] + round(
                            (s.pulses - 1) * s.interval_ms * case.rate_hz / 1e3
                        )
                        late["mep"].append(now_ns - sent[end // BLOCK])
                    elif message.topic.startswith("average.") and header["n_sweeps"] >= 16:
                        needed = header["last_index"] + round(0.12 * case.rate_hz)
                        if needed // BLOCK < len(sent):
                            late["average"].append(now_ns - sent[needed // BLOCK])
                    eeg += message.topic == "eeg"
        process.wait()
    told = {name: float(np.percentile(values, 99)) / 1e6 for name, values in late.items()}
    share = 100.0 * (last[1] - begun[1]) / ((last[0] - begun[0]) / 1e9) if begun else float("nan")
    lasted_s = seconds - 1.0 - SETTLED_S
    return told | {"share": share, "eeg": eeg / lasted_s, "responses": float(len(late["mep"]))}
