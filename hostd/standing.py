"""What host and edge have told each other and what goes on holding, for when one of them forgets. Pure.

An edge drops what a host that is gone has locked, and one that was started anew knows nothing: it is told
again. What the old one had told ends with it: its locks, what it had armed, its current in the electrodes,
leads that it saw off. Only what every line has had goes on, as it was told last (a quarter of a second
before, at most). Refuses to arm or to start anything.
"""

from dataclasses import replace

from hw.link import (
    ALL_PLANS,
    NOT_SEEN,
    Excited,
    Leads,
    LeadWatch,
    Lockout,
    Message,
    StimLimits,
    StimState,
)

Doses = tuple[float, ...]


class Standing:
    """Between one case and the edges that serve it, one after the other. `said` by the host, `heard` of an
    edge; `locks` and `all` are to be said again, `ended` is what an edge that is gone would have said."""

    def __init__(self) -> None:
        self._limits: dict[int, StimLimits] = {}
        self._locks: dict[int, Lockout] = {}
        self._watch: LeadWatch | None = None
        self._current: Excited | None = None
        self._leads: Leads | None = None
        self._state: StimState | None = None
        self._before: tuple[Doses, Doses, Doses] = ((), (), ())

    def said(self, message: Message) -> None:
        """Remember what stands; whether it has reached the edge is no matter."""
        if isinstance(message, StimLimits):
            self._limits[message.kind] = message
        elif isinstance(message, LeadWatch):
            self._watch = message if message.current_na else None
        elif isinstance(message, Lockout):
            self._locks.pop(message.reason, None)
            if message.on:
                self._locks[message.reason] = message

    @property
    def locks(self) -> list[Message]:
        """For an edge that has lost its host and found it again."""
        return list(self._locks.values())

    @property
    def all(self) -> list[Message]:
        """For an edge that knows nothing, before anything is armed."""
        watch = [] if self._watch is None else [self._watch]
        return [*self._limits.values(), *self.locks, *watch]

    def heard(self, message: Message) -> Message:
        """What the edge says, as it stands for the case: with what lines had from edges before it."""
        if isinstance(message, Excited):
            self._current = message if message.end_index == NOT_SEEN else None
        elif isinstance(message, Leads):
            self._leads = message
        elif isinstance(message, StimState):
            pulses, charge_uc, energy_mj = self._before
            self._state = message = replace(
                message,
                pulses=_sum(message.pulses, pulses),
                charge_uc=_sum(message.charge_uc, charge_uc),
                energy_mj=_sum(message.energy_mj, energy_mj),
            )
        return message

    def ended(self, index: int) -> list[Message]:
        """What ended with an edge, as of `index`, the first sample of the next one."""
        over: list[Message] = []
        if (state := self._state) is not None:
            doses = state.pulses, state.charge_uc, state.energy_mj
            self._before, self._state = doses, None
            over.append(StimState(index, 0, ALL_PLANS, 0, (), (), (), (), (), *doses))
        if self._current is not None:
            over.append(replace(self._current, end_index=index))
        if self._leads is not None:
            over.append(Leads(index, 0, 0, 0, 0))
        self._current = self._leads = None
        return over


def _sum(now: Doses, before: Doses) -> Doses:
    """Per line; lines that only one of them knows count as well."""
    if not before:
        return now
    lines = max(len(now), len(before))
    return tuple(_at(now, k) + _at(before, k) for k in range(lines))


def _at(doses: Doses, line: int) -> float:
    return doses[line] if line < len(doses) else 0.0
