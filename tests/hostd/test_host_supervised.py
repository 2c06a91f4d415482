"""What host and web display tell their supervisor: fed while intake, processing and serving are alive, also
without an edge, and no longer once one of them hangs."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.cli import main
from hostd.control_desk import ControlDesk
from hostd.intake import Intake
from hostd.notify import Supervisor
from hostd.processing import Processing
from hw.stages import Stages
from tests.support.fakebus import free_block
from tests.support.session import LiveHost
from tests.support.supervisor import FakeSupervisor, supervisor

FED_S = 0.1
STAGE_S = 0.6
STAGES = {
    "intake": (Intake, "_take"),
    "processing": (Processing, "_process"),
    "server": (ControlDesk, "look"),
}


def _host(fake: FakeSupervisor) -> LiveHost:
    live = LiveHost(casefile.procedure("median_ssep"), speed=1.0)
    live._daemon._supervisor = Supervisor(Stages(STAGE_S), fake.environ)
    return live


@pytest.mark.parametrize("stage", STAGES)
def test_any_stage_of_the_host_that_hangs_ends_the_feeding(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name = STAGES[stage]
    real: Callable[..., Any] = getattr(kind, name)
    hangs, go = threading.Event(), threading.Event()

    def method(self: Any, *args: Any) -> Any:
        if hangs.is_set():
            go.wait()
        return real(self, *args)

    monkeypatch.setattr(kind, name, method)
    with supervisor(tmp_path, FED_S) as fake:
        live = _host(fake)
        with live:
            live._daemon._supervisor.ready("case")
            fake.until("WATCHDOG=1")
            hangs.set()
            try:
                assert not fake.fed_after(f"STATUS={stage} is ", 5 * FED_S)
            finally:
                go.set()
            for _ in range(5):
                fake.until("WATCHDOG=1")  # it goes on, and so does the feeding


def test_a_host_whose_edge_is_gone_is_alive_and_says_when_it_stops(tmp_path: Path) -> None:
    with supervisor(tmp_path, FED_S) as fake:
        live = _host(fake)
        with live:
            live._daemon._supervisor.ready("case")
            live.lose_edge()
            for _ in range(4 * round(1.5 * STAGE_S / FED_S)):  # longer than a stage may be silent
                fake.until("WATCHDOG=1")
        fake.until("STOPPING=1")


def test_a_host_that_waits_for_its_edge_says_so_and_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hostd.edge_link.CONNECT_S", 0.1)
    with supervisor(tmp_path, FED_S) as fake:
        for name, word in fake.environ.items():
            monkeypatch.setenv(name, word)
        link = f"unix:{tmp_path / 'no-edge'}"
        port = free_block()
        assert (
            main(["host", "--alone", "--link", link, "--data", "off", "--bus", f"tcp://127.0.0.1:{port}"])
            == 1
        )
        assert fake.hear() == [f"STATUS=waits for an edge at {link}"]
        assert fake.hear(0.05) is None
    assert "no edge" in capsys.readouterr().err


def test_the_web_display_is_ready_when_browsers_can_come_and_fed_while_its_loop_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, hangs, go = threading.Event(), threading.Event(), threading.Event()
    turns = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if hangs.is_set():
            go.wait()
        await turns(seconds / 20)

    monkeypatch.setattr("hostd.web.command.stop_event", lambda supervised: stop)
    monkeypatch.setattr("hostd.web.command.STAGE_S", 0.3)
    monkeypatch.setattr("hostd.web.gateway.asyncio.sleep", sleep)
    with supervisor(tmp_path, FED_S) as fake:
        for name, word in fake.environ.items():
            monkeypatch.setenv(name, word)
        bus = f"tcp://127.0.0.1:{free_block()}"
        served = threading.Thread(target=main, args=(["web", "--bus", bus, "--http", "127.0.0.1:0"],))
        served.start()
        try:
            heard = fake.until("READY=1")
            assert any(line.startswith("STATUS=http://127.0.0.1:") for line in heard)
            fake.until("WATCHDOG=1")
            hangs.set()
            assert not fake.fed_after("STATUS=event loop is ", 5 * FED_S)
        finally:
            go.set()
            stop.set()
            served.join(60)
        fake.until("STOPPING=1")
