"""What a test's peaks are for: which one leads, which one proves the stimulus, and the rules of the field.

What is written must fit, else it is a fault; what the modality brings is dropped with the peaks that lack.
"""

from dsp.nouns import FixedRule, Peak
from hostd.casefile_faults import choose, read, show_key
from hostd.casefile_peaks import TestScope
from hostd.casefile_schema import LIMITS, AlertTable, fixed_rule

NONE = "none"


def resolve_leading(scope: TestScope, peaks: tuple[Peak, ...]) -> int | None:
    """The place of the peak that trends show: the one named, else the first of the first derivation."""
    first = [place for place, peak in enumerate(peaks) if peak.derivation == 0]
    written = scope.table.leading
    if written is not None and scope.fine("leading", "peak", "derivations"):
        place = _place(scope, "leading", written, peaks)
        if place is not None and place not in first:
            what = f"peak {show_key(written)} is not of the first derivation"
            cure = "name one that is, or write its derivation first"
            scope.fault("leading", what, cure)
        return place if place in first else None
    usual = scope.modality.defaults.leading
    named = (place for place in first if peaks[place].name == usual)
    return next(named, first[0] if first else None)


def resolve_control(scope: TestScope, peaks: tuple[Peak, ...]) -> int | None:
    """The place of the peak without which nothing else is believed to be lost; None: there is none."""
    written = scope.table.control
    if written == NONE or not scope.fine("control", "peak", "derivations"):
        return None
    if written is not None:
        return _place(scope, "control", written, peaks)
    usual = scope.modality.defaults.control
    return next((place for place, peak in enumerate(peaks) if peak.name == usual), None)


def _place(scope: TestScope, key: str, name: str, peaks: tuple[Peak, ...]) -> int | None:
    names = [peak.name for peak in peaks]
    if name in names:
        return names.index(name)
    if names:
        scope.fault(key, f"{show_key(name)} is no peak of this test", choose(name, names))
    else:
        scope.fault(key, f"this test has no peak, {show_key(name)} neither", "write peaks, or leave it out")
    return None


def resolve_rules(scope: TestScope, peaks: tuple[Peak, ...]) -> tuple[FixedRule, ...]:
    """The fixed rules that are told with every average."""
    names = [peak.name for peak in peaks]
    if scope.table.alert is None:
        return tuple(rule for rule in scope.modality.rules if rule.peak in names)
    if not scope.fine("peak", "derivations"):
        return ()
    found = []
    for number, raw in enumerate(scope.table.alert):
        place = (*scope.path, "alert", number)
        table = read(AlertTable, raw, place, scope.faults)
        if scope.faults.at(place):
            continue
        stated = [kind for kind in LIMITS if getattr(table, kind) is not None]
        if table.peak is None:
            scope.faults.add((*place, "peak"), "missing", 'write which peak, as peak = "N20"')
        elif table.peak not in names:
            what = f"{show_key(table.peak)} is no peak of this test"
            scope.faults.add((*place, "peak"), what, choose(table.peak, names) if names else "write peaks")
        elif len(stated) != 1:
            what = f"{len(stated)} limits" if stated else "no limit"
            cure = f"write one of {', '.join(LIMITS)} in each [[test.NAME.alert]]"
            scope.faults.add(place, what, cure)
        else:
            try:
                found.append(fixed_rule(table))
            except ValueError as error:
                scope.faults.add((*place, stated[0]), str(error), f"write one above 0, as {stated[0]} = 10")
    return tuple(found)
