"""The edges that must all be the same to a host, each given one job and asked for one account of it: the
simulated box, the Linux edge on device nodes, the coprocessor's firmware in MicroPython."""

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from firmware.rig.bodies import Ramp
from firmware.simulated import SimulatedSource
from hostd.edge_link import EdgeLink
from hw.chips import ADS1299
from hw.link import Block, Configure, Start, StimArm, StimPlan
from hw.model.board import BoardModel, BoardSetup
from tests.support.edge import heard_block
from tests.support.edge_on_nodes import Account
from tests.support.pico_edge import PicoProcess, board_files, pico
from tests.support.pico_model import PicoModel

EDGES = ("simulated", "nodes", "pico")
SITES = ("left median", "right median", "left tibial", "right tibial")
ELECTRODES = ("CP3", "CP4", "Fpz", "C5S", "Cz", "C3", "C4", "Fz")


def configure(job: dict[str, Any]) -> Configure:
    """What the host wants for a job."""
    n = job.get("channels", 8)
    names = ELECTRODES[:n] if n <= 8 else tuple(f"ch{k}" for k in range(n))
    gain = job.get("gain", 1)
    return Configure(job["rate_hz"], gain, names, SITES, ("",) * n, "", float("nan"), ())


def commands(job: dict[str, Any]) -> list[Any]:
    """Its plans, each armed first."""
    plans = [StimPlan(**plan) for plan in job.get("plans", ())]
    return [order for p in plans for order in (StimArm(0, p.plan, round(job["rate_hz"] * 5)), p)]


@cache
def files() -> Path:
    """A board's files, made once."""
    return board_files(Path(mkdtemp(prefix="pico-files-")))


def ramp_model(chips: int = 1, rate_ticks: Callable[[], int] = lambda: 0) -> PicoModel:
    """A board whose electrodes see a ramp; its milliseconds stand, so that no host is ever late."""
    board = BoardModel(BoardSetup((ADS1299,) * chips))
    board.body = Ramp(8 * chips)
    model = PicoModel(model=board)
    model.ticks_ms = rate_ticks
    return model


def do(kind: str, job: dict[str, Any]) -> dict[str, Any]:
    """The account of a job by one kind of edge."""
    if kind == "nodes":
        from tests.rig.on_nodes import edge

        return edge(job)
    return _simulated(job) if kind == "simulated" else _pico(job)


def _simulated(job: dict[str, Any]) -> dict[str, Any]:
    source = SimulatedSource(None, None, 1)
    source.configure(configure(job))
    account, stop = Account(job), threading.Event()
    for command in commands(job):
        source.command(command)

    def put(item: Any) -> None:
        account.put(item)
        if account.samples >= job["samples"]:
            stop.set()

    source.run(put, stop)
    return account.summary()


def _pico(job: dict[str, Any]) -> dict[str, Any]:
    model = ramp_model(-(-job.get("channels", 8) // 8))
    with pico(model, files()) as board:
        return through(board, model, job).summary()


def through(board: PicoProcess, model: PicoModel, job: dict[str, Any]) -> Account:
    """The account of a job by a running board, over its serial port."""
    link, account = EdgeLink(f"serial:{board.path}"), Account(job)
    try:
        link.open(configure(job))
        link.send(Start(0))
        for command in commands(job):
            link.send(command)
        settle(link, account, len(commands(job)))
        model.grant(job["samples"] + job["rate_hz"] * 0.1)
        while account.samples < job["samples"]:
            for message in link.receive(0.05):
                account.put(heard_block(message) if isinstance(message, Block) else message)
    finally:
        link.close()
    return account


def settle(link: EdgeLink, account: Account, answers: int) -> None:
    """Wait for the replies to what was sent before any sample comes; a single stimulus has none yet."""
    link.send(StimArm(999, 999, 1))
    while not any(getattr(item, "command", None) == 999 for item in account.items):
        for message in link.receive(0.05):
            account.put(message)
