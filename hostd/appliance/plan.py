"""The plan of an installation: from what is wanted and what this machine is to the steps. Pure.

What is the same on a machine already is no work when the plan is carried out; nothing here looks at it.
"""

import contextlib
import ipaddress
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hostd.appliance import places, system_files, units
from hostd.appliance.steps import Clear, File, Folder, Link, Plan, Run, Step
from hostd.endpoints import bus_host
from hostd.errors import UsageError
from hostd.peers import is_loopback

HOME_CURE = "use the system's Python (make clean; sudo make install PYTHON=/usr/bin/python3)"
KERNELS = "import dsp.measure, dsp.kernels, firmware.linux_source, hostd.pipeline"
"""What compiles when it is imported."""
TIME_SYNC = {
    "chrony": "time: chrony keeps it",
    "systemd-timesyncd": "time: systemd-timesyncd keeps it; chrony follows a drifting clock more closely "
    "(apt install chrony)",
    "": "time: nothing keeps it; apt install chrony",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to install: `tree` is evokd's source, `environment` an own environment of it to be used as it is
    (None makes one); `source` and `allow` as in units.Box; `wiring`: text of a wiring file."""

    tree: Path | None
    root: str = ""
    environment: Path | None = None
    source: str = "simulated"
    wiring: str | None = None
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the machine installed to. `python` makes the environment; `fingerprint` names the
    source's content; `time_sync`: a key of TIME_SYNC; `has_user`: `evokd` is there already, and not ours;
    `needed`: what services read where it is: the interpreter, an environment that is used as it is.
    """

    python: str
    fingerprint: str
    time_sync: str = "chrony"
    has_user: bool = False
    needed: tuple[Path, ...] = ()


def plan(wanted: Wanted, facts: Facts) -> Plan:
    """Raises UsageError for what cannot be installed."""
    box = _box(wanted, facts)
    notes = [TIME_SYNC[facts.time_sync], f"cases go to {places.CASES}, options stand in {places.CONFIG}"]
    steps: list[Step] = [Folder(places.OPT), Folder(places.ETC), *_environment(wanted, facts)]
    if not wanted.root or wanted.environment is not None:
        compiled = {"NUMBA_CACHE_DIR": f"{{root}}{places.COMPILED}"}
        steps += [
            Clear(places.COMPILED),
            Folder(places.COMPILED),
            Run((box.python, "-P", "-c", KERNELS), compiled, once=True),
            Clear(places.CACHE),
        ]
    else:
        steps.append(Folder(places.COMPILED))
        notes.append(
            "kernels are compiled at the first start there; run in a chroot to have them in the image"
        )
    steps += _files(wanted, box)
    steps += [
        Run(("systemd-sysusers", "--root={root}/", "evokd.conf")),
        Run(("systemd-tmpfiles", "--create", "--root={root}/", "evokd.conf")),
        Run(("udevadm", "control", "--reload"), live=True, changed=True, may_fail=True),
        Run(
            ("udevadm", "trigger", *(f"--subsystem-match={name}" for name in ("spidev", "gpio", "tty"))),
            live=True,
            changed=True,
            may_fail=True,
        ),
        Run(("systemctl", "daemon-reload"), live=True, changed=True),
        Run(("systemctl", "try-restart", "systemd-journald"), live=True, changed=True, may_fail=True),
        Run(("systemctl", "start", units.TARGET), live=True),
    ]
    if wanted.allow and not box.mirrors:
        notes.append(
            f"{', '.join(wanted.allow)} may reach what listens for it: in {places.CONFIG} give EVOKD_HOST "
            "--bus tcp://THIS_ADDRESS:5750 --keys DIR, and EVOKD_WEB --http THIS_ADDRESS:5780"
        )
    notes.append(
        {
            "mirror": f"a mirror of the box at {box.mirrors}, which names it to its displays",
            "pi": "samples come from this machine's pins; evokd doctor --fix writes its boot files",
            "simulated": "samples come from a SIMULATED PATIENT; --source pi reads real ones",
        }.get(
            "mirror" if box.mirrors else wanted.source,
            f"samples come from the coprocessor at {wanted.source}",
        )
    )
    users = () if facts.has_user else (places.USER,)
    trees = (places.OPT, places.ETC, places.CACHE, places.RUN)
    return Plan(tuple(steps), tuple(notes), facts.fingerprint, trees, users)


def _box(wanted: Wanted, facts: Facts) -> units.Box:
    kind, _, device = wanted.source.partition(":")
    known = wanted.source in ("simulated", "pi") or kind == "mirror"
    if not known and not (kind == "serial" and device.startswith("/dev/")):
        raise UsageError(f"--source {wanted.source!r} is not pi, simulated, serial:/dev/... or mirror:BUS")
    for network in wanted.allow:
        _network(network)
    if kind == "mirror":
        _reachable(device, wanted.allow)
    for path in facts.needed:
        if path.is_relative_to("/home") or path.is_relative_to("/root") or path.is_relative_to("/run/user"):
            raise UsageError(f"{path} is in a home, which services do not see; {HOME_CURE}")
    if wanted.wiring is not None and wanted.source != "pi":
        raise UsageError(f"--wiring belongs to --source pi, not to {wanted.source}")
    environment = wanted.environment or Path(places.ENVIRONMENT)
    return units.Box(f"{environment}/bin/python", wanted.source, _spi(wanted.wiring), wanted.allow)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"--allow {text}: {error}; write an address or a network: 10.0.0.0/24") from None


