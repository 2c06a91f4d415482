"""A whole scoliosis correction on one host: its share of a core, and how soon each modality is heard.

A stand-in edge sends the model patient's 32 channels at 8 kSPS in real time over the link's own socket, with
stimuli to four nerves, trains to both hemispheres and trains of four, to a host process that records,
averages, listens and publishes. Times are from when the block with the last sample that is needed was sent
until the message came, both stamps of this machine's monotonic clock.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from hostd import casefile
from hostd.case import Case
from hostd.client import Subscription
from hw.frames import pack24
from hw.link import (
    Block,
    Configure,
    Hello,
    Receiver,
    Reply,
    Sender,
    Start,
    StimArm,
    StimPlan,
    StimStop,
    hello,
)
from hw.model.patient import Patient
from tests.support.bedside import Shot, describe, recording
from tests.support.ports import free_bus

NAME = "scoliosis"
BLOCK = 80
SETTLED_S = 8.0
TOPICS = ("emg.audio", "response.", "eeg", "average.")


class StandInEdge(threading.Thread):
    """Serves one host a recording of the procedure; `sent_ns[k]` is when block k was sent."""

    def __init__(self, path: str, case: Case, seconds: float) -> None:
        super().__init__(name="stand-in-edge", daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen(1)
        self._description = describe(case)
        shots = [
            Shot(at, test) for at, test in zip(np.arange(6.0, seconds - 2.0, 2.63), _turns(), strict=False)
        ]
        patient = Patient(case.channels, case.rate_hz, 1)
        blocks = recording(case, patient, self._description, seconds, 1, True, shots, BLOCK)
        self._blocks = [(b.first_index, pack24(b.counts).tobytes(), b.trigger_bits.tobytes()) for b in blocks]
        self._rate_hz = case.rate_hz
        self.sent_ns: list[int] = []

    def run(self) -> None:
        """Handshake, then blocks in real time."""
        connection, _ = self._server.accept()
        sender, receiver = Sender(), Receiver()
        started = False
        while not started:
            for message in receiver.feed(connection.recv(65536)):
                match message:
                    case Hello():
                        connection.sendall(sender.frame(hello("edge", 1)))
                    case Configure():
                        connection.sendall(sender.frame(self._description))
                    case Start():
                        started = True
        threading.Thread(target=self._answer, args=(connection, receiver, sender), daemon=True).start()
        start_ns, tick, n = time.monotonic_ns(), threading.Event(), len(self._description.channels)
        for first, samples, bits in self._blocks:
            due_ns = start_ns + round((first + BLOCK) * 1e9 / self._rate_hz)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                tick.wait(left_ns / 1e9)
            frame = sender.frame(Block(first, due_ns, n, samples, bits, ()))
            self.sent_ns.append(time.monotonic_ns())
            try:
                connection.sendall(frame)
            except OSError:  # the host has had its seconds
                break
        connection.close()

    def _answer(self, connection: socket.socket, receiver: Receiver, sender: Sender) -> None:
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            for message in receiver.feed(data):
                if isinstance(message, StimArm | StimPlan | StimStop):
                    connection.sendall(sender.frame(Reply(message.command, "")))


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
        edge = StandInEdge(f"{folder}/edge.sock", case, seconds)
        file = Path(folder) / "case.toml"
        file.write_text(case.text)
        bus = free_bus()
        edge.start()
        host = [sys.executable, "-m", "hostd", "host", str(file), "--link", f"unix:{folder}/edge.sock"]
        host += ["--bus", bus, "--data", str(Path(folder) / "data"), "--seconds", str(seconds - 1.0)]
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
