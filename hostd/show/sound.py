"""What is heard: muscles and alarms, mixed in one thread and handed to a player program through a pipe.

Samples are signed 16 bit, little-endian, mono, 8 kHz. Never late by more than a fifth of a second: what a
player or a hole in the samples holds up is skipped, nothing piles up. Lost samples are silence of their
length.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hostd.show.player import Player
from hostd.show.tones import RATE_HZ, Alarm
from hostd.show.words import whole
from hostd.wire import Message

LATE_S = 0.2
AHEAD_S = 0.06
STEP_S = 0.02
STALE_S = 2.0
AGAIN_S = 3.0
Samples = NDArray[np.int16]


class Muscles:
    """The sound of muscles as it comes, and as it is asked for. One thread.

    Plays once AHEAD_S wait, so that what arrives in uneven pieces sounds even; what waits beyond LATE_S is
    skipped, oldest first, and counted in `skipped`.
    """

    def __init__(self) -> None:
        self._waiting = np.zeros(0, np.int16)
        self._next: int | None = None
        self._boot = ""
        self._plays = False
        self.skipped = 0

    def add(self, message: Message) -> None:
        """Take an `emg.audio` message in. Raises ValueError for one that is malformed."""
        header = message.header
        first, boot = whole(header.get("first_index")), header.get("boot")
        samples = message.array("samples")
        if samples.dtype != np.dtype("<i2") or samples.ndim != 1 or len(samples) > RATE_HZ or first is None:
            raise ValueError("no sound of muscles")
        if boot != self._boot:
            self._boot, self._next = str(boot), None
        missing = 0 if self._next is None else first - self._next
        if missing < 0:
            return
        most = round(LATE_S * RATE_HZ)
        hole = np.zeros(min(missing, most), np.int16)
        self._next = first + len(samples)
        waiting = np.concatenate((self._waiting, hole, samples.astype(np.int16)))
        if len(waiting) > most:
            keep = round(AHEAD_S * RATE_HZ)
            self.skipped += len(waiting) - keep
            waiting = waiting[-keep:]
        self._waiting = waiting

    def take(self, count: int) -> Samples:
        """The next `count` samples; silence where there are none yet."""
        if not self._plays and len(self._waiting) < round(AHEAD_S * RATE_HZ):
            return np.zeros(count, np.int16)
        given, self._waiting = self._waiting[:count], self._waiting[count:]
        self._plays = len(given) == count
        return np.concatenate((given, np.zeros(count - len(given), np.int16)))


class Sound:
    """Plays what `parts` ("emg", "alarms") name. `hear` is called by the listening thread, `state` by any.

    The alarm sounds by what the box says (`alarms.sounding`); where the box is lost while its alarm was
    wanted, a medium one of our own: silence must not pass for quiet.
    """

    def __init__(
        self, parts: frozenset[str], player: Player, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._parts, self._player, self._clock = parts, player, clock
        self._lock = threading.Lock()
        self._muscles, self._alarm = Muscles(), Alarm()
        self._sounding: str | None = None
        self._paused = False
        self._closed = False
        self._heard_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
        self._trouble = ""

    @property
    def state(self) -> str:
        """A word for the header: `♪`, or why nothing is heard."""
        if self._trouble:
            return "NO SOUND: " + self._trouble
        return "♪ paused" if self._paused else "♪"

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join(1.0)
        self._player.close()

    def hear(self, message: Message) -> None:
        """Any message of the bus."""
        topic, header = message.topic, message.header
        with self._lock:
            self._heard_ns = self._clock()
            if topic == "emg.audio" and "emg" in self._parts:
                with contextlib.suppress(ValueError):
                    self._muscles.add(message)
            elif topic == "alarms":
                sounding = header.get("sounding")
                self._sounding = sounding if isinstance(sounding, str) else None
                self._paused = header.get("audio") != "on" or header.get("alarm") != "on"
            elif topic == "status":
                self._closed = header.get("state") == "closed"

    def mix(self, count: int) -> Samples:
        """The next `count` samples of all parts, at no time beyond full scale."""
        with self._lock:
            mixed = self._muscles.take(count).astype(np.int32)
            if "alarms" in self._parts:
                self._alarm.set_(self._wanted())
                mixed += self._alarm.take(count)
        return np.clip(mixed, -32768, 32767).astype(np.int16)

    def _wanted(self) -> str | None:
        lost = self._heard_ns is not None and self._clock() - self._heard_ns > STALE_S * 1e9
        if lost and not self._closed:
            return None if self._paused else "medium"
        return self._sounding

    def _run(self) -> None:
        began_ns, played = self._clock(), 0
        retry_ns = 0
        while not self._stop.wait(STEP_S):
            now_ns = self._clock()
            due = (now_ns - began_ns) * RATE_HZ // 1_000_000_000 - played
            late = round(LATE_S * RATE_HZ)
            if due > late:  # we ourselves were held up: go on from now
                played += due - late
                due = late
            samples = self.mix(int(due))
            played += len(samples)
            if self._trouble and now_ns < retry_ns:
                continue
            self._trouble = self._player.play(samples.astype("<i2").tobytes())
            if self._trouble:
                retry_ns = now_ns + round(AGAIN_S * 1e9)
