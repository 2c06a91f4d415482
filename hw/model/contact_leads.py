"""A board's electrodes as a scenario says they lie: what an impedance measurement and lead-off detection see.

Owns when which impedance changes, and how large it is; what such a lead shows of the body is
`hw.model.contacts`'. An electrode that is off is open but for the capacitance of its lead, by which it picks
the mains up; it is not `Electrode.off`, whose pin goes to a supply: here the scenario says what is seen.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from hw.model.board import BoardModel
from hw.model.contacts import REFERENCE, Contact, ElectrodeChange
from hw.model.electrodes import Electrode
from hw.model.plugs import Plugs, other, plugs_at

ELECTRODES: Mapping[Contact, Electrode] = {
    "ok": Electrode(),
    "loose": Electrode(2_000.0, 60_000.0, 5e-9),
    "off": Electrode(2_000.0, 30e6, 100e-12),
}
"""Good below 5 kohm, to be seen to above 20 (ACNS); an open one still has the capacitance of its cable."""


class ContactLeads:
    """Changes the electrodes of `board` at their samples; `places` are the channels of the named ones."""

    def __init__(
        self,
        board: BoardModel,
        places: Mapping[str, int],
        rate_hz: float,
        changes: Sequence[ElectrodeChange],
        plugs: Sequence[Plugs] = (),
    ) -> None:
        self._board, self._places = board, dict(places)
        changes = in_sockets(changes, plugs, tuple(places)) if plugs else changes
        wanted = [one for one in changes if one.name == REFERENCE or one.name in self._places]
        # Of two at once the later in the file holds, as for the samples.
        waiting = sorted(wanted, key=lambda one: one.at_s)
        self._waiting = deque((one.at_s * rate_hz, one) for one in waiting)

    def until(self, sample: int) -> None:
        """Make all changes due at `sample` or before."""
        while self._waiting and self._waiting[0][0] <= sample:
            _, change = self._waiting.popleft()
            electrode = ELECTRODES[change.condition]
            if change.name == REFERENCE:
                self._board.set_reference_electrode(electrode)
            else:
                self._board.set_electrode(self._places[change.name], "p", electrode)


def in_sockets(
    changes: Sequence[ElectrodeChange], plugs: Sequence[Plugs], channels: tuple[str, ...]
) -> list[ElectrodeChange]:
    """`changes` as the sockets of `channels` see them: each as the electrode that is in it lies."""
    told = [one for one in changes if one.name == REFERENCE]
    lies: dict[str, Contact] = {}
    before: dict[str, Contact] = {}
    for at_s in sorted({one.at_s for one in changes} | {one.at_s for one in plugs}):
        lies |= {one.name: one.condition for one in changes if one.at_s == at_s}
        pairs = plugs_at(plugs, at_s).electrodes
        for channel in channels:
            now = lies.get(other(pairs, channel), "ok")
            if now != before.get(channel, "ok"):
                told.append(ElectrodeChange(at_s, channel, now))
            before[channel] = now
    return told
