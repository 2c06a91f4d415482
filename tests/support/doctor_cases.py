"""How a test says what the doctor must find: a machine with one change, and the finding."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.doctor.checks import CHECKS
from firmware.doctor.findings import Finding, State
from firmware.doctor.machine import Ran
from firmware.doctor.probes import ClockState
from firmware.doctor.wakeup import Latency
from firmware.doctor.writing import Writing
from tests.support.machines import INVENTORY, MMC, PI5, Layout, healthy

OK, WARN, FAIL, SKIPPED = State


def look(name: str, layout: Layout, root: Path) -> Finding:
    """One check's finding."""
    (check,) = (check for check in CHECKS if check.name == name)
    return check.look(layout.build(root))


@dataclass(frozen=True, slots=True)
class Case:
    """A check, what is changed on a machine, and words of the finding: found, then cure or a command."""

    check: str
    state: State
    found: str
    cure: str
    changes: dict[str, Any]
    machine: Callable[[], Layout] = healthy


def has(**changes: Any) -> dict[str, Any]:
    """Another inventory; `versions` are added to the healthy ones, None removes one."""
    if "versions" in changes:
        both = {**INVENTORY["versions"], **changes["versions"]}
        changes["versions"] = {name: version for name, version in both.items() if version}
    return {"inventory": {**INVENTORY, **changes}}


def put(path: str, text: str | None, *more: tuple[str, str | None]) -> dict[str, Any]:
    """Other files."""
    return {"files": {path: text, **dict(more)}}


def says(command: str, out: str, code: int | None = 0) -> dict[str, Any]:
    """Another answer of a program."""
    return {"programs": {command: Ran(code, out)}}


def probe(name: str, value: Any) -> dict[str, Any]:
    """Another measurement; an exception is raised."""

    def measured(*_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return {"probes": {name: measured}}


def wakes(p99_us: float, max_us: float) -> dict[str, Any]:
    """Another wake-up, of both kinds."""
    return probe("wakeup", Latency(1000, 0, 20.0, p99_us, max_us))


def wrote(mb_per_s: float, p99_ms: float) -> dict[str, Any]:
    """Another disk."""
    return probe("writing", Writing(64, mb_per_s * 1e6, 1.0, p99_ms, p99_ms))


def mount(line: str) -> dict[str, Any]:
    """Another mount below the cases."""
    first = PI5["/proc/self/mountinfo"] or ""
    return put("/proc/self/mountinfo", first + line + "\n")


def card(*pairs: tuple[str, str]) -> dict[str, Any]:
    """An eMMC with these files."""
    named = ((f"{MMC}/device/{name}", text) for name, text in pairs)
    return put(f"{MMC}/device/type", "MMC\n", (f"{MMC}/device/name", "A3A551\n"), *named)


def clock(synchronised: bool, max_error_us: float = 16e6) -> dict[str, Any]:
    """Another state of the wall clock."""
    return probe("clock", ClockState(synchronised, 250.0, max_error_us, 0.0))


def refused(name: str) -> dict[str, Any]:
    """A right that is not given."""
    return {"probes": {name: lambda: "Operation not permitted", "limits": lambda: (0, 8 << 20)}}


def prove(case: Case, root: Path) -> None:
    """The case's check finds what the case says, and gives a cure exactly where something is to be cured."""
    finding = look(case.check, case.machine().but(**case.changes), root)
    assert finding.state is case.state, finding
    assert case.found in finding.found
    assert case.cure in "\n".join((finding.cure, *finding.commands))
    assert bool(finding.cure) == (case.state in (WARN, FAIL))
