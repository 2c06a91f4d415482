"""What the arbiter holds, for whoever looks on: told when it changes, a few times a second; a lock at once.

Reads the loop's memory while the loop runs: a figure may be one sample old, none is ever half written.
"""

from firmware.loop.state import (
    ARMED_PLAN,
    ARMED_UNTIL,
    D_CHARGE_NC,
    D_ENERGY_NJ,
    D_PULSES,
    FIRED,
    INDEX,
    LINES,
    LOCK_UNTIL,
    LOCKS,
    OWNER,
    PLAN,
    UNFIRED,
    LoopState,
)
from hw.link import ALL_PLANS, StimState

EVERY_S = 0.25


class StateTeller:
    """Looks at `state`; `look` is called with every block."""

    def __init__(self, state: LoopState, rate_hz: float) -> None:
        self._state = state
        self._every = max(1, round(EVERY_S * rate_hz))
        self._due = self._locks = 0
        self._told: tuple[object, ...] | None = None

    def look(self) -> StimState | None:
        """The state, if it is due and has changed; what locks the box is due at once."""
        index, locks = int(self._state.scalars[INDEX]), int(self._state.scalars[LOCKS])
        if index < self._due and locks == self._locks:
            return None
        said = self._now(index)
        now = said.locks, said.plans, said.fired, said.unfired, said.armed, said.armed_until, said.pulses
        if now == self._told:
            return None
        self._told, self._due, self._locks = now, index + self._every, said.locks
        return said

    def _now(self, index: int) -> StimState:
        scalars = self._state.scalars
        plans = self._state.plans[self._state.plans[:, PLAN] >= 0]
        arms = self._state.arms
        arms = arms[(arms[:, ARMED_PLAN] >= 0) & (arms[:, ARMED_UNTIL] >= index)]
        doses = self._state.doses[: int(scalars[LINES])]
        until = int(scalars[LOCK_UNTIL])
        held = until > index
        return StimState(
            index=max(index, 0),
            locks=int(scalars[LOCKS]),
            owner=int(scalars[OWNER]) if held else ALL_PLANS,
            until=until if held else 0,
            plans=_floats(plans[:, PLAN]),
            fired=_floats(plans[:, FIRED]),
            unfired=_floats(plans[:, UNFIRED]),
            armed=_floats(arms[:, ARMED_PLAN]),
            armed_until=_floats(arms[:, ARMED_UNTIL]),
            pulses=_floats(doses[:, D_PULSES]),
            charge_uc=tuple(float(x) / 1e3 for x in doses[:, D_CHARGE_NC]),
            energy_mj=tuple(float(x) / 1e6 for x in doses[:, D_ENERGY_NJ]),
        )


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(x) for x in values)  # type: ignore[attr-defined]
