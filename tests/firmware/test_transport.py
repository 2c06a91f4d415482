"""Where the edge listens: whole addresses or one line, no file harmed, a host that is gone is EOFError."""

import contextlib
import os
import socket
import stat
import struct
import threading
from pathlib import Path

import pytest

from firmware.errors import ConfigError, PortError
from firmware.transport import Listener, Stream
from tests.support.edge import WITHIN_S, serial_wire, unix
from tests.support.ports import free_block


def no() -> bool:
    return False


@contextlib.contextmanager
def listening(address: str):
    listener = Listener(address)
    try:
        yield listener
    finally:
        listener.close()


@pytest.mark.parametrize(
    "host_port", ["5000", ":5000", "here:", "here:http", "here:65536", "here:-1", "here:²"]
)
def test_a_port_of_no_known_form_is_one_line(host_port: str) -> None:
    with pytest.raises(ConfigError, match="is not tcp:HOST:PORT"):
        Listener(f"tcp:{host_port}")


@pytest.mark.parametrize("address", ["", "unix", "unix:", "tcp:", "serial:", "x:y", "udp:here:5000"])
def test_an_address_of_no_known_form_is_one_line(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Listener(address)
    assert "tcp:HOST:PORT" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["a" * 70, "no such host", "\udcff"])
def test_a_host_that_cannot_be_is_one_line(host: str) -> None:
    with pytest.raises(PortError, match="cannot listen on tcp:") as caught:
        Listener(f"tcp:{host}:1")
    assert "\n" not in str(caught.value)


def test_a_busy_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortError, match=f"cannot listen on tcp:127.0.0.1:{port}: Address already in use"):
            Listener(f"tcp:127.0.0.1:{port}")


def test_a_path_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "edge.sock", tmp_path / ("x" * 200)):
        with pytest.raises(PortError, match="cannot listen on unix:") as caught:
            Listener(f"unix:{path}")
        assert "\n" not in str(caught.value)


def test_a_file_in_the_way_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    with pytest.raises(PortError, match="a file is in the way"):
        Listener(f"unix:{path}")
    with pytest.raises(PortError, match="a file is in the way"):
        Listener(f"unix:{tmp_path}")
    assert path.read_text() == "years of work"


@pytest.mark.control("H5.6")
def test_the_socket_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    with listening(unix(tmp_path / "new" / "folder")):
        path = tmp_path / "new" / "folder" / "edge.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_the_socket_of_a_dead_edge_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with listening(unix(tmp_path)) as listener, socket.socket(socket.AF_UNIX) as host:
        host.connect(str(path))
        assert listener.accept(no) is not None


def test_the_socket_of_a_living_edge_is_left_to_it_also_when_its_queue_is_full(tmp_path: Path) -> None:
    with listening(unix(tmp_path)) as listener, contextlib.ExitStack() as stack:
        for _ in range(20):
            host = stack.enter_context(socket.socket(socket.AF_UNIX))
            host.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                host.connect(str(tmp_path / "edge.sock"))
        with pytest.raises(PortError, match="another edge listens there"):
            Listener(unix(tmp_path))
        assert (tmp_path / "edge.sock").exists()
        assert listener.accept(no) is not None


def test_waiting_for_a_host_ends_when_told_to(tmp_path: Path) -> None:
    answers = iter([False, True])
    with listening(unix(tmp_path)) as listener:
        assert listener.accept(lambda: next(answers)) is None


def test_a_host_that_gave_up_before_it_was_taken_does_no_harm() -> None:
    port = free_block(1)
    with listening(f"tcp:127.0.0.1:{port}") as listener:
        gone = socket.create_connection(("127.0.0.1", port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        with socket.create_connection(("127.0.0.1", port)) as host:
            host.sendall(b"here")
            heard = b""
            while not heard:
                stream = listener.accept(no)
                assert stream is not None
                with contextlib.suppress(EOFError):
                    heard = stream.read(WITHIN_S)
            assert heard == b"here"


@pytest.fixture(params=["unix", "tcp", "serial"])
def ends(request: pytest.FixtureRequest, tmp_path: Path):
    """(edge's stream, function that writes at the host, function that reads at the host, hang up)."""
    with contextlib.ExitStack() as stack:
        if request.param == "serial":
            wire = stack.enter_context(serial_wire())
            fd = os.open(wire.host.partition(":")[2], os.O_RDWR | os.O_NOCTTY)
            listener = stack.enter_context(listening(wire.edge))
            yield listener.accept(no), lambda data: os.write(fd, data), lambda n: os.read(fd, n), None
            os.close(fd)
            return
        port = free_block(1)
        address = unix(tmp_path) if request.param == "unix" else f"tcp:127.0.0.1:{port}"
        listener = stack.enter_context(listening(address))
        host = stack.enter_context(
            socket.socket(socket.AF_UNIX if request.param == "unix" else socket.AF_INET)
        )
        host.settimeout(WITHIN_S)
        host.connect(str(tmp_path / "edge.sock") if request.param == "unix" else ("127.0.0.1", port))
        yield listener.accept(no), host.sendall, host.recv, host.close


def read_all(stream: Stream, n: int) -> bytes:
    data = b""
    while len(data) < n:
        more = stream.read(WITHIN_S)
        assert more
        data += more
    return data


def test_bytes_go_both_ways_and_silence_is_no_end(ends) -> None:
    stream, write, read, hang_up = ends
    assert stream.read(0) == b""
    every = bytes(range(256))
    write(every)
    assert read_all(stream, 256) == every
    stream.write(every)
    got = b""
    while len(got) < 256:
        got += read(256)
    assert got == every
    if hang_up is not None:
        hang_up()
        with pytest.raises(EOFError):
            stream.read(WITHIN_S)
        with pytest.raises(EOFError):
            while True:  # until the kernel has noticed as well
                stream.write(every)
    stream.close()
    for use in (lambda: stream.read(0), lambda: stream.write(b"x")):
        with pytest.raises(EOFError):
            use()
    stream.close()


def test_a_host_that_takes_nothing_is_gone_after_the_time_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.transport.WRITE_TIMEOUT_S", 0.05)
    with listening(unix(tmp_path)) as listener, socket.socket(socket.AF_UNIX) as host:
        host.connect(str(tmp_path / "edge.sock"))
        stream = listener.accept(no)
        assert stream is not None
        with pytest.raises(EOFError):
            while True:
                stream.write(bytes(1 << 16))


def test_a_serial_port_that_takes_nothing_is_gone_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.transport.WRITE_TIMEOUT_S", 0.05)
    with serial_wire() as wire, listening(wire.edge) as listener:
        stream = listener.accept(no)
        assert stream is not None
        with pytest.raises(EOFError):
            while True:
                stream.write(bytes(1 << 16))
        stream.close()


def test_a_serial_port_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for url in (str(tmp_path / "ttyNone"), "nothing://like:this", "socket://127.0.0.1:1"):
        with listening(f"serial:{url}") as listener, pytest.raises(PortError) as caught:
            listener.accept(no)
        assert f"cannot open serial port {url}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_unplugged_serial_port_is_the_end_of_the_stream() -> None:
    master, slave = os.openpty()
    with listening(f"serial:{os.ttyname(slave)}") as listener:
        stream = listener.accept(no)
        assert stream is not None
        os.close(slave)
        unplug = threading.Thread(target=os.close, args=(master,))
        unplug.start()
        with pytest.raises(EOFError):
            while True:
                stream.read(WITHIN_S)
        unplug.join()
        stream.close()
