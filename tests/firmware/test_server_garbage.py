"""Hosts that send anything at all: the edge outlives them and serves the next good one."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.playback import RecordingSource
from firmware.ports import Source
from firmware.simulated import SimulatedSource
from hw.link import Block, Configure, Fault, Message, Sender, Start, StimPlan, hello
from tests.support.edge import RawHost, Served, poll_fast, served, unix, wanted
from tests.support.links import ANY_MESSAGE, messages_of

RECORDING_WANTED = Configure(0.0, 0, ("A",), (), ("",), "Stim", float("nan"), ())


def recording(folder: Path) -> Source:
    path = folder / "made.bdf"
    limits = {"physical_range": (-(2**23), 2**23 - 1), "digital_range": (-(2**23), 2**23 - 1)}
    signals = [
        edfio.BdfSignal(np.arange(20_000.0), 1000, label="A", physical_dimension="uV", **limits),
        edfio.BdfSignal(np.zeros(20_000), 1000, label="Stim", **limits),
    ]
    edfio.Bdf(signals, data_record_duration=1).write(path)
    return RecordingSource(path, 1.0, None)


@pytest.fixture(scope="module", params=["simulated", "recording"])
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """One edge for all the garbage, and what a good host wants of it."""
    folder = tmp_path_factory.mktemp("edge")
    good = wanted() if request.param == "simulated" else RECORDING_WANTED
    source = SimulatedSource(1.0, None, 1) if request.param == "simulated" else recording(folder)
    with pytest.MonkeyPatch.context() as patch:
        poll_fast(patch)
        with served(source, unix(folder)) as running:
            yield running, good


def send_and_leave(edge: Served, *pieces: bytes) -> None:
    """Send it all, hear the edge out to its end, leave."""
    host = RawHost(edge.address)
    with contextlib.suppress(OSError):
        for piece in pieces:
            host.socket.sendall(piece)
        host.socket.shutdown(socket.SHUT_WR)
        while host.socket.recv(1 << 16):
            pass
    host.hang_up()
    assert edge.alive


MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(pieces=st.lists(st.binary(max_size=400), max_size=4))
def test_random_bytes(edge: tuple, pieces: list[bytes]) -> None:
    send_and_leave(edge[0], *pieces)


@MANY
@given(messages=st.lists(ANY_MESSAGE | messages_of(Configure) | messages_of(StimPlan), max_size=8))
def test_any_messages_of_a_host_that_was_greeted(edge: tuple, messages: list[Message]) -> None:
    sender = Sender()
    send_and_leave(edge[0], *map(sender.frame, [hello("host", 1), *messages]))


NUMBERS = st.sampled_from([0.0, -1.0, 1e308, float("inf"), float("-inf"), float("nan"), 4000.0, 250.0])
TEXTS = st.sampled_from(
    ["", "A", "CP3", "left median", "=", "A=1", "A=99999999999999999999", "\0", "x" * 60000]
)


@MANY
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "rate_hz": NUMBERS,
            "gain": st.integers(0, 255),
            "channels": st.lists(TEXTS, max_size=3).map(tuple),
            "lines": st.lists(TEXTS, max_size=6).map(tuple),
            "labels": st.lists(TEXTS, max_size=5).map(tuple),
            "trigger_channel": TEXTS,
            "threshold": NUMBERS,
            "annotations": st.lists(TEXTS, max_size=3).map(tuple),
        },
    )
)
def test_configurations_that_are_nearly_good_are_answered_in_one_line(edge: tuple, changes: dict) -> None:
    running, good = edge
    host = RawHost(running.address)
    host.send(hello("host", 1), replace(good, **changes))
    host.hear()
    answer = host.hear()
    if isinstance(answer, Fault):
        assert answer.code == "config", answer
        assert "\n" not in answer.text
    host.hang_up()
    assert running.alive


@pytest.mark.control("H16.3")
@MANY
@given(messages=st.lists(ANY_MESSAGE | messages_of(StimPlan), max_size=8))
def test_any_messages_of_a_host_that_has_started(edge: tuple, messages: list[Message]) -> None:
    running, good = edge
    host = RawHost(running.address).start(good)
    sender = Sender()
    with contextlib.suppress(OSError):
        host.socket.sendall(b"".join(map(sender.frame, messages)) + b"\xff" * 300 + b"\0")
    host.hang_up()
    assert running.alive


def test_and_after_all_that_a_good_host_is_served(edge: tuple) -> None:
    running, good = edge
    host = RawHost(running.address).start(good)
    assert isinstance(host.until(Block), Block)
    assert host.socket.fileno() >= 0
    host.send(Start(1))
    assert isinstance(host.until(Block), Block)
    host.hang_up()
    assert running.failure is None
