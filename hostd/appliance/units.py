"""The units of edge, host and web display, as text. Pure.

Each fails and is started anew alone: none requires, binds to or waits for another. Every one is in a sandbox;
what is left open stands here with its reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hostd.appliance.places import CACHE, CASES, CHECKPOINTS, CONFIG, RUN, STATE, UPDATE_KEYS, USER

TARGET = "evokd.target"
SERVICES = ("edge", "host", "web")
WATCHDOG_S = {"edge": 2, "host": 5, "web": 5}
"""A process that stands still for so long is killed. The edge stops stimuli far earlier by itself; the host's
is the watchdog of its keeper, which replaces a host that hangs after two seconds."""
STARTS_WITHIN_S = 330
"""For kernels to be compiled where their cache was lost, and for the host to find its edge (300 s)."""
ABORT_MS = 500
"""For the trace of a process that hangs."""
_PRIORITIES = {"edge": (-15, -900), "host": (-5, -800), "web": (5, 200)}

_SANDBOX = """\
# The sandbox. MemoryDenyWriteExecute is left out: numba makes code while it runs and fails with it. So is
# ProcSubset=pid: the compiler asks /proc/cpuinfo which processor this is, and would compile for another one.
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateUsers=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
KeyringMode=private
LockPersonality=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
# @resources is left in: libzmq sets its threads' scheduling and ends the process when it may not.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
UMask=0077
"""


@dataclass(frozen=True, slots=True)
class Box:
    """What the units must know: the environment's interpreter, and what the edge is.

    `source`: simulated, pi, serial:DEVICE of a coprocessor, which is an edge by itself and has no unit, or
    mirror:BUS of another box, which has the edge. `spi`: BUS.SELECT of each chip. `allow`: addresses and
    networks beside this machine that host and web display may talk with.
    """

    python: str
    source: str
    spi: tuple[str, ...] = ("0.0",)
    allow: tuple[str, ...] = ()

    @property
    def mirrors(self) -> str:
        """The bus of the box that this one mirrors; empty: it is a box itself."""
        return self.source.partition(":")[2] if self.source.startswith("mirror:") else ""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that this box has."""
        return SERVICES[1:] if self.source.startswith(("serial:", "mirror:")) else SERVICES

    @property
    def devices(self) -> tuple[str, ...]:
        """Device nodes that must be there before their service starts."""
        if self.source.startswith("serial:"):
            return (self.source.partition(":")[2],)
        return tuple(f"/dev/spidev{address}" for address in self.spi) if self.source == "pi" else ()


def target(box: Box) -> str:
    """All services under one name."""
    return f"""\
[Unit]
Description=evokd, intraoperative neuromonitoring
Wants={" ".join(f"evokd-{name}.service" for name in box.services)}

[Install]
WantedBy=multi-user.target
"""


def unit(name: str, box: Box) -> str:
    """The unit of one of `box.services`."""
    return {"edge": _edge, "host": _host, "web": _web}[name](box)


def _edge(box: Box) -> str:
    real = box.source == "pi"
    return _service(
        "edge",
        "acquisition and stimulation",
        f"{box.python} -P -m firmware.update.launch --state {STATE} --keys {UPDATE_KEYS} -- "
        f"--link ${{EVOKD_EDGE_LINK}} $EVOKD_EDGE",
        waits_for=box.devices if real else (),
        own=f"""\
# The sample loop's thread alone becomes SCHED_FIFO and goes to the isolated CPU, if there is one: it asks
# itself (firmware/realtime.py), and these limits let it. The interpreter beside it must not be real-time.
LimitRTPRIO=99
LimitMEMLOCK=infinity
RuntimeDirectory={RUN.removeprefix("/run/")}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
# It talks to its host through a socket in a file, and to nobody else.
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
{_devices(("char-spi", "char-gpiochip") if real else ())}""",
    )


def _host(box: Box) -> str:
    wired = box.source.startswith("serial:")
    of = f"--mirror {box.mirrors}" if box.mirrors else "--edge-starts --link ${EVOKD_LINK}"
    return _service(
        "host",
        "the mirror of another box" if box.mirrors else "recording, averaging and bus",
        f"{box.python} -P -m hostd host {of} --data {CASES} $EVOKD_HOST",
        waits_for=box.devices if wired else (),
        own=f"""\
RestrictRealtime=yes
# Whom the kernel ends for want of memory is followed at once; systemd would end its keeper too.
OOMPolicy=continue
# What a host that dies is followed by knows from here.
RuntimeDirectory={CHECKPOINTS.removeprefix("/run/")}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
{_network(box)}{_devices(("char-ttyACM", "char-ttyUSB") if wired else ())}""",
    )


def _web(box: Box) -> str:
    return _service(
        "web",
        "web display",
        f"{box.python} -P -m hostd web $EVOKD_WEB",
        waits_for=(),
        own=f"""\
RestrictRealtime=yes
{_network(box)}{_devices(())}""",
    )


def _service(name: str, what: str, command: str, waits_for: Sequence[str], own: str) -> str:
    nice, oom = _PRIORITIES[name]
    devices = " ".join(map(device_unit, waits_for))
    waiting = f"Wants={devices}\nAfter={devices}\n" if devices else ""
    return f"""\
[Unit]
Description=evokd: {what}
PartOf={TARGET}
StartLimitIntervalSec=0
{waiting}
[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
EnvironmentFile={CONFIG}
Environment=HOME={STATE} NUMBA_CACHE_DIR={CACHE} PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
User={USER}
Group={USER}
WorkingDirectory={STATE}
StateDirectory={STATE.removeprefix("/var/lib/")}
StateDirectoryMode=0750
Restart=always
RestartSec=200ms
TimeoutStartSec={STARTS_WITHIN_S}
TimeoutStopSec=15
# Who hangs gets SIGABRT, which writes to the journal where each thread stood, and is killed if it cannot.
WatchdogSec={WATCHDOG_S[name]}
TimeoutAbortSec={ABORT_MS}ms
LimitCORE=0
Nice={nice}
OOMScoreAdjust={oom}

{_SANDBOX}{own}"""


def _network(box: Box) -> str:
    """This machine, and what else is allowed."""
    who = "This machine and what was allowed" if box.allow else "Loopback alone"
    return f"""\
# {who}. Netlink because libzmq ends the process when it may not ask which interfaces there are.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
IPAddressDeny=any
IPAddressAllow={" ".join(("localhost", *box.allow))}
"""


def _devices(allowed: Iterable[str]) -> str:
    """Only these device nodes, beside null, random and their like; none: other nodes are not even seen."""
    lines = [f"DeviceAllow={kind} rw\n" for kind in allowed]
    return "DevicePolicy=closed\n" + ("".join(lines) or "PrivateDevices=yes\n")


def device_unit(path: str) -> str:
    """The name under which systemd knows a device node (systemd.unit(5), string escaping)."""
    words = [
        "-" if c == "/" else c if c.isascii() and (c.isalnum() or c in ":_.") else f"\\x{ord(c):02x}"
        for c in path.strip("/")
    ]
    return "".join(words) + ".device"
