"""What one browser may ask of its box, and the asking: a control connection of its own, under its own name.

The box decides; the gateway only takes care that a browser elsewhere is not taken for one on the cart, that
one which floods is told so, and that a stop waits behind nothing. Refuses commands that no button sends.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from hostd.client import Control
from hostd.errors import BusError
from hostd.keys import Secret

Wanted = Literal["operator", "remote", "observer"]
STOP = "stim.stop"
ASKABLE = frozenset(
    {
        *("test.start", "test.stop", "test.rate", "stim.arm", "stim.fire", STOP),
        *("baseline.set", "baseline.clear", "mark", "alert.acknowledge", "alert.note", "case.critical"),
        *("alarm.signal", "impedance.start", "impedance.stop", "leads.watch", "plugs.check", "config.get"),
    }
)
ANSWER_MS = 3000
MOST_WAITING = 8


class Desk:
    """One browser's requests. Made and used in the event loop's thread; asking happens in one of its own."""

    def __init__(self, bus: str, key: Secret | None, name: str, wanted: Wanted) -> None:
        self.key = key
        self._bus, self._who = bus, {"name": name, "role": wanted}
        self._asker = ThreadPoolExecutor(1, "desk")
        self._control: Control | None = None
        self._waiting = 0

    async def rights(self) -> dict[str, Any]:
        """What the box grants: the result of `hello`. Raises BusError when it does not answer."""
        reply = await self._later(self._greet)
        result = reply.get("result")
        if not reply.get("ok") or not isinstance(result, dict):
            raise BusError(f"{self._bus} does not say what may be asked: {reply.get('error')}")
        return result

    async def ask(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        """The box's reply, or a refusal in the same form."""
        if command not in ASKABLE:
            return _refusal("unknown_command", f"{command[:40]!r} is nothing that this display asks for")
        if command == STOP:
            return await asyncio.to_thread(self._stop)
        if self._waiting >= MOST_WAITING:
            return _refusal("busy", f"{MOST_WAITING} requests wait for the box already")
        try:
            return await self._later(self._ask, command, args)
        except BusError as error:
            return _refusal("internal", str(error))

    def close(self) -> None:
        """Ask for nothing any more; what is being asked is waited for by nobody."""
        self._asker.submit(self._close)
        self._asker.shutdown(wait=False)

    async def _later(self, asked: Any, *args: Any) -> dict[str, Any]:
        self._waiting += 1
        try:
            reply: dict[str, Any] = await asyncio.get_running_loop().run_in_executor(
                self._asker, asked, *args
            )
            return reply
        except ValueError as error:
            raise BusError(f"{self._bus} answers what is no reply: {error}") from None
        finally:
            self._waiting -= 1

    def _greet(self) -> dict[str, Any]:
        if self._control is None:
            self._control = Control(self._bus, self.key)
        return self._control.ask("hello", self._who, ANSWER_MS)

    def _ask(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        if self._control is None:
            self._greet()
        if self._control is None:
            raise BusError(f"{self._bus}: this display is gone")
        # With each request, since a box that was started anew knows nobody; it answers in order.
        self._control.send("hello", self._who, ANSWER_MS)
        return self._control.ask(command, args, ANSWER_MS)

    def _stop(self) -> dict[str, Any]:
        """On a connection of its own, so that it waits for nothing that was asked before."""
        try:
            with Control(self._bus, self.key) as control:
                control.send("hello", self._who, ANSWER_MS)
                return control.ask(STOP, {}, ANSWER_MS)
        except BusError as error:
            return _refusal("internal", str(error))

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def _refusal(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message}}
