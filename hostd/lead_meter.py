"""Impedance for an edge that cannot compute: registers are asked for over the link, samples are read here.

Stands in the intake in the edge's stead: takes the host's commands about electrodes, sees every block before
anybody else, and says what an edge says, so that nobody behind it, and no replay, knows a difference. Owns
the asking; what is measured in which order is `hw.leads`. The edge ends a current when it hears nobody.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hostd.errors import LinkError
from hw.chips import CHIPS, ChipSpec
from hw.lead_off import Tone
from hw.leads.impedance import ImpedanceRun
from hw.leads.rails import RailWatch
from hw.link import (
    LEADS_HOST_OWN,
    LEADS_HOST_SHARED,
    NOT_SEEN,
    Description,
    Excite,
    Excited,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Message,
    Reply,
)
from hw.samples import SampleBlock

LeadCommand = ImpedanceStart | ImpedanceStop | LeadWatch
OWN = 1 << 31
"""From here on command numbers are ours; a case does not come so far."""
AGAIN_S = 0.5
"""After so many samples without an answer it is asked again: a frame may have broken."""
TRIES = 4
NOT_WATCHED = "this edge has no comparators to watch leads by; railed channels are told without them"


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the edge said of its converters."""

    chips: tuple[ChipSpec, ...]
    lsb_uv: tuple[float, ...]
    rate_hz: float


class _Asked:
    """The edge's registers as `hw.leads.current.Current`: what is asked for is so when it has answered.

    An answer comes just before the first block that was converted after the change.
    """

    failure: ClassVar[type[Exception]] = LinkError

    def __init__(self, rate_hz: float, shared_negative: bool, send: Callable[[Message], None]) -> None:
        self._again = math.ceil(AGAIN_S * rate_hz)
        self._send, self._order = send, Excite(OWN - 1, 0, 0.0, 0, 0, 0)
        self._refusal: str | None = ""
        self._tries, self._again_index = 0, 0
        self.shared_negative, self.phantom = shared_negative, False

    def refuse(self) -> str:
        """What the edge refuses it says itself."""
        return ""

    def begin(self) -> None:
        """The edge knows what stood in its registers."""

    def drive(self, current_na: int, tones: tuple[Tone, ...], sense_p: int, sense_n: int) -> None:
        """Ask for a current. Raises LinkError."""
        self._ask(current_na, tones[0].frequency_hz, sense_p, sense_n, int(self.phantom))

    def restore(self) -> None:
        """Ask for none. Raises LinkError."""
        self._ask(0, 0.0, 0, 0, 0)

    def forget(self) -> None:
        """Another edge has registers of its own, without a current."""

    def answered(self, reply: Reply) -> bool:
        """The edge has done, or refused, what was asked last: whether it refused; older answers are none."""
        if reply.command != self._order.command:
            return False
        self._refusal = reply.refusal
        return bool(reply.refusal)

    def reached(self, block: SampleBlock) -> int | None:
        """The first sample after the answer. Raises LinkError for a refusal, or when none comes."""
        if self._refusal:
            raise LinkError(self._refusal)
        if self._refusal == "":
            return block.first_index
        if not self._again_index:
            self._again_index = block.end_index + self._again
        if block.end_index >= self._again_index:
            if self._tries == TRIES:
                raise LinkError("the edge does not answer; are its frames lost on the way?")
            self._tries += 1
            self._again_index = block.end_index + self._again
            self._send(self._order)
        return None

    def _ask(self, current_na: int, frequency_hz: float, sense_p: int, sense_n: int, phantom: int) -> None:
        number = max(OWN, self._order.command + 1 & 0xFFFFFFFF)
        self._order = Excite(number, current_na, frequency_hz, sense_p, sense_n, phantom)
        self._refusal, self._tries, self._again_index = None, 1, 0
        self._send(self._order)


class LeadMeter:
    """For one case on an edge that described itself as `description`; `send` says something to the edge.

    `command` may be called from any thread, all else from the one that receives. Raises LinkError for a part
    that is not known.
    """

    def __init__(self, description: Description, send: Callable[[Message], None]) -> None:
        unknown = [part for part in description.parts if part not in CHIPS]
        if unknown or not description.parts:
            named = unknown[0] if unknown else "no part"
            raise LinkError(f"the edge has {named} for converters, which cannot be measured; update evokd")
        chips = tuple(CHIPS[part] for part in description.parts)
        inputs = _Inputs(chips, description.lsb_uv, description.rate_hz)
        self._asked = _Asked(description.rate_hz, description.leads == LEADS_HOST_SHARED, send)
        self._run = ImpedanceRun(self._asked, inputs, description.channels)
        self._rails = RailWatch(description.rate_hz, len(description.channels))
        self._railed = 0
        self._commands: deque[LeadCommand] = deque()
        self._broken = ""

    def command(self, command: LeadCommand) -> None:
        """Queue a command; its Reply comes among the samples."""
        self._commands.append(command)

    def heard(self, message: Message) -> bool:
        """Whether a message of the edge was for us alone."""
        if isinstance(message, Reply) and message.command >= OWN:
            if self._asked.answered(message):
                self._broken = ""  # by this, which says why
            return True
        if isinstance(message, Excited) and message.command >= OWN:
            if message.end_index != NOT_SEEN:
                self._broken = self._broken or "the edge has ended the current"
            return True
        return False

    def block(self, block: SampleBlock) -> list[Message]:
        """Take the next block; what there is to say after it."""
        changed = self._rails.look(block.counts)
        if not (changed or self._commands or self._run.running or self._broken):
            return []
        said: list[Message] = []
        if self._broken:
            said += self._run.stop(block, self._broken)
            self._broken = ""
        while self._commands:
            said += self._obey(self._commands.popleft(), block)
        said += self._run.block(block, self._rails.railed)
        if self._rails.railed != self._railed:
            self._railed = self._rails.railed
            said.append(Leads(block.end_index, 0, 0, self._railed, 0))
        return said

    def lost(self) -> None:
        """The link is gone, and with it every current; what waited was answered by whoever saw it break."""
        self._commands.clear()
        self._broken = self._broken or "the link broke"

    def anew(self) -> None:
        """Another edge is heard from now on, whose samples do not count from the case's beginning."""
        self._run.restarted()

    def _obey(self, command: LeadCommand, block: SampleBlock) -> list[Message]:
        match command:
            case ImpedanceStart():
                refusal = self._run.start(command)
                if not refusal:
                    self._asked.phantom = bool(command.phantom)
                return [Reply(command.command, refusal)]
            case ImpedanceStop():
                return [*self._run.stop(block, "it was stopped"), Reply(command.command, "")]
            case LeadWatch():
                return [Reply(command.command, NOT_WATCHED if command.current_na else "")]


def meter(description: Description, send: Callable[[Message], None]) -> LeadMeter | None:
    """One for an edge whose leads the host measures, else None. Raises LinkError."""
    host = description.leads in (LEADS_HOST_SHARED, LEADS_HOST_OWN)
    return LeadMeter(description, send) if host else None
