"""An edge for benches: serves one host blocks of samples in real time, and says when each was sent."""

import socket
import threading
import time
from collections.abc import Callable, Iterable

from hw.link import (
    Block,
    Configure,
    Description,
    Hello,
    Receiver,
    Reply,
    Sender,
    Start,
    StimArm,
    StimPlan,
    StimStop,
    hello,
)

Samples = tuple[int, bytes, bytes]
"""Index of a block's first sample, its packed samples, its trigger bits."""


class StandInEdge(threading.Thread):
    """Listens at the unix socket `path` from the beginning; `blocks` have `block` samples each.

    `describe` answers the host's channels; every stimulus that is asked for is promised and none fired.
    `sent_ns[k]` is when block k was sent, by the monotonic clock.
    """

    def __init__(
        self,
        path: str,
        describe: Callable[[tuple[str, ...]], Description],
        blocks: Iterable[Samples],
        block: int,
    ) -> None:
        super().__init__(name="stand-in-edge", daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen(1)
        self._describe, self._blocks, self._block = describe, blocks, block
        self.sent_ns: list[int] = []

    def run(self) -> None:
        """Handshake, then blocks in real time."""
        connection, _ = self._server.accept()
        sender, receiver = Sender(), Receiver()
        description: Description | None = None
        started = False
        while not started:
            for message in receiver.feed(connection.recv(65536)):
                match message:
                    case Hello():
                        connection.sendall(sender.frame(hello("edge", 1)))
                    case Configure():
                        description = self._describe(message.channels)
                        connection.sendall(sender.frame(description))
                    case Start():
                        started = True
        threading.Thread(target=_answer, args=(connection, receiver, sender), daemon=True).start()
        if description is not None:
            self._send(connection, sender, description)
        connection.close()

    def _send(self, connection: socket.socket, sender: Sender, description: Description) -> None:
        start_ns, tick, n = time.monotonic_ns(), threading.Event(), len(description.channels)
        for first, samples, bits in self._blocks:
            due_ns = start_ns + round((first + self._block) * 1e9 / description.rate_hz)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                tick.wait(left_ns / 1e9)
            frame = sender.frame(Block(first, due_ns, n, samples, bits, ()))
            self.sent_ns.append(time.monotonic_ns())
            try:
                connection.sendall(frame)
            except OSError:  # the host has had its seconds
                return


def _answer(connection: socket.socket, receiver: Receiver, sender: Sender) -> None:
    while True:
        try:
            data = connection.recv(65536)
        except OSError:
            return
        if not data:
            return
        for message in receiver.feed(data):
            if isinstance(message, StimArm | StimPlan | StimStop):
                connection.sendall(sender.frame(Reply(message.command, "")))
