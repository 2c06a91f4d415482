"""Who may ask for what: roles, names in the record, and floods that are stopped where a stop never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.clients import A_SECOND, BURST, MOST_CLIENTS, Clients
from hostd.control import COMMANDS
from hostd.peers import KEY_ROLES, LOCAL, UNKNOWN_KEY, Key, Peer
from hostd.states import ON_THE_CART, STIMULATING

HERE = Peer(b"\0here", "127.0.0.1")
FAR = Peer(b"\0far", "192.168.7.20")
MAY = {"hello", "snapshot", "config.get", "mark", "stim.stop"}


CURRENTS = {"test.start", "test.rate", "stim.arm", "stim.fire", "impedance.start", "leads.watch"}
"""By hand: all that begins or raises a current through somebody."""
CART = {"case.start", "case.close", "alarm.signal"}
"""By hand: what else only somebody who sees the patient may ask for."""
KEYS = {role: Key(f"some {role}", role, role.ljust(40, "x")) for role in KEY_ROLES}


class Clock:
    """Monotonic nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def granted(clients: Clients, peer: Peer, command: str, n: int) -> int:
    """How many of `n` requests are let through; the others are told that it is too much."""
    refusals = [clients.refusal(peer, command) for _ in range(n)]
    assert {r[0] for r in refusals if r is not None} <= {"busy"}
    return refusals.count(None)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
        ("1127.0.0.1", False),
        ("evil.127.0.0.1", False),
    ],
)
def test_who_is_on_this_machine_operates_and_who_is_not_observes(address: str, here: bool) -> None:
    peer = Peer(b"x", address)
    role = "operator" if here else "observer"
    assert peer.here is here
    assert Clients().role(peer) == role
    assert Clients().greet(peer, "", "operator") == role, "whatever it says"
    assert Clients().greet(peer, "", "observer") == "observer"


@pytest.mark.parametrize("command", COMMANDS)
def test_observers_may_look_mark_and_stop(command: str) -> None:
    clients = Clients()
    watching = Peer(b"\0watching", "127.0.0.1")
    clients.greet(watching, "theatre screen", "observer")
    for peer in (FAR, watching):
        refusal = clients.refusal(peer, command)
        if command in MAY:
            assert refusal is None
        else:
            assert refusal == ("not_allowed", f"observers may not {command}; ask at the box itself")
    assert clients.refusal(HERE, command) is None


@pytest.mark.control("H5.1")
@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.77"])
@pytest.mark.parametrize("role", KEY_ROLES)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_each_key_may_ask_for_on_the_cart_and_elsewhere(command: str, role: str, address: str) -> None:
    here = address == "127.0.0.1"
    allowed = command in MAY
    if role != "observer":
        allowed = allowed or here or command not in CURRENTS | CART
    for wanted in ("operator", "engineer", "remote", "observer"):  # whatever it says of itself
        clients = Clients()
        peer = Peer(b"x", address, KEYS[role])
        clients.greet(peer, "", wanted)
        if wanted == "remote":
            allowed = allowed and command not in CURRENTS | CART
        if wanted == "observer":
            allowed = command in MAY
        refusal = clients.refusal(peer, command)
        assert (refusal is None) is allowed and (command in clients.may(peer)) is allowed
        assert refusal is None or (refusal[0] == "not_allowed" and "ask at the box itself" in refusal[1])


def test_the_lists_of_what_stimulates_hold_every_command_that_does() -> None:
    assert set(STIMULATING) == CURRENTS
    assert set(ON_THE_CART) == CURRENTS | CART
    assert set(COMMANDS) - set(ON_THE_CART) == MAY | {
        *("test.stop", "baseline.set", "baseline.clear", "alert.acknowledge", "impedance.stop"),
        *("alert.note", "case.critical", "plugs.check"),
    }, "a new command needs its place in this table"


@pytest.mark.control("H18.1")
@pytest.mark.parametrize(("role", "may"), [("observer", False), ("technologist", False), ("engineer", True)])
def test_only_an_engineer_says_that_nobody_is_connected(role: str, may: bool) -> None:
    peer = Peer(b"x", "127.0.0.1", KEYS[role])
    assert (Clients().refusal(peer, "impedance.start", {"phantom": True}) is None) is may
    assert Clients().refusal(HERE, "impedance.start", {"phantom": True}) is None


@pytest.mark.control("H5.3")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_key_that_was_revoked_stops_and_nothing_else(command: str) -> None:
    refusal = Clients().refusal(Peer(b"x", "127.0.0.1", UNKNOWN_KEY), command)
    assert (refusal is None) is (command == "stim.stop")


def test_a_keys_connections_share_what_they_may_ask(clock: Clock) -> None:
    clients = Clients(clock)
    peers = [Peer(b"%d" % k, "127.0.0.1", KEYS["technologist"]) for k in range(5)]
    assert sum(granted(clients, peer, "mark", 100) for peer in peers) == BURST
    assert granted(clients, Peer(b"0", "127.0.0.1", KEYS["engineer"]), "mark", 1) == 1
    assert all(clients.refusal(peer, "stim.stop") is None for peer in peers)


