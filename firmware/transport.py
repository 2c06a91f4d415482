"""Where the link is listened for: a unix socket, a TCP port, or any pyserial URL, as one kind of byte stream.

Carries bytes and knows nothing of what they mean. A peer that is gone is EOFError, never an empty read.
"""

import contextlib
import select
import socket
import stat
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import serial

from firmware.errors import ConfigError, PortError

ACCEPT_POLL_S = 0.2
PROBE_S = 1.0
WRITE_TIMEOUT_S = 10.0
SERIAL_BAUD = 921600
# pyserial lets the C library's errors through, and its own TypeError from a port that has gone.
_SERIAL_ERRORS = (OSError, serial.SerialException, termios.error, TypeError)


class Stream(Protocol):
    """Bytes to and from one host."""

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting at most `timeout_s`; b"" for nothing. EOFError when the host is gone."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`. EOFError when the host is gone or takes nothing for 10 s."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class SocketStream:
    """A connected stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(WRITE_TIMEOUT_S)
        if connection.family != socket.AF_UNIX:  # a block must not wait for the answer to the one before
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, timeout_s: float) -> bytes:
        """See Stream."""
        try:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return b""
            data = self._socket.recv(1 << 16)
        except (OSError, ValueError) as error:
            raise EOFError(str(error)) from None
        if not data:
            raise EOFError("closed by the host")
        return data

    def write(self, data: bytes) -> None:
        """See Stream."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise EOFError(str(error)) from None

    def close(self) -> None:
        """See Stream."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class SerialStream:
    """An open serial port; it has no notion of a host that is gone but a failing device."""

    def __init__(self, port: serial.SerialBase) -> None:
        self._port = port

    def read(self, timeout_s: float) -> bytes:
        """See Stream."""
        try:
            if self._port.timeout != timeout_s:  # setting it asks the device
                self._port.timeout = timeout_s
            data: bytes = self._port.read(1)
            if data:
                data += self._port.read(self._port.in_waiting)
        except (*_SERIAL_ERRORS, ValueError) as error:
            raise EOFError(str(error)) from None
        return data

    def write(self, data: bytes) -> None:
        """See Stream."""
        try:
            self._port.write(data)
        except (*_SERIAL_ERRORS, ValueError) as error:
            raise EOFError(str(error)) from None

    def close(self) -> None:
        """See Stream."""
        with contextlib.suppress(*_SERIAL_ERRORS):
            self._port.close()


class Listener:
    """Waits for hosts at `address`: unix:PATH, tcp:HOST:PORT or serial:URL.

    Raises ConfigError for another form, PortError when it cannot be opened.
    """

    def __init__(self, address: str) -> None:
        kind, _, rest = address.partition(":")
        opened = {"unix": self._unix, "tcp": self._tcp, "serial": self._serial}.get(kind)
        if opened is None or not rest:
            raise ConfigError(f"--link {address!r} is not unix:PATH, tcp:HOST:PORT or serial:URL")
        self._path: Path | None = None
        self._socket: socket.socket | None = None
        self._url = ""
        try:
            opened(rest)
        except (OSError, UnicodeError, TypeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PortError(f"cannot listen on {address}: {reason}; choose another --link") from None

    def _unix(self, rest: str) -> None:
        path = Path(rest)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OSError("a file is in the way")
            if _answers(rest):
                raise OSError("another edge listens there")
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(rest)
        self._path.chmod(0o600)
        self._socket.listen(1)

    def _tcp(self, rest: str) -> None:
        host, _, port = rest.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"--link tcp:{rest} is not tcp:HOST:PORT")
        self._socket = socket.create_server((host, int(port)))

    def _serial(self, rest: str) -> None:
        self._url = rest

    def accept(self, stopped: Callable[[], bool]) -> Stream | None:
        """The next host, or None when `stopped`. Raises PortError when a serial port cannot be opened."""
        if self._socket is None:
            return _open_serial(self._url)
        self._socket.setblocking(False)
        while not stopped():
            if select.select([self._socket], [], [], ACCEPT_POLL_S)[0]:
                with contextlib.suppress(OSError):  # it may have gone again, which is no fault of ours
                    return SocketStream(self._socket.accept()[0])
        return None

    def close(self) -> None:
        """Stop listening and remove the socket's file."""
        if self._socket is not None:
            self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except (TimeoutError, BlockingIOError):  # somebody listens, with as many waiting as there may
            return True
        return True


def _open_serial(url: str) -> SerialStream:
    try:
        return SerialStream(serial.serial_for_url(url, baudrate=SERIAL_BAUD, write_timeout=WRITE_TIMEOUT_S))
    except (*_SERIAL_ERRORS, ValueError) as error:
        raise PortError(
            f"cannot open serial port {url}: {error}; check the name and its permissions"
        ) from None
