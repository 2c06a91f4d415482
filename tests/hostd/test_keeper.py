"""The keeper: a serving process that dies, crashes or hangs is followed by another one that knows why.

Each keeper runs in a process of its own, as a program that ends as it does.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostd.keeper import EARLY_DEATHS, EARLY_S, Deaths
from tests.support.session import ROOT, until
from tests.support.supervisor import supervisor

STARTED: list["subprocess.Popen[str]"] = []
PROGRAM = """
import os, signal, socket, sys, time
from pathlib import Path
from hostd import keeper
from hostd.errors import CrashedError, LinkError

lives = Path(sys.argv[1])

def say(*lines):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto("\\n".join(lines).encode(), "\\0" + address[1:])

def life(told):
    with lives.open("a") as file:
        file.write(f"{os.getpid()} {told.take_up} {len(told.deaths)} {'|'.join(told.deaths)}\\n")
    return len(lives.read_text().splitlines())

def serve(told):
    n = life(told)
    BODY

sys.exit(keeper.keep(serve, supervised="supervised" in sys.argv))
"""


def kept(
    tmp_path: Path, body: str, *args: str, before: str = "", env: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    """A keeper of processes that do `body`, in which `n` says which life it is."""
    text = PROGRAM.replace("    BODY\n", "".join(f"    {line}\n" for line in body.strip().splitlines()))
    text = text.replace("def serve", f"{before}\n\ndef serve")
    process = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path / "lives"), *args],
        cwd=ROOT,
        env=os.environ | (env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """Whatever came of a test: who serves ends with its keeper."""
    yield
    while STARTED:
        STARTED.pop().kill()


def lives(tmp_path: Path) -> list[list[str]]:
    file = tmp_path / "lives"
    return [line.split(" ", 3) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.control("H9.9")
def test_one_that_is_killed_while_it_serves_is_followed_by_one_that_knows_why(tmp_path: Path) -> None:
    body = """
say("READY=1")
if n == 1:
    os.kill(os.getpid(), signal.SIGKILL)
return 5
"""
    process = kept(tmp_path, body)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 5
    assert err == "evokd: the host was killed by signal 9; another one takes up its case\n"
    (_, *first), (_, *second) = lives(tmp_path)
    assert first == ["True", "0", ""] and second == ["True", "1", "the host was killed by signal 9"]
    assert out == ""


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "evokd: the host was killed by signal 9\n"),
        (
            'raise CrashedError("processing stopped: x")',
            1,
            "evokd: processing stopped: x\nevokd: the host crashed\n",
        ),
        ('say("READY=1")\nraise LinkError("no edge")', 1, "evokd: no edge\n"),
        ('say("READY=1")\nreturn 0', 0, ""),
        ("return 2", 2, ""),
    ],
)
def test_what_ends_before_it_served_or_by_its_own_word_is_not_started_again(
    body: str, code: int, told: str, tmp_path: Path
) -> None:
    process = kept(tmp_path, body)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err, len(lives(tmp_path))) == (code, told, 1)


def test_what_nobody_foresaw_does_not_make_a_second_keeper(tmp_path: Path) -> None:
    process = kept(tmp_path, 'say("READY=1")\nif n == 1:\n    raise KeyError("z")\nreturn 0')
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0 and len(lives(tmp_path)) == 2
    assert "KeyError: 'z'" in err and err.endswith("the host crashed; another one takes up its case\n")


def test_a_crash_while_it_serves_is_a_death_like_any_other(tmp_path: Path) -> None:
    body = 'say("READY=1")\nif n == 1:\n    raise CrashedError("intake stopped: y")\nreturn 0'
    process = kept(tmp_path, body)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err == "evokd: intake stopped: y\nevokd: the host crashed; another one takes up its case\n"


@pytest.mark.control("H16.7")
def test_one_that_no_longer_feeds_the_watchdog_is_killed_and_followed(tmp_path: Path) -> None:
    body = """
say("READY=1", "WATCHDOG=1")
if n == 1:
    time.sleep(60)
return 0
"""
    process = kept(tmp_path, body, before="keeper.HANGS_S = 0.1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    hangs, killed = err.splitlines()
    assert hangs == "evokd: the host hangs: a stage was silent for 0.1 s"
    assert killed == "evokd: the host was killed by signal 9; another one takes up its case"


def test_one_that_says_that_it_stops_may_take_its_time(tmp_path: Path) -> None:
    body = 'say("READY=1", "WATCHDOG=1")\nsay("STOPPING=1")\ntime.sleep(1.5)\nreturn 0'
    process = kept(tmp_path, body, before="keeper.HANGS_S = 0.5")
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 0


STOPS = """
from hostd.signals import stop_event
say("READY=1")
stop = stop_event(supervised=False)
return 7 if stop.wait(60) else 8
"""


@pytest.mark.parametrize("how", ["signal", "standard input"])
def test_told_to_stop_it_stops_the_serving_one_and_nobody_follows(how: str, tmp_path: Path) -> None:
    process = kept(tmp_path, STOPS, "supervised")
    until(lambda: lives(tmp_path), "a life")
    if how == "signal":
        process.send_signal(signal.SIGTERM)
    else:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err, len(lives(tmp_path))) == (7, "", 1)


AT_ONCE = """
usual, begun = {what}, []

