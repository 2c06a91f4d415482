"""The control channel: orders done before the reply, bad ones refused in one line, rude clients forgotten."""

import json
import socket

import pytest

from firmware.rig.bodies import Ramp, Steady
from firmware.rig.control import RigControl, RigRefusedError
from firmware.rig.faults import Faults
from firmware.rig.gpiomem import GpioMem
from firmware.rig.lines import Lines
from firmware.rig.orders import LONGEST, Connections, Orders
from firmware.rig.wires import Wires, Wiring
from hw.model.board import BoardModel


@pytest.fixture
def parts():
    """(orders, wires, lines, faults)."""
    faults = Faults()
    lines = Lines(faults)
    wires = Wires(BoardModel(), lines, Wiring(), faults, False)
    return Orders(wires, faults, lambda: {"frames": 3}), wires, lines, faults


def ask(orders, **order):
    reply = json.loads(orders.reply(json.dumps(order).encode()))
    return reply["result"] if reply["ok"] else reply["error"]


def test_orders_are_done(parts):
    orders, wires, lines, faults = parts
    assert ask(orders, do="counters") == {"frames": 3}
    assert ask(orders, do="fault", name="busy_lines", value=[3, 4]) == {} and faults.busy_lines == (3, 4)
    assert ask(orders, do="fault", name="transfer_errno", value="EPIPE") == {} and faults.transfer_errno == 32
    assert ask(orders, do="fault", name="vanished") == {} and faults.vanished and faults.transfers_armed
    assert ask(orders, do="clear") == {} and faults == Faults()
    assert ask(orders, do="drive", offset=9, level=1) == {} and lines.lines[9].level == 1
    assert ask(orders, do="levels")["9"] == 1
    assert ask(orders, do="body", kind="ramp") == {} and isinstance(wires.board.body, Ramp)
    assert ask(orders, do="body", kind="steady", volts=[0.5] * 8) == {}
    assert isinstance(wires.board.body, Steady) and wires.board.body.read(0)[7] == 0.5
    assert ask(orders, do="body", kind="beaker") == {} and wires.board.body.read(0)[0] == 0
    assert ask(orders, do="body", kind="patient", seed=5) == {} and wires.board.body.read(0)[0] != 0


def test_the_board_breaks_by_name(parts):
    orders, wires, _, _ = parts
    wires.board.advance(wires.board.now_ns() + 10**9)
    wires.board.transfer(0, b"\x06")
    wires.board.advance(wires.board.now_ns() + 10**6)
    wires.board.transfer(0, b"\x11")
    assert wires.board.transfer(0, b"\x20\0\0")[2] == 0x3E
    assert ask(orders, do="chip_fault", name="dout_open") == {}
    assert wires.board.transfer(0, b"\x20\0\0")[2] == 0xFF


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"do": "dance"}, "unknown order 'dance'"),
        ({}, "unknown order None"),
        ({"do": "fault", "name": "x"}, "no fault is called 'x'"),
        ({"do": "fault", "name": "vanished", "value": "no"}, "neither true nor false"),
        ({"do": "fault", "name": "busy_lines", "value": 4}, "no list"),
        ({"do": "fault", "name": "short_in", "value": None}, "no number"),
        ({"do": "chip_fault", "name": "bored"}, "no chip fault is called 'bored'"),
        ({"do": "chip_fault", "name": "dead_chip", "chip": 7}, "chip 7"),
        ({"do": "chip_fault", "name": "bit_flips", "value": "many"}, "no number"),
        ({"do": "drive", "offset": 54, "level": 0}, "offset = 54"),
        ({"do": "drive", "offset": 5, "level": True}, "level = True"),
        ({"do": "body", "kind": "whale"}, "'whale' is unknown"),
        ({"do": "body", "kind": "steady", "volts": [1]}, "8 numbers"),
        ({"do": "body", "kind": "steady", "volts": ["a"] * 8}, "no number"),
        ({"do": "body", "kind": "patient", "seed": -1}, "seed = -1"),
    ],
)
def test_bad_orders_change_nothing(parts, order, says):
    orders, wires, _, faults = parts
    body = wires.board.body
    assert says in ask(orders, **order)
    assert faults == Faults() and wires.board.body is body


def test_lines_that_are_no_orders(parts):
    for line in (b"", b"[1]", b"{", b"\xff\xfe", b"7"):
        assert json.loads(parts[0].reply(line))["ok"] is False


def test_connections(parts, tmp_path):
    path = str(tmp_path / "control")
    connections = Connections(path)
    assert connections.accept() is None
    with socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as rude:
        client.connect(path)
        rude.connect(path)
        first, second = connections.accept(), connections.accept()
        client.sendall(b'{"do":"counters"}\n{"do":')
        connections.serve(first, parts[0])
        assert json.loads(client.recv(4096)) == {"ok": True, "result": {"frames": 3}}
        client.sendall(b'"clear"}\n')
        connections.serve(first, parts[0])
        assert json.loads(client.recv(4096))["ok"]
        rude.setblocking(False)
        sent = 0
        while second in connections and sent <= 2 * LONGEST:
            sent += rude.send(b"x" * 60_000)
            connections.serve(second, parts[0])
        assert second not in connections and sent > LONGEST
    connections.serve(first, parts[0])
    assert first not in connections
    connections.close()


def test_a_client_without_rig(monkeypatch):
    monkeypatch.delenv("EVOKD_RIG", raising=False)
    with pytest.raises(FileNotFoundError, match="EVOKD_RIG"):
        RigControl()
    assert issubclass(RigRefusedError, ValueError)


def test_mapped_registers(parts, tmp_path):
    """Stores into the file become levels; levels appear in GPLEV; set and clear at once are a pulse."""
    lines = parts[2]
    lines.on_output = lambda offset, level: heard.append((offset, level))
    heard = []
    file = (tmp_path / "gpiomem").open("w+b")
    file.write(bytes(4096))
    file.flush()
    memory = GpioMem(file.fileno(), lines)

    def store(register, value):
        memory._map[register : register + 4] = value.to_bytes(4, "little")

    def level():
        return int.from_bytes(memory._map[0x34:0x3C], "little")

    lines.drive(17, 1, 0)
    assert memory.sync() is False and level() == 1 << 17
    store(0x08, 1 << 6 | 1 << 9)
    assert memory.sync() and heard == [(22, 0), (23, 0)]
    store(0x1C, 1 << 22 | 1 << 5)
    assert memory.sync() and heard[2:] == [(22, 1)] and level() == 1 << 17 | 1 << 22
    assert memory.sync() is False, "a store acts once"
    store(0x1C, 1 << 23)
    store(0x28, 1 << 23 | 1 << 22)
    assert memory.sync() and heard[3:] == [(22, 0), (23, 1), (23, 0)]
    store(0x08, 0)
    assert memory.sync() and not lines.lines[22].is_output
    file.close()
