"""What the arbiter holds, for whoever looks on: told when it has changed, as the box's edge does."""

from evokd.arbiter import ARMED_UNTIL, FIRED, INDEX, LOCK_UNTIL, LOCKS, OWNER, PLAN, UNFIRED
from evokd.messages import ALL_PLANS, StimState

MATTERS = ("locks", "plans", "fired", "unfired", "armed", "armed_until", "pulses")


def of(pulses, lines):
    """The state now."""
    s = pulses.scalars
    plans = [row for row in pulses.plans if row[PLAN] >= 0]
    arms = [row for row in pulses.arms if row[PLAN] >= 0 and row[ARMED_UNTIL] >= s[INDEX]]
    held = s[LOCK_UNTIL] > s[INDEX]
    return StimState(
        index=max(s[INDEX], 0),
        locks=s[LOCKS],
        owner=s[OWNER] if held else ALL_PLANS,
        until=s[LOCK_UNTIL] if held else 0,
        plans=[row[PLAN] for row in plans],
        fired=[row[FIRED] for row in plans],
        unfired=[row[UNFIRED] for row in plans],
        armed=[row[PLAN] for row in arms],
        armed_until=[row[ARMED_UNTIL] for row in arms],
        pulses=[row[0] for row in pulses.doses[:lines]],
        charge_uc=[row[1] / 1000 for row in pulses.doses[:lines]],
        energy_mj=[row[2] / 1000000 for row in pulses.doses[:lines]],
    )


def alike(one, other):
    """Whether there is nothing new to tell."""
    return other is not None and all([getattr(one, name) == getattr(other, name) for name in MATTERS])
