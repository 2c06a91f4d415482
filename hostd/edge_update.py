"""An update for an edge, over its link (`hostd.flash_command` is its command).

Sends a bundle's bytes, whatever breaks on the way, and says what became of it. What a bundle may hold, who
may sign it and whether now is the time is for the edge to say.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from hostd.edge_link import EdgeLink
from hostd.errors import EvokdError, LinkError, UsageError
from hw.bundle import HEAD_START, Manifest, decode_head, decode_manifest, head_size
from hw.link import TABLE, VERSION
from hw.link_update import (
    PART_BYTES,
    UpdateAsk,
    UpdateInstall,
    UpdateOffer,
    UpdatePart,
    UpdateRequest,
    UpdateState,
)

WINDOW_BYTES = 8 * PART_BYTES
"""Sent and not yet answered."""
REACH_S = 10.0
ANSWER_S = 10.0
"""For a request; writing what was sent to a slow card included."""
INSTALL_S = 120.0
"""For reading everything back and making it certain on the medium."""
TRIAL_S = 1000.0
"""Until the edge is back: it starts on trial three times at most, each checked for 300 s at most."""
SILENT_S = 2.0
LOST_S = 60.0
"""How long a broken link is tried again before it is given up."""
RETRY_S = 0.5


class RefusedError(EvokdError):
    """The edge does not take the update; its reason."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle file, its head checked for form; the edge judges the rest."""

    file: BinaryIO
    head: bytes
    manifest: Manifest

    def part(self, at: int) -> bytes:
        """The bytes from `at` of what follows the head."""
        self.file.seek(len(self.head) + at)
        return self.file.read(min(PART_BYTES, self.manifest.size - at))


class Shown(Protocol):
    """Who is told how it goes."""

    def say(self, topic: str, text: str) -> None:
        """One line."""
        ...

    def sent(self, done: int, of: int) -> None:
        """Bytes that are on the edge."""
        ...


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """The bundle at `path`. Raises UsageError for what is none, or not whole."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            start = file.read(HEAD_START)
            head = start + file.read(head_size(start) - len(start))
            manifest = decode_manifest(decode_head(head).manifest)
            size = path.stat().st_size - len(head)
            if size != manifest.size:
                raise ValueError(f"{size} bytes follow its manifest, which lists {manifest.size}")
        except OSError as error:
            raise UsageError(f"bundle {path}: {error.strerror}; check the path") from None
        except ValueError as error:
            raise UsageError(f"{path} is no bundle: {error}; get it anew") from None
        yield Bundle(file, head, manifest)


class _Talk:
    """One connection to an edge, with answers to requests."""

    def __init__(self, address: str) -> None:
        self._link = EdgeLink(address, within_s=REACH_S, beats=False)
        self._command = 0
        try:
            self._link.meet("update")
        except BaseException:
            self._link.close()
            raise

    @property
    def boot(self) -> int:
        """Names the start of the edge that we talk with."""
        return self._link.edge_boot

    def close(self) -> None:
        self._link.close()

    def ask(self, kind: type[UpdateAsk] | type[UpdateInstall], within_s: float) -> UpdateState:
        """The answer to a request without more."""
        self._command += 1
        return self._answered(kind(self._command), within_s)

    def offer(self, head: bytes) -> UpdateState:
        """The answer to an offer: from where on to send. Raises RefusedError."""
        self._command += 1
        return self._answered(UpdateOffer(self._command, head), INSTALL_S)

    def _answered(self, request: UpdateRequest, within_s: float) -> UpdateState:
        """Sent again while a serial line may have lost it. Raises LinkError for silence."""
        deadline_ns = time.monotonic_ns() + round(within_s * 1e9)
        patience_s = SILENT_S if isinstance(request, UpdateAsk) else within_s
        while time.monotonic_ns() < deadline_ns:
            self._link.send(request)
            again_ns = min(deadline_ns, time.monotonic_ns() + round(patience_s * 1e9))
            while time.monotonic_ns() < again_ns:
                for state in self.heard(0.1):
                    if state.command == self._command:
                        return _taken(state)
        raise LinkError(
            f"{self._link.address}: no answer about updates; a coprocessor takes evokd flash --port"
        )

    def heard(self, within_s: float) -> list[UpdateState]:
        """Answers that have arrived."""
        return [m for m in self._link.receive(within_s) if isinstance(m, UpdateState)]

    def send(self, bundle: Bundle, at: int, sent_to: Callable[[int], None]) -> None:
        """All from `at` on, a window at a time. Raises LinkError when it does not get on, RefusedError."""
        size, sent, moved_ns = bundle.manifest.size, at, time.monotonic_ns()
        while at < size:
            while sent < min(size, at + WINDOW_BYTES):
                part = bundle.part(sent)
                self._link.send(UpdatePart(sent, part))
                sent += len(part)
            for state in map(_taken, self.heard(0.05)):
                if state.stage == "again":
                    sent = state.at
                if state.command == 0 and state.at > at:
                    at, moved_ns = state.at, time.monotonic_ns()
            sent_to(at)
            if time.monotonic_ns() - moved_ns > round(SILENT_S * 1e9):
                moved_ns = time.monotonic_ns()
                at = sent = self.offer(bundle.head).at


def _taken(state: UpdateState) -> UpdateState:
    if state.stage == "refused":
        raise RefusedError(f"the edge refuses: {state.text}")
    return state


def check_link(manifest: Manifest) -> None:
    """Raises UsageError when this machine could not talk with the edge after the update."""
    own = f"{VERSION} {TABLE:08x}"
    if manifest.link != own:
        raise UsageError(
            f"the update speaks link {manifest.link}, this machine's evokd {own}, which could not run a case "
            "with it; update this machine first, or say --other-link"
        )


def update(address: str, bundle: Bundle, shown: Shown) -> None:
    """Bring the edge at `address` to what `bundle` holds. Raises EvokdError, also when it went back."""
    boot, before = asked(address)
    shown.say("edge", f"{address}, evokd {running(before)}")
    shown.say("bundle", f"evokd {bundle.manifest.named}, {bundle.manifest.size / 1e6:.1f} MB")
    installed = _Sending(address, bundle, shown).whole()
    shown.say(
        "written", f"{installed.text}, verified; the edge starts anew and tries it, which takes minutes"
    )
    after = _back(address, bundle.manifest, boot)
    shown.say("done", f"evokd {running(before)} -> {running(after)}")


def asked(address: str) -> tuple[int, UpdateState]:
    """The edge's start, and what runs there."""
    with contextlib.closing(_Talk(address)) as talk:
        return talk.boot, talk.ask(UpdateAsk, ANSWER_S)


