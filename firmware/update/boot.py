"""Which slot starts now: the launcher's decision, certain on the disk before anything is started.

A slot on trial is counted, verified and checked; one that fails is given up for what ran before, and one that
was good but does not have its hashes any more as well. What was installed is always there to start.
"""

import contextlib
from collections.abc import Callable

from firmware.update import selector as record
from firmware.update.selector import INSTALLED, MOST_STARTS, Selector
from firmware.update.slots import Slots

Say = Callable[[str], None]
Check = Callable[[str], str]
"""Whether a slot is healthy: why not, or ""."""


def boot(slots: Slots, check: Check, say: Say) -> Selector:
    """The selector by which to start; whatever the disk does, there is one."""
    selector = slots.selector()
    if selector is None:
        selector = slots.recovered()
        if selector.slot != INSTALLED:
            say(f"nothing says which slot to start; trying slot {selector.slot}, the newest that is whole")
    if selector.slot == INSTALLED:
        return selector
    slot = selector.slot
    why = slots.fault(slot, selector.images.get(slot))
    if not why and selector.trial:
        selector, why = _tried(slots, selector, check, say)
    elif not why:
        selector = _started(slots, selector, say)
    if not why:
        return selector
    return _back(slots, selector, why, say)


def _started(slots: Slots, selector: Selector, say: Say) -> Selector:
    """One more start of a good slot. What Python and numba compiled is not synced: after a power cut it may
    be garbage, which would keep the slot from coming up, so that it goes when it may have."""
    if selector.starts:
        say(f"slot {selector.slot} did not come up last time; what was compiled for it is made anew")
        slots.forget_compiled(selector.slot)
    selector = record.started(selector)
    with contextlib.suppress(OSError):  # a box that cannot write starts all the same
        slots.select(selector)
    return selector


def _tried(slots: Slots, selector: Selector, check: Check, say: Say) -> tuple[Selector, str]:
    """One more start on trial; why it is the last one, or ""."""
    if selector.starts >= MOST_STARTS:
        return selector, f"it was started {selector.starts} times and never came up"
    if selector.starts == MOST_STARTS - 1:
        slots.forget_compiled(selector.slot)  # it may be what kept it from coming up
    selector = record.started(selector)
    try:
        slots.select(selector)
    except OSError as error:
        return selector, f"its start cannot be noted: {error.strerror or error}"
    manifest = slots.manifest(selector.slot)
    named = manifest.named if manifest else ""
    say(f"slot {selector.slot}, {named}, is on trial: start {selector.starts} of {MOST_STARTS}")
    return selector, check(selector.slot)


def _back(slots: Slots, selector: Selector, why: str, say: Say) -> Selector:
    """Give up what is selected for what ran before it, as far as that is whole."""
    slot, to = selector.slot, selector.before
    if to == slot or slots.fault(to, selector.images.get(to)):
        to = INSTALLED
    manifest = slots.manifest(slot)
    named = f"slot {slot}" + (f", {manifest.named}," if manifest else "")
    was = "did not pass its trial" if selector.trial else "cannot be started any more"
    text = f"{named} {was}: {why}"
    say(f"{text}; going back to {to if to == INSTALLED else 'slot ' + to}")
    back = record.given_up(selector, to, text)
    try:
        slots.select(back)
        slots.discard(slot)
    except OSError as error:  # a box that cannot write starts all the same
        say(f"cannot note that: {error.strerror or error}; is the disk failing or read-only?")
    return back


def confirm(slots: Slots, slot: str) -> bool:
    """The edge of `slot` has come up. Whether it was on trial until now. Raises OSError."""
    selector = slots.selector()
    if selector is None or selector.slot != slot or not selector.starts:
        return False
    manifest = slots.manifest(slot)
    slots.select(record.found_good(selector, manifest.build if manifest else 0))
    return selector.trial
