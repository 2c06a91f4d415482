"""Readings of a box's browsers: each averages anew, in one worker thread, and tells its own page each second.

Owns the ring and the ear that fills it, which listens from the first moment that a key allows it. Refuses to
average more than so many at a time: the box's machine has other work.
"""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hostd import casefile, wire
from hostd.case import Case
from hostd.client import request
from hostd.errors import BusError, EvokdError, UsageError
from hostd.keys import Secret
from hostd.outgoing import Outgoing
from hostd.route import Route
from hostd.web.clients import Outbox
from hostd.web.frame import pack_frame
from hostd.web.reading import Averaging, Wanted, planned, wanted
from hostd.web.ring import RawEar, Ring
from hostd.wire import Message
from hw.link import Description

MOST = 4
EVERY_S = 1.0


class Readers:
    """All readings of one box. Event loop's thread; averaging happens in one of its own."""

    def __init__(self, route: Route, most_bytes: int, stop: threading.Event) -> None:
        self._route, self._stop = route, stop
        self.ring = Ring(most_bytes)
        self._ears: list[RawEar] = []
        self._worker = ThreadPoolExecutor(1, "reading")
        self._tasks: dict[Outbox, asyncio.Task[None]] = {}
        self._case: tuple[str, Case] | None = None

    def listen(self, key: Secret | None) -> None:
        """Begin to keep raw samples, if nothing does yet and `key` may read them."""
        if not self._ears and (key is None or key.role != "observer"):
            ear = RawEar(self._route, key, self.ring, self._stop)
            self._ears.append(ear)
            ear.start()

    def begin(self, outbox: Outbox, raw: dict[str, Any], status: Message | None, key: Secret | None) -> None:
        """Average as `raw` says for this browser from now on, in place of what was; {} for nothing any more.

        Raises UsageError for what makes no sense, or when there are too many."""
        if (task := self._tasks.pop(outbox, None)) is not None:
            task.cancel()
        if not raw:
            return
        said = wanted(raw)
        if len(self._tasks) >= MOST:
            raise UsageError(f"reading: {MOST} readers average here already; one of them has to close first")
        if status is None:
            raise UsageError("reading: the box has not said yet what it records")
        self.listen(key)
        task = asyncio.get_running_loop().create_task(self._read(outbox, said, status, key))
        task.add_done_callback(lambda ended: self._ended(outbox, ended))
        self._tasks[outbox] = task

    def close(self) -> None:
        """End everything; the ear ends with the gateway's stop."""
        for task in self._tasks.values():
            task.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def _read(self, outbox: Outbox, said: Wanted, status: Message, key: Secret | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            made = None
            while made is None:
                made = await loop.run_in_executor(self._worker, self._made, said, status, key)
                await asyncio.sleep(0 if made else EVERY_S)
            while True:
                for name, averaging in made.items():
                    if await loop.run_in_executor(self._worker, averaging.advance, self.ring):
                        for family, message in averaging.newest.items():
                            topic = f"{name}.{family}"
                            outbox.put(topic, _frame(topic, message, said.test, self.ring, status))
                await asyncio.sleep(EVERY_S)
        except ValueError as error:  # what the numbers turn out not to bear
            raise UsageError(f"reading: {error}") from error

    def _ended(self, outbox: Outbox, task: "asyncio.Task[None]") -> None:
        """A reading that broke off says why; one that was replaced or left says nothing."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._tasks.get(outbox) is task:
            del self._tasks[outbox]
        text = str(error) if isinstance(error, EvokdError) else f"reading: {type(error).__name__}: {error}"
        outbox.put("reading.error", pack_frame(Message("reading.error", {"text": text})))

    def _made(self, said: Wanted, status: Message, key: Secret | None) -> dict[str, Averaging] | None:
        """The averagings of a reading; None while there is no sample yet."""
        first, end = self.ring.span
        if first == end or self.ring.boot != status.header.get("boot"):
            return None
        rate_hz = float(status.header["rate_hz"])
        case = self._case_of(self.ring.boot, rate_hz, key)
        plan = planned(case, said, rate_hz)
        scale, latency = (self.ring.lsb_uv, self.ring.offset_uv), self.ring.latency_offset_samples
        of = Description("raw", rate_hz, case.channels, *scale, latency, 8)
        low_s, high_s = said.span_s or (0.0, None)
        until = None if high_s is None else round(high_s * rate_hz)
        made = {"reading": Averaging(case, plan, of, round(low_s * rate_hz), until)}
        if said.reference_s is not None:
            low, high = (round(s * rate_hz) for s in said.reference_s)
            if high <= first:
                here = f"samples are here from {first / rate_hz:.0f} s of the case on"
                raise UsageError(f"reading: {here}, the reference is before")
            made["reference"] = Averaging(case, plan, of, low, high)
        return made

    def _case_of(self, boot: str, rate_hz: float, key: Secret | None) -> Case:
        """The case that runs on the box, asked for once."""
        if self._case is None or self._case[0] != boot:
            reply = request(self._route.bus, "config.get", {}, key=key)
            text = reply.get("result", {}).get("toml")
            if not isinstance(text, str):
                raise BusError(f"{self._route.bus} does not tell its case: {reply.get('error')}")
            case = casefile.parse(text, "the box's case", recorded=True)
            self._case = boot, case if case.rate_hz else casefile.at_rate(case, rate_hz, "the box's case")
        return self._case[1]


def _frame(topic: str, message: Outgoing, test: str, ring: Ring, status: Message) -> bytes:
    """What the page gets: the message's own fields, and what of the case could be averaged at all."""
    rate_hz = float(status.header["rate_hz"])
    first, end = ring.span
    kept = {"test": test, "index": message.index, "kept_s": [first / rate_hz, end / rate_hz]}
    with contextlib.suppress(KeyError):
        kept["boot"] = status.header["boot"]
    return pack_frame(Message(topic, *wire.pack_arrays({**message.fields, **kept})))