class _Sending:
    """A bundle sent over as many connections as it takes."""

    def __init__(self, address: str, bundle: Bundle, shown: Shown) -> None:
        self._address, self._bundle, self._shown = address, bundle, shown
        self._furthest = 0
        self._moved_ns = time.monotonic_ns()

    def whole(self) -> UpdateState:
        """Everything is there and installed. Raises LinkError when nothing moves any more, RefusedError."""
        while True:
            try:
                with contextlib.closing(_Talk(self._address)) as talk:
                    return self._over(talk)
            except LinkError as error:
                if time.monotonic_ns() - self._moved_ns > round(LOST_S * 1e9):
                    raise LinkError(f"{error}; the same command goes on where it was") from None
                _wait(RETRY_S)

    def _over(self, talk: _Talk) -> UpdateState:
        at = talk.offer(self._bundle.head).at
        if at:
            self._shown.say("resumed", f"{at / 1e6:.1f} MB are there already")
        talk.send(self._bundle, at, self._sent)
        return talk.ask(UpdateInstall, INSTALL_S)

    def _sent(self, done: int) -> None:
        if done > self._furthest:
            self._furthest, self._moved_ns = done, time.monotonic_ns()
        self._shown.sent(done, self._bundle.manifest.size)


def _back(address: str, manifest: Manifest, before: int) -> UpdateState:
    """What runs once the edge is no longer the start `before` and its trial is over. Raises EvokdError when
    that is not the update."""
    deadline_ns = time.monotonic_ns() + round(TRIAL_S * 1e9)
    while time.monotonic_ns() < deadline_ns:
        try:
            boot, state = asked(address)
        except LinkError:
            _wait(RETRY_S)
            continue
        if boot != before and not state.trial:
            if (state.version, state.build) == (manifest.version, manifest.build):
                return state
            raise RefusedError(
                f"the update was given up, evokd {running(state)} runs: {state.text or 'unsaid'}"
            )
        _wait(RETRY_S)
    raise LinkError(f"{address}: the edge did not come back within {TRIAL_S:g} s; look at it")


def running(state: UpdateState) -> str:
    """What runs on an edge, for people."""
    build = f"build {state.build}, slot {state.slot}" if state.build else "as installed"
    return f"{state.version} ({build})"


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
