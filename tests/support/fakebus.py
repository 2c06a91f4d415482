"""A daemon's bus without a daemon: its four endpoints, with CONTRACT.md's headers.

For tests of displays on loopback: real sockets, real bytes, no acquisition. `FakeBus` publishes what it is
told to, and answers `snapshot` from what it published (as `hostd.wire.encode` would), in a thread of its own.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import zmq

from hostd import wire

EVENTS, CONTROL, TRACES, RAW = 0, 1, 2, 3
TRACE_TOPICS = ("average.", "baseline.", "sweep.", "spectrum", "wave.", "emg.audio")
OBSERVERS_MAY = ("hello", "snapshot", "config.get", "mark", "stim.stop")
UTC_NS = 1_767_600_000_000_000_000


def free_block(count: int = 4) -> int:
    """The first of `count` neighbouring TCP ports that are free on loopback now.

    Below the range that the system hands out itself, and from another start in every process, so that test
    runs side by side do not race for the same block.
    """
    for step in range(1000):
        first = 16000 + (os.getpid() * 7 + step) % 1000 * 16
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise OSError("no block of free ports on loopback")


class FakeBus:
    """Binds events, control, traces and raw at `port`..`port` + 3. Use as a context manager, from one thread.

    A second one on the same port, after the first was closed, is the daemon come back: give it another
    `boot`. `t_ns` is the acquisition time that goes into the headers; tests advance it as they like.
    `results` are the answers to further commands, `asked` what was asked for besides `snapshot`.
    """

    def __init__(self, port: int | None = None, boot: str = "b00700", rate_hz: float = 4000.0) -> None:
        self.port = free_block() if port is None else port
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.boot = boot
        self.rate_hz = rate_hz
        self.t_ns = 0
        self.asked: list[tuple[str, dict[str, Any]]] = []  # control requests but hello and snapshot, in order
        self.greeted: list[dict[str, Any]] = []  # what each `hello` said
        self.may = OBSERVERS_MAY
        self.hangs: set[str] = set()  # commands that are never answered
        self.babbles: set[str] = set()  # commands that are answered by what is no reply
        self.refusals: dict[str, str] = {}  # by command: what to answer in place of done
        self.toml = ""
        self.results: dict[str, dict[str, Any]] = {}  # by command: what to answer instead
        self._seq: dict[str, int] = {}
        self._latest: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._events = self._bind(zmq.XPUB, EVENTS)
        self._traces = self._bind(zmq.XPUB, TRACES)
        self._raw = self._bind(zmq.XPUB, RAW)
        self._control = self._bind(zmq.ROUTER, CONTROL)
        self._thread = threading.Thread(target=self._answer, name="fakebus-control", daemon=True)
        self._thread.start()

    def _bind(self, kind: int, offset: int) -> "zmq.Socket[bytes]":
        bound = self._context.socket(kind)
        bound.linger = 0
        try:
            bound.bind(f"tcp://127.0.0.1:{self.port + offset}")
        except zmq.ZMQError:
            # A context that is left with open sockets blocks whoever collects it.
            self._context.destroy(linger=0)
            raise
        return bound

    def publish(self, topic: str, fields: Mapping[str, Any]) -> wire.Message:
        """Send one message with a full header; ndarrays in `fields` become parts. Returns what was sent."""
        body, parts = wire.pack_arrays(fields)
        seq = self._seq[topic] = self._seq.get(topic, 0) + 1
        header = {
            "v": wire.SCHEMA_VERSION,
            "boot": self.boot,
            "seq": seq,
            "case": "2031-07",
            "index": int(self.t_ns * self.rate_hz / 1e9),
            "t_ns": self.t_ns,
            "utc_ns": UTC_NS + self.t_ns,
            **body,
        }
        with self._lock:
            self._latest[topic] = {"topic": topic, "header": header, "parts": parts}
        at = self._raw if topic == "raw" else self._traces if topic.startswith(TRACE_TOPICS) else self._events
        at.send_multipart(wire.encode(topic, header, parts))
        return wire.Message(topic, header, parts)

    def send_raw(self, frames: list[bytes], traces: bool = False) -> None:
        """Send anything at all, for instance garbage."""
        (self._traces if traces else self._events).send_multipart(frames)

    def send_raw_samples(self, frames: list[bytes]) -> None:
        """Send anything at all at the endpoint of raw samples."""
        self._raw.send_multipart(frames)

    def wait_subscribed(self, topic: str = "status", timeout_s: float = 5.0) -> None:
        """Block until somebody has subscribed to `topic` on events and to `average.` on traces."""
        deadline = time.monotonic() + timeout_s
        for bound, wanted in ((self._events, topic), (self._traces, "average.")):
            while True:
                if not bound.poll(max(0, int((deadline - time.monotonic()) * 1000))):
                    raise TimeoutError(f"nobody subscribed to {wanted!r} within {timeout_s} s")
                said = bound.recv()
                if said[:1] == b"\x01" and wanted.encode().startswith(said[1:]):
                    break

    def wait_subscribed_any(self) -> None:
        """Block until somebody has subscribed to anything on events, as a wall does."""
        if not self._events.poll(5000):
            raise TimeoutError("nobody subscribed")

    def wait_raw(self, wanted: bool, timeout_s: float = 5.0) -> None:
        """Block until somebody subscribes to `raw`, or unsubscribes."""
        deadline = time.monotonic() + timeout_s
        filters = {b"\x01raw", b"\x01"} if wanted else {b"\x00raw", b"\x00"}
        while True:
            if not self._raw.poll(max(0, int((deadline - time.monotonic()) * 1000))):
                raise TimeoutError(f"raw is not {'' if wanted else 'un'}subscribed within {timeout_s} s")
            if self._raw.recv() in filters:
                return

    def _answer(self) -> None:
        while not self._stop.is_set():
            if not self._control.poll(50):
                continue
            *envelope, body = self._control.recv_multipart()
            asked = wire.decode_map(body)
            if asked["command"] in self.hangs:
                continue
            if asked["command"] in self.babbles:
                self._control.send_multipart([*envelope, b"\xc1 no map"])
                continue
            reply = {"id": asked["id"], **self._reply(asked["command"], asked.get("args") or {})}
            self._control.send_multipart([*envelope, wire.encode_map(reply)])

    def _reply(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        """What a box would say, if it did everything that it is asked for."""
        if command == "snapshot":
            with self._lock:
                return {"ok": True, "result": {"messages": list(self._latest.values())}}
        if command == "hello":
            self.greeted.append(args)
        else:
            self.asked.append((command, args))
        if command in self.results:
            return {"ok": True, "result": self.results[command]}
        if command == "hello":
            role = args.get("role", "operator")
            may = list(OBSERVERS_MAY if role == "observer" else self.may)
            return {"ok": True, "result": {"role": role, "may": may, "key": None, "evokd": "0", "args": args}}
        if command in self.refusals:
            return {"ok": False, "error": {"code": "bad_state", "message": self.refusals[command]}}
        return {"ok": True, "result": {"toml": self.toml} if command == "config.get" else {}}

    def close(self) -> None:
        """Stop answering and free the ports."""
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def status_fields(tests: Mapping[str, str], samples: int = 0, **over: Any) -> dict[str, Any]:
    """The fields of a `status` message of a healthy simulated case; `over` replaces any of them."""
    return {
        "state": "running",
        "source": "simulated",
        "rate_hz": 4000.0,
        "channels": ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR"],
        "samples": samples,
        "lost_samples": 0,
        "gaps": 0,
        "link": {"connected": True},
        "recording": {"path": "/data/2031-07", "bytes": samples * 18}
        | {"state": "ok", "waiting_s": 0.0, "lost_samples": 0},
        "tests": dict(tests),
        "stimulation": stimulation_fields(tests),
        "faults": [],
        **over,
    }


def stimulation_fields(tests: Mapping[str, str], **over: Any) -> dict[str, Any]:
    """What a `status` message says of stimulation when all is well; `over` replaces any field."""
    each = {"rate_hz": 2.692, "period_samples": 1486, "fired": 0, "left_out": 0}
    each |= {"last_reason": None, "next_step_ma": None}
    return {
        "locks": [],
        "window_of": None,
        "armed_s": {},
        "electrodes_checked_s": None,
        "tests": {name: dict(each) for name in tests},
        "lines": [],
        "lag_samples": {},
        "never_seen": 0,
        **over,
    }


DERIVATIONS = ("CP4-CP3", "CP4-Fpz", "C5S-Fpz", "EPL-EPR")
# (derivation row, latency ms, width ms, size uV): N20 and P25 twice, N13, N9.
MEDIAN = (
    (0, 20.0, 1.5, -2.5),
    (0, 25.5, 2.2, 1.7),
    (1, 20.0, 1.6, -1.9),
    (1, 25.5, 2.3, 1.4),
    (1, 14.2, 1.1, 0.5),
    (2, 13.6, 1.3, -1.1),
    (2, 16.5, 1.6, 0.7),
    (3, 9.8, 0.9, -2.2),
    (3, 11.6, 1.2, 1.3),
)


def median_ssep(
    noise_uv: float, seed: int = 0, cortical: float = 1.0, delay_ms: float = 0.0, rate_hz: float = 4000.0
) -> np.ndarray:
    """(time, derivation) float32 microvolts of a median nerve average from -10 ms to 60 ms.

    Gaussian peaks of `MEDIAN`; the first two rows scaled by `cortical` and late by `delay_ms`; `noise_uv` rms
    of 30-1000 Hz-like noise. Negative is negative: N20 is a minimum.
    """
    t_ms = np.arange(-10.0, 60.0, 1e3 / rate_hz)
    uv = np.zeros((len(t_ms), len(DERIVATIONS)))
    for row, latency_ms, width_ms, size_uv in MEDIAN:
        late, size = (delay_ms, size_uv * cortical) if row < 2 else (0.0, size_uv)
        uv[:, row] += size * np.exp(-0.5 * ((t_ms - latency_ms - late) / (width_ms / 1.6)) ** 2)
    noise = np.random.default_rng(seed).normal(size=(len(t_ms) + 8, len(DERIVATIONS)))
    smooth = np.stack([np.convolve(noise[:, k], np.hanning(9), "valid") for k in range(len(DERIVATIONS))], 1)
    return np.asarray(uv + noise_uv * smooth / smooth.std(), np.float32)


def average_fields(mean_uv: np.ndarray, noise_uv: float | None, n_sweeps: int, site: str) -> dict[str, Any]:
    """The fields of an `average.TEST` message around `mean_uv` as `median_ssep` makes it."""
    return {
        "derivations": list(DERIVATIONS),
        "site": site,
        "t0_ms": -10.0,
        "dt_ms": 0.25,
        "mean_uv": mean_uv,
        "noise_uv": [noise_uv] * len(DERIVATIONS),
        "n_sweeps": n_sweeps,
        "sweeps_target": 300,
        "n_rejected": n_sweeps // 40,
        "n_effective": [n_sweeps * 0.93] * len(DERIVATIONS),
        "first_index": 0,
        "last_index": n_sweeps * 851,
        "rate_hz": 4000.0,
        "band_hz": [30.0, 1000.0],
        "final": n_sweeps >= 300,
    }


def peak_fields(
    name: str, derivation: str, latency_ms: float | None, amplitude_uv: float | None, **over: Any
) -> dict[str, Any]:
    """One entry of `measure.TEST`'s `peaks`; absent when `latency_ms` is None. `over` replaces any field."""
    present = latency_ms is not None and amplitude_uv is not None
    return {
        "name": name,
        "derivation": derivation,
        "present": present,
        "latency_ms": latency_ms,
        "latency_ci_ms": [latency_ms - 0.2, latency_ms + 0.2] if latency_ms is not None else None,
        "amplitude_uv": amplitude_uv,
        "amplitude_ci_uv": [amplitude_uv - 0.3, amplitude_uv + 0.3] if amplitude_uv is not None else None,
        "baseline_latency_ms": None,
        "baseline_amplitude_uv": None,
        "change_pct": None,
        **over,
    }