def told_first(*args):
    begun.append(args[:1] != (signal.SIG_UNBLOCK,))
    if begun[-1] and sum(begun) == {which}:
        os.kill(os.getpid(), signal.SIGTERM)
    return usual(*args)

{what} = told_first
"""
DIES = 'if n == 1:\n    say("READY=1")\n    os.kill(os.getpid(), signal.SIGKILL)\n'
ITSELF = "os.kill(os.getppid(), signal.SIGTERM)\n"
TOLD = """
end = time.monotonic() + 10
while signal.SIGTERM not in signal.sigpending() and time.monotonic() < end:
    pass
"""
BEGINNINGS = {
    "the first is begun": ("", "signal.pthread_sigmask", 1),
    "the first is forked": ("", "os.fork", 1),
    "a second one is begun": (DIES, "signal.pthread_sigmask", 2),
    "a second one is forked": (DIES, "os.fork", 2),
    "it can hear": (ITSELF, "os.fork", 0),
}


@pytest.mark.parametrize("when", BEGINNINGS)
def test_told_to_stop_while_one_begins_it_stops_that_one_all_the_same(when: str, tmp_path: Path) -> None:
    """SIGTERM at the worst instants: systemd stops a box while its host is started anew."""
    body, what, which = BEGINNINGS[when]
    process = kept(tmp_path, body + TOLD + STOPS, before=AT_ONCE.format(what=what, which=which))
    _, err = process.communicate(timeout=120)
    died = "evokd: the host was killed by signal 9; another one takes up its case\n"
    assert (process.returncode, err) == (7, died if which == 2 else "")


def test_the_serving_one_does_not_outlive_its_keeper(tmp_path: Path) -> None:
    process = kept(tmp_path, 'say("READY=1")\ntime.sleep(60)')
    until(lambda: lives(tmp_path), "a life")
    pid = int(lives(tmp_path)[0][0])
    process.kill()
    process.communicate(timeout=120)
    gone = Path(f"/proc/{pid}/stat")
    until(lambda: not gone.exists() or gone.read_text().rpartition(")")[2].split()[0] == "Z", "it to be gone")


def test_for_want_of_memory_the_kernel_ends_the_serving_one_before_its_keeper(tmp_path: Path) -> None:
    body = """
scores = [Path(f"/proc/{who}/oom_score_adj").read_text().strip() for who in (os.getppid(), os.getpid())]
(lives.parent / "scores").write_text(" ".join(scores))
return 0
"""
    process = kept(tmp_path, body)
    process.communicate(timeout=30)
    assert process.returncode == 0
    keeper, serving = map(int, (tmp_path / "scores").read_text().split())
    assert serving == min(1000, keeper + 200)


def test_the_supervisor_above_hears_what_the_serving_one_says(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as above:
        above.bind(str(tmp_path / "notify"))
        above.settimeout(120)
        process = kept(
            tmp_path, 'say("READY=1", "STATUS=x")\nreturn 0', env={"NOTIFY_SOCKET": str(tmp_path / "notify")}
        )
        process.communicate(timeout=120)
        assert above.recv(4096) == b"READY=1\nSTATUS=x"


WAITS = """
from hostd.signals import stop_event
say("READY=1"FED)
stop_event(supervised=False).wait(60)
return 0
"""


@pytest.mark.parametrize("fed", [True, False])
def test_the_watchdog_above_is_the_keepers_own_and_not_fed_for_one_that_never_begins(
    fed: bool, tmp_path: Path
) -> None:
    """Who serves said once that it is alive, and is taken for hung a minute later; or never, and is believed
    for 0.3 s."""
    body = WAITS.replace("FED", ', "WATCHDOG=1"' if fed else "")
    with supervisor(tmp_path) as fake:
        before = "keeper.HANGS_S, keeper.QUIET_S, keeper.FEED_NS, keeper.POLL_MS = 60.0, 0.3, 0, 10"
        process = kept(tmp_path, body, "supervised", before=before, env=fake.environ)
        fake.until("READY=1")
        heard = 0
        while heard < 100 and fake.hear(1.0) == ["WATCHDOG=1"]:
            heard += 1
        assert heard and (heard == 100) is fed
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def test_a_case_that_kills_its_hosts_is_left_alone_and_then_all_is_given_up() -> None:
    deaths = Deaths()
    early: Callable[[], bool] = lambda: deaths.after("x", EARLY_S / 2)  # noqa: E731
    assert [early() for _ in range(EARLY_DEATHS - 1)] == [True] * (EARLY_DEATHS - 1) and not deaths.fresh
    assert early() and deaths.fresh, "the next one begins a new case"
    assert [early() for _ in range(EARLY_DEATHS)] == [True] * (EARLY_DEATHS - 1) + [False]


def test_deaths_that_come_late_are_never_too_many() -> None:
    deaths = Deaths()
    for _ in range(50):
        assert deaths.after("x", EARLY_S / 2)
        assert deaths.after("x", EARLY_S * 2)
    assert not deaths.fresh and len(deaths.texts) == 20
