"""A host that talks with the coprocessor's firmware over its serial port, message by message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hostd.edge_link import EdgeLink
from hw.link import Block, Description, Message, Reply, Start
from hw.samples import SampleBlock
from tests.support.edge import WITHIN_S, heard_block
from tests.support.edges import configure, files, ramp_model
from tests.support.pico_edge import PicoProcess, pico
from tests.support.pico_model import PicoModel

PIECES = 40
JOB: dict[str, Any] = {"rate_hz": 4000.0}


class Talk:
    """A host and its board."""

    def __init__(self, board: PicoProcess) -> None:
        self.board, self.model = board, board.model
        self.link = EdgeLink(f"serial:{board.path}", beats=False)
        self.heard: list[Message] = []
        self._rest: list[Message] = []
        self.rate_hz = self.granted = 0

    def begin(self, job: dict[str, Any] = JOB) -> Description:
        description = self.link.open(configure(job))
        if self.rate_hz != job["rate_hz"]:
            self.rate_hz, self.granted = round(job["rate_hz"]), 0
        self.send(Start(0))
        return description

    def again(self) -> None:
        """Another host at the same port; what the board still said to the first one is gone."""
        self.link.close()
        self._rest = []
        self.link = EdgeLink(f"serial:{self.board.path}", beats=False)

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.link.send(message)

    def until(self, last: Callable[[Message], bool]) -> list[Message]:
        """Everything up to the message that is the `last`."""
        heard: list[Message] = []
        while not (heard and last(heard[-1])):
            received, self._rest = self._rest, []
            for _ in [] if received else range(PIECES):  # a piece of a frame may have come
                if received := self.link.receive(WITHIN_S / PIECES):
                    break
            assert received, f"nothing comes; {self.board.crash}"
            for k, message in enumerate(received):
                heard.append(message)
                if last(message):
                    self._rest = received[k + 1 :]
                    break
        self.heard += heard
        return heard

    def ask(self, *commands: Any) -> list[str]:
        """What the board answers to each."""
        told = []
        for command in commands:
            self.send(command)
            answer = self.until(lambda m, c=command.command: isinstance(m, Reply) and m.command == c)[-1]
            assert isinstance(answer, Reply)
            told.append(answer.refusal)
        return told

    def samples(self, n: int) -> list[SampleBlock]:
        """Blocks until sample `n` has come; the board stops soon behind it."""
        rows = -(-self.rate_hz // 56)
        self.model.grant(max(0, n + 2 * rows - self.granted))
        self.granted = max(self.granted, n + 2 * rows)
        heard = self.until(lambda m: isinstance(m, Block) and m.first_index + len(m.bits) >= n)
        return [heard_block(m) for m in heard if isinstance(m, Block)]


@contextmanager
def talk(model: PicoModel | None = None) -> Iterator[Talk]:
    with pico(model or ramp_model(), files()) as board:
        talking = Talk(board)
        try:
            yield talking
        finally:
            talking.link.close()


def of(kind: type, heard: list[Message]) -> list[Any]:
    return [message for message in heard if isinstance(message, kind)]
