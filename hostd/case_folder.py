"""The files of one case: `raw.bdf`, `case.sqlite`, `case.toml` in DATA/CASE-ID/.

Owns what is written where; `keep` turns messages into rows. Interprets nothing. With recording off it writes
nothing and says so.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hostd.audit import PULSE
from hostd.case import Case
from hostd.checkpoints import EDGE
from hostd.errors import RecordingError
from hostd.fingerprint import BY_KEY, KEY, Fingerprint, computed_by
from hostd.ledger import STEPS
from hostd.outgoing import Outgoing
from hostd.past_time import machine_boot
from hostd.record_writer import Storage
from hostd.recorder import Recorder
from hostd.resume import Resumed
from hostd.store import Store
from hostd.timebase import filter_delay
from hw.link import Description, Stimulus
from hw.link import Timebase as Report
from hw.raw_bdf import RAW_NAME
from hw.samples import SampleBlock

READINGS = ("tof", "emg", "eeg")
"""Kept whole, beside the answers to single stimuli; what is seen and heard of them is in the raw samples."""


def new_case_id() -> str:
    """Sorts by time, does not collide: 20261123-161530-3f9a61c8."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def _make(path: Path, case: Case) -> None:
    try:
        path.mkdir(parents=True)
        (path / "case.toml").write_text(case.text, encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} cannot be made: {error.strerror}; choose another --data") from None


