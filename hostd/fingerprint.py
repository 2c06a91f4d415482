"""The fingerprint of a case: one hash over every message of its pipeline, live and in replay by this code.

Messages of one topic come in the same order however samples are cut into blocks, topics among one another do
not: so every topic has a chain of its own, and the fingerprint is of all chains. A checkpoint is how far each
chain has come; it is compared where a replay's chain has as many messages, whenever that is. Covers topic,
sample index, fields and arrays; not what the bus adds (number, boot, case, times).
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hostd import wire
from hostd.errors import UsageError
from hostd.outgoing import Outgoing
from hostd.store import read_rows

CHECKPOINT_S = 10.0
"""Samples from one checkpoint to the next: what a killed case cannot prove."""
KEY = "fingerprint"
BY_KEY = "computed_by"
_ROWS = "SELECT sample, topics FROM fingerprints ORDER BY rowid"
Chains = dict[str, tuple[int, str]]
"""By topic: how many messages, and the hash over them."""


class Fingerprint:
    """Chains of messages, taken in the order said: each link is the hash of the one before and a message, so
    that a chain goes on in another process from its last link (`hostd.checkpoints`). One thread."""

    def __init__(self) -> None:
        self._chains: dict[str, bytes] = {}
        self._counts: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def take(self, message: Outgoing) -> int:
        """Add the next message of its topic; its number there, from 1."""
        topic = message.topic
        link = hashlib.sha256(self._chains.get(topic, topic.encode()))
        header, parts = wire.pack_arrays(message.fields)  # the header holds the size of every part
        head = wire.encode_map([message.index, header])
        link.update(len(head).to_bytes(8, "little"))
        link.update(head)
        for part in parts:
            link.update(part)
        self._chains[topic] = link.digest()
        self._counts[topic] = number = self._counts.get(topic, 0) + 1
        return number

    @property
    def messages(self) -> int:
        """How many were taken."""
        return sum(self._counts.values())

    def count_of(self, topic: str) -> int:
        """How many of `topic` were taken."""
        return self._counts.get(topic, 0)

    def hash_of(self, topic: str) -> str:
        """The hash over the messages of `topic` so far."""
        return self._chains[topic].hex()

    def news(self) -> Chains:
        """The chains that have grown since the last call."""
        grown = {t: (n, self.hash_of(t)) for t, n in self._counts.items() if n != self._told.get(t)}
        self._told = dict(self._counts)
        return grown

    def sha256(self) -> str:
        """The hash over all chains."""
        return combined(self.chains())

    def chains(self) -> Chains:
        """All chains."""
        return {topic: (n, self.hash_of(topic)) for topic, n in self._counts.items()}

    def __str__(self) -> str:
        return f"{self.messages} messages, sha256 {self.sha256()}"


def combined(chains: Chains) -> str:
    """One hash of all chains."""
    whole = hashlib.sha256()
    for topic, (n, hashed) in sorted(chains.items()):
        whole.update(f"{topic} {n} {hashed}\n".encode())
    return whole.hexdigest()


def computed_by() -> str:
    """What computes here, as far as last digits hang on it: a case is replayed to the bit by the same."""
    from dsp import kernels_llvm  # here: who only tells of a fingerprint need not load numba

    kernels = "fused" if kernels_llvm.available() else "plain"
    evokd, numpy = metadata.version("evokd"), metadata.version("numpy")
    return f"evokd {evokd} (chains of links), numpy {numpy}, {platform.machine()} {kernels}"


def closed_line(recording: Mapping[str, Any]) -> str:
    """What is said at the end of a case that was recorded, with its newline; "" of any other. `recording`: as
    in `status`."""
    if not recording.get("fingerprint"):
        return ""
    path = recording["path"]
    return f"{path}: {recording['fingerprint']}; evokd replay {path} --verify computes it again\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a case has noted of its fingerprint. `marks` by topic: (count, hash, sample of the checkpoint) in
    order; `closed`: the last checkpoint is of the whole case; `by`: `computed_by` of that time."""

    marks: Mapping[str, list[tuple[int, str, int]]]
    closed: bool
    by: str

    @property
    def messages(self) -> int:
        """Up to the last checkpoint."""
        return sum(marks[-1][0] for marks in self.marks.values())

    def sha256(self) -> str:
        """Of the last checkpoint."""
        return combined({topic: marks[-1][:2] for topic, marks in self.marks.items()})


