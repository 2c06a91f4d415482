"""What is tried on the booted appliance, by a service in it: `python appliance_checks.py`.

Standard library only. Prints a line for each promise with what was measured in the guest's own time; exit 1
when one is broken.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

MIRROR = "--mirror" in sys.argv
SERVICES = ("host", "web") if MIRROR else ("edge", "host", "web")
CASES = Path("/var/lib/evokd/cases")
FIRST_WITHIN_S, WITHIN_S = 240.0, 60.0
SHOWN = ("MainPID", "ActiveState", "SubState", "NRestarts", "StatusText", "ActiveEnterTimestampMonotonic")


def show(name: str) -> dict[str, str]:
    """What systemd says of a service."""
    command = ["systemctl", "show", f"evokd-{name}", f"--property={','.join(SHOWN)}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.partition("=")[::2] for line in said.splitlines())


def booted_s() -> float:
    """When systemd began, on the monotonic clock."""
    command = ["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"]
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout or 0) / 1e6


def until(condition: Callable[[], object], within_s: float) -> float | None:
    """Seconds until it holds, None when it does not in time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            return None
        time.sleep(0.05)
    return time.monotonic() - began


def active(name: str, not_pid: str = "") -> bool:
    """Whether a service says that it is ready, and is another process than `not_pid`."""
    said = show(name)
    return said.get("ActiveState") == "active" and said.get("MainPID") not in ("0", not_pid)


def recorded_bytes() -> int:
    """Of all cases."""
    return sum(path.stat().st_size for path in CASES.glob("*/raw*.bdf"))


def display_is_alive() -> bool:
    """Whether the web display hears the bus."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:5780/healthz", timeout=5) as answer:
            return bool(json.load(answer)["ok"])
    except OSError:
        return False


class Report:
    """Promises and what came of them."""

    def __init__(self) -> None:
        self.broken = 0

    def tell(self, promise: str, seconds: float | None, more: str = "") -> None:
        """`seconds` None: it was not kept."""
        self.broken += seconds is None
        took = "NOT KEPT" if seconds is None else f"{seconds:6.2f} s"
        print(f"appliance: {promise:<62} {took}  {more}", flush=True)


def main() -> int:
    """Exit code."""
    report = Report()
    for name in SERVICES:
        kept = until(lambda name=name: active(name), FIRST_WITHIN_S)
        at = int(show(name).get("ActiveEnterTimestampMonotonic", 0)) / 1e6 - booted_s()
        report.tell(
            f"{name} is active after the boot", None if kept is None else at, show(name)["StatusText"]
        )
    began = recorded_bytes()
    report.tell("samples are recorded", until(lambda: recorded_bytes() > began + 20_000, WITHIN_S))
    report.tell("the web display hears the bus", until(display_is_alive, WITHIN_S))
    owner = CASES.stat()
    report.tell("cases belong to evokd alone", 0.0 if owner.st_uid and owner.st_mode & 0o7 == 0 else None)
    if not MIRROR:  # which has no keeper: systemd alone starts it anew
        keeper(report)
    for number, what in ((signal.SIGKILL, "killed"), (signal.SIGSTOP, "frozen")):
        for name in SERVICES:
            disturb(report, name, number, what)
    began = recorded_bytes()
    report.tell("samples are recorded still", until(lambda: recorded_bytes() > began + 20_000, WITHIN_S))
    report.tell("the web display hears the bus still", until(display_is_alive, WITHIN_S))
    log = [
        "journalctl",
        "-b",
        "-u",
        "evokd-edge",
        "-u",
        "evokd-host",
        "-u",
        "evokd-web",
        "-o",
        "short-monotonic",
    ]
    if report.broken or "--log" in sys.argv:
        print(subprocess.run(log, capture_output=True, text=True, check=False).stdout[-30_000:], flush=True)
    print(f"appliance: {'all kept' if not report.broken else f'{report.broken} broken'}", flush=True)
    return int(bool(report.broken))


def keeper(report: Report) -> None:
    """The host's serving process is killed: its keeper starts another one, and systemd has nothing to do."""
    pid = show("host")["MainPID"]
    children = Path(f"/proc/{pid}/task/{pid}/children")
    before = children.read_text().split()
    os.kill(int(before[0]), signal.SIGKILL)
    kept = until(lambda: children.exists() and set(children.read_text().split()) - set(before), WITHIN_S)
    began = recorded_bytes()
    goes_on = until(lambda: recorded_bytes() > began, WITHIN_S)
    alone = show("host")["MainPID"] == pid
    report.tell(
        "the serving host killed: its keeper has another that records",
        kept and goes_on and kept + goes_on,
        "" if alone else "NOT ALONE",
    )


def disturb(report: Report, name: str, number: int, what: str) -> None:
    """One service is killed or frozen; it alone must be another process soon."""
    before = {one: show(one)["MainPID"] for one in SERVICES}
    os.kill(int(before[name]), number)
    kept = until(lambda: active(name, before[name]), WITHIN_S)
    others = [one for one in SERVICES if one != name and show(one)["MainPID"] != before[one]]
    more = f"restarts {show(name)['NRestarts']}" + (f"; ALSO {', '.join(others)}" if others else "")
    report.tell(f"{name} {what}: started anew, alone", None if others else kept, more)
    time.sleep(3.0)


if __name__ == "__main__":
    code = main()
    print(f"guest: ended with {code} after {time.monotonic():.1f} s of its own time", flush=True)
    subprocess.run(["systemctl", "poweroff", "--force", "--force"], check=False)