class CaseFolder:
    """The record of one case under `data` (None: not recorded), or of one that goes on (`resumed`). Raises
    RecordingError when it cannot be made.

    `append` belongs to the receiving thread, `keep`, `command` and `stimulus` to the processing one.
    """

    def __init__(
        self,
        data: Path | None,
        case_id: str,
        case: Case,
        description: Description,
        resumed: Resumed | None = None,
    ) -> None:
        self.path = None if data is None else data / case_id
        self._recorder: Recorder | None = None
        self._store: Store | None = None
        self._commands = 0
        self._fingerprint: str | None = None
        self._ahead_ns = 0
        self._annotated = 0
        if self.path is None:
            return
        if resumed is None:
            _make(self.path, case)
        else:
            self._commands, self._ahead_ns = resumed.commands, resumed.ahead_ns
            self._annotated = resumed.on_file.end
        began = datetime.now(UTC) if resumed is None else resumed.began_utc
        self._recorder = Recorder(
            self.path / RAW_NAME,
            description.channels,
            description.rate_hz,
            description.lsb_uv,
            description.offset_uv,
            f"gain {case.gain}",
            case_id,
            began,
            description.latency_offset_samples,
            recorded=None if resumed is None else resumed.on_file,
        )
        back_to = None if resumed is None else (resumed.mark, resumed.on_file.end)
        try:
            self._store = Store(self.path / "case.sqlite", back_to)
        except RecordingError:
            self._recorder.close()
            raise
        if resumed is None:
            self._settings(case_id, case, description, began)
        else:
            self.setting("clocks", dict(resumed.clocks))

    def _settings(self, case_id: str, case: Case, description: Description, began: datetime) -> None:
        for key, value in {
            "case": case_id,
            "name": case.name,
            "source": description.source,
            "rate_hz": description.rate_hz,
            "channels": description.channels,
            "lsb_uv": description.lsb_uv,
            "offset_uv": description.offset_uv,
            "latency_offset_samples": description.latency_offset_samples,
            "filter_delay_samples": filter_delay(description),
            "reference": case.reference,
            BY_KEY: computed_by(),
            "began": began.isoformat(),
        }.items():
            self.setting(key, value)

    def setting(self, key: str, value: Any) -> None:
        """Note one setting. Any thread."""
        if self._store is not None:
            self._store.setting(key, value)

    @property
    def recording(self) -> dict[str, Any]:
        """What `status` says of the recording."""
        n_bytes, disk = 0 if self._recorder is None else self._recorder.bytes_written, self.storage
        path = None if self.path is None else str(self.path)
        told: dict[str, Any] = {"path": path, "bytes": n_bytes, "state": disk.state}
        told |= {"waiting_s": disk.waiting_s, "lost_samples": disk.lost_samples}
        return told | {"fingerprint": None if self.path is None else self._fingerprint}

    @property
    def storage(self) -> Storage:
        """How the disk of the raw recording does. Any thread."""
        return Storage() if self._recorder is None else self._recorder.storage

    def append(self, block: SampleBlock) -> None:
        """Record a block before anything interprets it. Raises RecordingError when the disk refuses."""
        if self._recorder is not None:
            self._recorder.append(block)

    def edge(self, boot: int, shift: int, offset_ns: int) -> None:
        """Note which edge serves the case and where it lies in it, as `hostd.resume` reads it: a host that
        dies at once would have its samples placed anew, a little beside where they are. Receiving thread."""
        where = [boot, shift, offset_ns]
        self.setting("edge", where)
        if self.path is not None:
            with contextlib.suppress(OSError):  # then it is known half a second later
                new = self.path / f"{EDGE}.new"
                new.write_text(json.dumps(where), encoding="ascii")
                new.replace(self.path / EDGE)

    def anchor(self, index: int, t_ns: int, utc_minus_t_ns: int) -> None:
        """Note when the edge of the first block's last sample fell, on the clock of this machine's start."""
        self.setting("anchor", [index, t_ns, utc_minus_t_ns])
        self.setting("clocks", {machine_boot(): utc_minus_t_ns})

    def mark(self, n: int, sample: int) -> None:
        """Note how far the record has come at checkpoint `n`. Processing thread."""
        if self._store is not None:
            self._store.mark(n, sample)

    def fitted(self, r: Report) -> None:
        """Note what the edge has fitted: replay tells the same times, averages need none."""
        if self._store is not None:
            sample = r.index if r.index < 1 << 63 else -1
            row = (sample, r.t_ns + self._ahead_ns, r.ns_per_sample, r.ppm, r.wander_ppm, r.residual_ns)
            self._store.put("timebase", *row, r.refused, r.settled)

    def command(self, index: int, name: str, args: dict[str, Any]) -> None:
        """Note a command carried out before sample `index`: replay does it again there."""
        if self._store is not None:
            self._commands += 1
            self._store.put(
                "commands", self._commands, index, name, json.dumps(args), time.time_ns(), soon=True
            )

    def stimulus(self, s: Stimulus) -> None:
        """Note the edge's proof of one pulse."""
        if self._store is not None:
            seen = s.seen if s.seen < 1 << 63 else -1
            self._store.put("stimuli", s.plan, s.command, s.number, s.line, s.commanded, seen, s.pulse)

    def audit(self, actor: str, action: str, detail: Mapping[str, object], sample: int) -> None:
        """Note who did what when sample `sample` had been reached. Any thread."""
        if self._store is not None:
            self._store.audit(actor, action, detail, sample)

    def pulse(self, actor: str, sample: int, fields: Mapping[str, object]) -> None:
        """Note one stimulus pulse: `test`, `site`, `plan`, `command`, `number`, `pulse`, `line`, `commanded`,
        `seen` (None: it never came back), `current_ma` (or None)."""
        self.audit(actor, PULSE, fields, sample)

    def gaps(self, block: SampleBlock) -> None:
        """Note the gaps before a block."""
        if self._store is not None:
            for gap in block.gaps:
                self._store.put("gaps", gap.index, gap.length, gap.reason)

    def keep(self, message: Outgoing, utc_ns: int) -> None:
        """Keep what the case needs of a message: events, measurements, finished averages and baselines."""
        if self._store is None or self._recorder is None:
            return
        kind, _, test = message.topic.partition(".")
        f = message.fields
        if kind == "event":
            told = (f["kind"], f["author"], f["text"], f["test"], json.dumps(f["values"]))
            self._store.put("events", message.index, utc_ns, *told)
            self._annotate(message.index, f["text"])
        elif kind == "alert":
            what = (f["test"], f["kind"], f["priority"], f["state"], f["text"], json.dumps(f["evidence"]))
            why = f["cause"], json.dumps(f["likelihood"])
            self._store.put("alerts", f["id"], message.index, utc_ns, *what, *why)
            self._annotate(message.index, f"alert {f['state']}: {f['text']}")
        elif kind == "ledger":
            steps = (f["steps"][step] for step in STEPS)
            self._store.replace(
                "ledger", f["alert"], f["test"], message.index, utc_ns, *steps, json.dumps(f["notes"])
            )
        elif kind == "measure":
            for p in f["peaks"]:
                latency, amplitude = p["latency_ci_ms"] or [None] * 2, p["amplitude_ci_uv"] or [None] * 2
                row = (p["name"], p["derivation"], p["present"], p["latency_ms"], *latency)
                row += (p["amplitude_uv"], *amplitude, p["change_pct"])
                self._store.put("measurements", test, message.index, *row)
        elif message.topic in READINGS or kind in ("response", "plugs"):
            header = json.dumps(f)
            self._store.put("readings", message.topic, message.index, utc_ns, f["text"], header)
        elif kind == "baseline" or (kind == "average" and f["final"]):
            self._average(test, kind, message)

    def _annotate(self, index: int, text: str) -> None:
        """Beside the samples too; what is said again of those that were on file already stands there."""
        if self._recorder is not None and index >= self._annotated:
            self._recorder.annotate(index, text)

    def last_average(self, message: Outgoing) -> None:
        """Keep an unfinished average: the case ends with it."""
        self._average(message.topic.partition(".")[2], "last", message)

    def _average(self, test: str, role: str, message: Outgoing) -> None:
        if self._store is None:
            return
        header = {k: v for k, v in message.fields.items() if not isinstance(v, np.ndarray)}
        mean = message.fields["mean_uv"]
        header["shape"] = list(mean.shape)
        self._store.put("averages", test, role, message.index, json.dumps(header), mean.tobytes())

    def checkpoint(self, sample: int, fingerprint: Fingerprint) -> None:
        """Note how far the fingerprint has come when sample `sample` had been reached."""
        if self._store is not None:
            self._store.put("fingerprints", sample, json.dumps(fingerprint.news()))

    def fingerprint(self, sample: int, fingerprint: Fingerprint) -> None:
        """Note the fingerprint of the whole case, which ends at sample `sample`."""
        self.checkpoint(sample, fingerprint)
        if self._store is not None:
            self._store.setting(KEY, {"messages": fingerprint.messages, "sha256": fingerprint.sha256()})
            self._fingerprint = str(fingerprint)

    def take_fault(self) -> RecordingError | None:
        """Trouble with the database not yet handed out; rows wait in memory meanwhile."""
        return None if self._store is None else self._store.take_fault()

    def close_raw(self) -> None:
        """Close `raw.bdf`. Raises RecordingError when the disk refuses."""
        if self._recorder is not None:
            self._recorder.close()

    def close(self) -> None:
        """Close everything that is still open, the raw file first. Raises the first RecordingError."""
        with contextlib.ExitStack() as stack:
            if self._store is not None:
                stack.callback(self._store.close)
            self.close_raw()
