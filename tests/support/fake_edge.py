"""An edge by hand, for the host's end of the link: it does what the test says, however wrong."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from hostd.edge_link import EdgeLink
from hw.link import Message, Receiver, Sender
from tests.support.edge import WITHIN_S, unix


@contextlib.contextmanager
def linked(address: str) -> Iterator[EdgeLink]:
    link = EdgeLink(address)
    try:
        yield link
    finally:
        link.close()


def until(link: EdgeLink, last: Callable[[Message], bool]) -> list[Message]:
    """Everything up to the message that is the `last`."""
    heard: list[Message] = []
    while not (heard and last(heard[-1])):
        heard += link.receive(WITHIN_S)
        at = next((k for k, message in enumerate(heard) if last(message)), None)
        if at is not None:
            return heard[: at + 1]
    return heard


class FakeEdge:
    """Accepts one host and does what the test says with it."""

    def __init__(self, folder: Path, serve: Callable[["FakeEdge"], None]) -> None:
        self.address = unix(folder)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.address.partition(":")[2])
        self._listening.listen(1)
        self.sender, self.receiver = Sender(), Receiver()
        self.heard: list[Message] = []
        self._serve = serve
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.host = self._listening.accept()[0]
        self.host.settimeout(WITHIN_S)
        with contextlib.suppress(OSError):
            self._serve(self)
        self.host.close()

    def say(self, *messages: Message) -> None:
        self.host.sendall(b"".join(map(self.sender.frame, messages)))

    def hear(self, kind: type[Message]) -> None:
        """Wait for a message of `kind`."""
        while not any(isinstance(m, kind) for m in self.heard):
            data = self.host.recv(1 << 16)
            if not data:
                return
            self.heard += self.receiver.feed(data)

    def until_hung_up(self) -> None:
        while data := self.host.recv(1 << 16):
            self.heard += self.receiver.feed(data)

    def close(self) -> None:
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()
        self._listening.close()


@contextlib.contextmanager
def fake_edge(folder: Path, serve: Callable[[FakeEdge], None]) -> Iterator[FakeEdge]:
    edge = FakeEdge(folder, serve)
    try:
        yield edge
    finally:
        edge.close()