def test_the_record_names_the_key_behind_every_name() -> None:
    clients = Clients()
    peer = Peer(b"x", "192.0.2.77", KEYS["engineer"])
    assert clients.actor(peer) == "some engineer (engineer)@192.0.2.77"
    clients.greet(peer, "Ann", "operator")
    assert clients.actor(peer) == "Ann, some engineer (engineer)@192.0.2.77"
    assert clients.actor(peer, "Bob") == "Bob, some engineer (engineer)@192.0.2.77"


def test_a_role_is_of_one_connection_and_may_be_taken_again() -> None:
    clients = Clients()
    clients.greet(HERE, "", "observer")
    assert clients.role(Peer(b"\0other", HERE.address)) == "operator"
    assert clients.greet(HERE, "", "operator") == clients.role(HERE) == "operator"


@pytest.mark.parametrize(
    ("hello", "said", "actor"),
    [
        (None, "", "operator@127.0.0.1"),
        ("Ann", "", "Ann@127.0.0.1"),
        ("Ann", "Bob", "Bob@127.0.0.1"),
        ("", "Bob", "Bob@127.0.0.1"),
        (" Ann \n B. ", "", "Ann B.@127.0.0.1"),
        ("Ann", " \t\n", "Ann@127.0.0.1"),
        ("x" * 1000, "", "x" * 64 + "@127.0.0.1"),
    ],
)
def test_the_record_names_who_asked(hello: str | None, said: str, actor: str) -> None:
    clients = Clients()
    if hello is not None:
        clients.greet(HERE, hello, "operator")
    assert clients.actor(HERE, said) == actor


def test_the_record_tells_where_from() -> None:
    clients = Clients()
    assert clients.actor(LOCAL) == "operator@127.0.0.1"
    assert clients.actor(FAR, "Ann") == "Ann@192.168.7.20"
    assert clients.actor(Peer(b"\0nowhere", "")) == "observer@unknown"


@pytest.mark.control("H16.1")
def test_a_hundred_at_once_then_fifty_a_second(clock: Clock) -> None:
    clients = Clients(clock)
    assert granted(clients, HERE, "test.start", 300) == BURST == 100
    code, text = clients.refusal(HERE, "mark") or ("", "")
    assert code == "busy" and text == "more than 50 requests a second; ask again a little later"
    clock.pass_s(0.5)
    assert granted(clients, HERE, "mark", 100) == A_SECOND / 2
    clock.pass_s(0.019)
    assert granted(clients, HERE, "mark", 1) == 0, "not a whole one yet"
    clock.pass_s(0.0011)
    assert granted(clients, HERE, "mark", 2) == 1
    clock.pass_s(3600)
    assert granted(clients, HERE, "mark", 300) == BURST, "what is not used does not pile up"


@pytest.mark.control("H1.7")
def test_a_stop_is_never_too_much_and_costs_nothing(clock: Clock) -> None:
    clients = Clients(clock)
    for peer in (HERE, FAR):
        assert granted(clients, peer, "stim.stop", 1000) == 1000
        assert granted(clients, peer, "mark", 150) == BURST
        assert granted(clients, peer, "stim.stop", 1000) == 1000


def test_one_clients_flood_is_not_anothers(clock: Clock) -> None:
    clients = Clients(clock)
    granted(clients, HERE, "mark", 200)
    assert granted(clients, Peer(b"\0calm", HERE.address), "mark", 1) == 1


def test_a_clock_that_stands_or_runs_back_gives_nothing_away(clock: Clock) -> None:
    clients = Clients(clock)
    granted(clients, HERE, "mark", 100)
    clock.pass_s(-10)
    assert granted(clients, HERE, "mark", 5) == 0


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 2)), max_size=60))
def test_never_more_than_the_burst_and_the_rate_together(asked: list[tuple[int, float]]) -> None:
    clock = Clock()
    clients = Clients(clock)
    start = clock.ns
    total = 0
    for n, seconds in asked:
        total += granted(clients, HERE, "mark", n)
        assert total <= BURST + A_SECOND * (clock.ns - start) / 1e9 + 1e-6
        clock.pass_s(seconds)


def test_the_newest_connections_are_remembered(clock: Clock) -> None:
    clients = Clients(clock)
    clients.greet(HERE, "Ann", "observer")
    for k in range(MOST_CLIENTS):
        clients.role(Peer(b"%d" % k, "127.0.0.1"))
        clients.role(HERE)  # who is heard stays
    assert clients.actor(HERE) == "Ann@127.0.0.1"
    for k in range(MOST_CLIENTS):
        clients.role(Peer(b"again %d" % k, "127.0.0.1"))
    assert clients.actor(HERE) == "operator@127.0.0.1"