def kept(case: Path) -> Kept:
    """What `case.sqlite` in the directory `case` holds. Raises UsageError for a recording without."""
    database = case / "case.sqlite"
    why = f"{case}: no fingerprint to verify against"
    if not database.exists():
        raise UsageError(f"{why}: no case.sqlite; only a case that evokd recorded has one")
    if not read_rows(database, "SELECT 1 FROM sqlite_master WHERE name = 'fingerprints'"):
        raise UsageError(f"{why}: it was recorded by an evokd that kept none; replay it without --verify")
    settings = dict(read_rows(database, "SELECT key, value FROM settings"))
    marks: dict[str, list[tuple[int, str, int]]] = {}
    try:
        for sample, topics in read_rows(database, _ROWS):
            for topic, (n, hashed) in json.loads(topics).items():
                marks.setdefault(topic, []).append((int(n), str(hashed), int(sample)))
        whole = json.loads(settings.get(KEY, "null"))
        by = str(json.loads(settings.get(BY_KEY, '"an unknown evokd"')))
        read = Kept(marks, whole is not None, by)
        told = (read.messages, read.sha256()) if whole is None else (whole["messages"], whole["sha256"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{case}: its fingerprint cannot be read: {error!r}; was it edited?") from None
    if not marks and whole is None:
        raise UsageError(f"{why}: it was killed within its first {CHECKPOINT_S:g} s, before a checkpoint")
    if told != (read.messages, read.sha256()):
        raise UsageError(f"{case}: its fingerprint is not the one of its checkpoints; was it edited?")
    return read


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a topic differs first: among messages `first` to `last`, which speak for `samples`."""

    samples: tuple[int, int]
    topic: str
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        which = f"message {self.last}" if self.first == self.last else f"messages {self.first} to {self.last}"
        return f"{self.topic} {self.why} in its {which} (samples {self.samples[0]} to {self.samples[1]})"


class Comparison:
    """A replay held against what was kept; `take` every message of it, then ask for `differences`.

    `end`: behind the last sample on file. What a killed case said after it is not compared.
    """

    def __init__(self, held: Kept, end: int) -> None:
        self._closed = held.closed
        self._marks = {t: [m for m in marks if held.closed or m[2] <= end] for t, marks in held.marks.items()}
        self._next = dict.fromkeys(self._marks, 0)
        self._since: dict[str, tuple[int, int]] = {}
        self._found: dict[str, Difference] = {}
        self.replayed = Fingerprint()

    def take(self, message: Outgoing) -> None:
        """The next message of the replay."""
        topic, n = message.topic, self.replayed.take(message)
        if topic in self._found:
            return
        first, begun = self._since.setdefault(topic, (n, message.index))
        marks, k = self._marks.get(topic, []), self._next.get(topic, 0)
        if k == len(marks):
            if self._closed:
                self._found[topic] = Difference((message.index,) * 2, topic, n, n, "says more than it did")
            return
        count, hashed, _ = marks[k]
        if n < count:
            return
        if self.replayed.hash_of(topic) != hashed:
            self._found[topic] = Difference((begun, message.index), topic, first, n, "differs")
        self._next[topic] = k + 1
        del self._since[topic]

    def differences(self) -> list[Difference]:
        """Every topic that differs, the earliest first."""
        found = list(self._found.values())
        for topic, marks in self._marks.items():
            k = self._next[topic]
            if topic not in self._found and k < len(marks):
                said = self.replayed.count_of(topic)
                count, _, sample = marks[k]
                begun = self._since.get(topic, (0, marks[k - 1][2] if k else 0))[1]
                found.append(Difference((begun, sample), topic, said + 1, count, "says less than it did"))
        return sorted(found, key=lambda one: (one.samples, one.topic))

    @property
    def reached(self) -> int:
        """The sample of the last checkpoint that is compared; 0: none is."""
        return max((sample for marks in self._marks.values() for _, _, sample in marks), default=0)


def verdict(case: Path, messages: Iterable[Outgoing], end: int) -> tuple[bool, str]:
    """Whether a replay of the directory `case`, with `end` behind its last sample, is what was said live, and
    one line about it. Raises UsageError for a case that has kept no fingerprint."""
    held = kept(case)
    comparison = Comparison(held, end)
    if not comparison.reached:
        raise UsageError(f"{case}: it was never closed, and no checkpoint lies within its {end} samples")
    for message in messages:
        comparison.take(message)
    if differences := comparison.differences():
        first, *others = differences
        more = f"; {len(others)} more topics differ" if others else ""
        by = "" if held.by == computed_by() else f"; recorded by {held.by}, replayed by {computed_by()}"
        return False, f"{case}: {first}{more}{by}"
    if held.closed:
        return True, f"{case}: equal: {comparison.replayed}"
    line = f"{case}: equal up to its last checkpoint, sample {comparison.reached} of {end}"
    return True, f"{line}: it was never closed"