def _reachable(bus: str, allow: tuple[str, ...]) -> None:
    """A mirror must be allowed to talk with its box; a name stands for any address."""
    try:
        host = bus_host(bus)
    except UsageError:
        raise UsageError(f"--source mirror:{bus}: this is not a bus; write mirror:tcp://HOST:PORT") from None
    near = bool(allow)
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        near = is_loopback(host) or any(address in _network(network) for network in allow)
    if not near and host != "localhost":
        raise UsageError(f"the service may not talk with {host}; say where that is: --allow {host}")


def _spi(wiring: str | None) -> tuple[str, ...]:
    """Chip selects of a wiring file; the edge judges everything else in it. Raises UsageError."""
    if wiring is None:
        return ("0.0",)
    try:
        addresses = tomllib.loads(wiring).get("spi", ["0.0"])
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--wiring: {error}") from None
    if not isinstance(addresses, list) or not all(isinstance(a, str) and _is_spi(a) for a in addresses):
        raise UsageError(f"--wiring: spi = {addresses!r} is no list of BUS.SELECT such as 0.0")
    return tuple(addresses)


def _is_spi(address: str) -> bool:
    return len(words := address.split(".")) == 2 and all(w.isascii() and w.isdecimal() for w in words)


def _environment(wanted: Wanted, facts: Facts) -> list[Step]:
    """An environment of our own, unless one is to be used as it is."""
    if wanted.environment is not None:
        return []
    if wanted.tree is None:
        raise UsageError("evokd was not started from its source; give --tree DIR, or --environment DIR")
    python = f"{{root}}{places.ENVIRONMENT}/bin/python"
    extras = "[pi]" if wanted.source == "pi" else ""
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    return [
        Clear(places.ENVIRONMENT),
        Run((facts.python, "-m", "venv", f"{{root}}{places.ENVIRONMENT}"), once=True),
        Run((*pip, "-c", f"{wanted.tree}/constraints.txt", f"{wanted.tree}{extras}"), once=True),
    ]


def _files(wanted: Wanted, box: units.Box) -> list[Step]:
    etc = "/etc"
    found: list[Step] = [
        File(f"{etc}/sysusers.d/evokd.conf", system_files.SYSUSERS),
        File(f"{etc}/tmpfiles.d/evokd.conf", system_files.TMPFILES),
        File(f"{etc}/udev/rules.d/99-evokd.rules", system_files.UDEV),
        File(f"{etc}/systemd/journald.conf.d/90-evokd.conf", system_files.JOURNALD),
        File(f"{etc}/systemd/system.conf.d/90-evokd.conf", system_files.HARDWARE_WATCHDOG),
        File(places.CONFIG, system_files.config(wanted.source, wanted.wiring is not None), keep=True),
    ]
    if wanted.wiring is not None:
        found.append(File(places.WIRING, wanted.wiring))
    found += [File(f"{places.UNITS}/evokd-{name}.service", units.unit(name, box)) for name in box.services]
    found += [
        File(f"{places.UNITS}/{units.TARGET}", units.target(box)),
        Link(f"{places.UNITS}/multi-user.target.wants/{units.TARGET}", f"{places.UNITS}/{units.TARGET}"),
        File(places.COMMAND, system_files.launcher(box.python), 0o755),
    ]
    return found
