"""May the watchdog be fed? Stages of a process, when each must be heard of, and the words to a supervisor.

One rule for edge, host and displays (F Prime's): the watchdog is fed only while every stage has produced in
time. Pure: callers bring the time, and send what is made here. systemd's protocol is sd_notify(3).
"""

from collections.abc import Mapping

READY, STOPPING, FEED = "READY=1", "STOPPING=1", "WATCHDOG=1"
SOCKET, TIMEOUT = "NOTIFY_SOCKET", "WATCHDOG_USEC"
MOST_STATUS = 200
_FEEDS_A_TIMEOUT = 4
"""So that one feed may be late, and another be lost, before the supervisor acts."""


class Stages:
    """When each stage has promised to be heard of next. Any thread: a stage writes its own promise only.

    `usual_s`: how long a stage may be silent unless it said otherwise.
    """

    def __init__(self, usual_s: float) -> None:
        self._usual_ns = _ns(usual_s)
        self._due_ns: dict[str, int] = {}

    def beat(self, name: str, now_ns: int, within_s: float | None = None) -> None:
        """Stage `name` is alive, and will say so again within `within_s`: longer than usual where it waits
        for somebody else, who has a bound of his own."""
        self._due_ns[name] = now_ns + (self._usual_ns if within_s is None else _ns(within_s))

    def leave(self, name: str) -> None:
        """The stage has ended as it should; nobody waits for it."""
        self._due_ns.pop(name, None)

    def late(self, now_ns: int) -> str | None:
        """The stage that is overdue the longest, and by how much; None when the watchdog may be fed."""
        due_ns, name = min(((due, name) for name, due in list(self._due_ns.items())), default=(now_ns, ""))
        return f"{name} is {(now_ns - due_ns) / 1e9:.1f} s late" if due_ns < now_ns else None


def feed_every_s(environ: Mapping[str, str]) -> float | None:
    """How often to feed the supervisor's watchdog; None when it has none, or a time that is no number."""
    words = environ.get(TIMEOUT, "")
    return int(words) / 1e6 / _FEEDS_A_TIMEOUT if words.isdecimal() and int(words) > 0 else None


def notify_address(environ: Mapping[str, str]) -> str | None:
    """The supervisor's datagram socket, an abstract one with its leading NUL; None without a supervisor."""
    name = environ.get(SOCKET, "")
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def status(text: str) -> str:
    """What a person who asks the supervisor is told; one line."""
    return f"STATUS={' '.join(text.split())[:MOST_STATUS]}"


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
