"""The rig's end of the control channel: reads orders, has them done, replies.

Owns the connections and the table of orders; refuses to outlive the rig. Bad orders get one line back and
change nothing.
"""

import json
import socket
from collections.abc import Callable, Mapping
from typing import Final

from firmware.errors import ConfigError
from firmware.rig.bodies import PatientBody, Ramp, Steady
from firmware.rig.control import encode
from firmware.rig.faults import Faults
from firmware.rig.lines import N_LINES
from firmware.rig.wires import Wires
from hw.model.faults import Fault, FaultKind
from hw.model.scenario import NO_CHANGE

LONGEST: Final = 1 << 20
Order = Mapping[str, object]


class Orders:
    """What can be ordered of one rig. `counters` gives the figures of the moment. One thread.

    `on_faults()` hears, before the reply, that the faults have changed.
    """

    def __init__(self, wires: Wires, faults: Faults, counters: Callable[[], dict[str, int]]) -> None:
        self._pins, self._faults = wires.pins, faults
        self.on_faults: Callable[[], None] = lambda: None
        self._board = wires.board
        self._channels = sum(chip.channels for chip in self._board.setup.chips)
        self._table: dict[str, Callable[[Order], Mapping[str, object]]] = {
            "fault": self._fault,
            "chip_fault": self._chip_fault,
            "clear": self._clear,
            "counters": lambda order: counters(),
            "levels": self._levels,
            "drive": self._drive,
            "body": self._body,
        }

    def reply(self, line: bytes) -> bytes:
        """Do the order in `line`; the line to send back."""
        try:
            order = json.loads(line)
            if not isinstance(order, dict):
                raise ValueError('an order is a JSON object, for example {"do": "counters"}')
            action = self._table.get(str(order.get("do")))
            if action is None:
                raise ValueError(f"unknown order {order.get('do')!r}; there are {', '.join(self._table)}")
            return encode({"ok": True, "result": action(order)})
        except (ValueError, ConfigError) as error:
            return encode({"ok": False, "error": str(error)})

    def _fault(self, order: Order) -> Order:
        self._faults.set(str(order.get("name")), order.get("value", True))
        self.on_faults()
        return {}

    def _chip_fault(self, order: Order) -> Order:
        name, value = str(order.get("name")), order.get("value")
        if name not in set(FaultKind):
            raise ValueError(f"no chip fault is called {name!r}; there are {', '.join(FaultKind)}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"chip fault {name}: value {value!r} is no number")
        where = {key: _integer(order, key, 255) for key in ("chip", "channel", "address") if key in order}
        self._board.apply(Fault(FaultKind(name), value=value, **where))
        return {}

    def _clear(self, order: Order) -> Order:
        self._faults.clear()
        self.on_faults()
        return {}

    def _levels(self, order: Order) -> Order:
        return {str(offset): level for offset, level in enumerate(self._pins.levels())}

    def _drive(self, order: Order) -> Order:
        offset, level = _integer(order, "offset", N_LINES - 1), _integer(order, "level", 1)
        self._pins.drive(offset, level, self._board.now_ns())
        return {}

    def _body(self, order: Order) -> Order:
        kind, channels = order.get("kind"), self._channels
        if kind == "ramp":
            self._board.body = Ramp(channels)
        elif kind == "beaker":
            self._board.body = Steady([0.0] * channels)
        elif kind == "steady":
            self._board.body = Steady(_volts(order, channels))
        elif kind == "patient":
            seed = _integer(order, "seed", (1 << 31) - 1) if "seed" in order else 1
            self._board.body = PatientBody(channels, lambda: self._board.rate_hz, seed, NO_CHANGE)
        else:
            raise ValueError(f"body {kind!r} is unknown; use ramp, beaker, steady or patient")
        return {}


class Connections:
    """The listening socket at `path` and who is connected; none of them ever blocks the rig."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.listener.bind(path)
        self.listener.listen()
        self._open: dict[int, tuple[socket.socket, bytearray]] = {}

    def accept(self) -> int | None:
        """Someone connects: the descriptor to watch, None when he has gone again."""
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return None
        connection.setblocking(False)
        self._open[connection.fileno()] = (connection, bytearray())
        return connection.fileno()

    def __contains__(self, fd: int) -> bool:
        """True for a connection's descriptor."""
        return fd in self._open

    def serve(self, fd: int, orders: Orders) -> None:
        """Whole lines are orders. He who hangs up, or sends too long a line, is forgotten."""
        connection, held = self._open[fd]
        try:
            piece = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        held += piece
        try:
            while b"\n" in held:
                line, _, rest = bytes(held).partition(b"\n")
                held[:] = rest
                connection.sendall(orders.reply(line))
        except OSError:
            piece = b""
        if not piece or len(held) > LONGEST:
            del self._open[fd]
            connection.close()

    def close(self) -> None:
        """Hang up on all."""
        for connection, _ in self._open.values():
            connection.close()
        self.listener.close()


def _integer(order: Order, name: str, most: int) -> int:
    value = order.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} = {value!r} is not a whole number from 0 to {most}")
    return value


def _volts(order: Order, channels: int) -> list[float]:
    volts = order.get("volts")
    if not isinstance(volts, list) or len(volts) != channels:
        raise ValueError(f"volts is not a list of {channels} numbers, one per channel")
    if not all(isinstance(v, int | float) and abs(v) < 100 for v in volts):
        raise ValueError("volts has an entry that is no number below 100")
    return [float(v) for v in volts]
