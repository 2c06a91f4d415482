"""The soak's edge in a process of its own says what it would say here, a block later; its death is no silence."""

import os
import signal
from pathlib import Path

import pytest

from hostd import casefile
from hw.link import Receiver, Reply, StimArm
from hw.model.scenario import NO_CHANGE
from tests.soak import campaign
from tests.soak.apart import EdgeApart
from tests.soak.edge import FastEdge
from tests.soak.gauges import rss_kb

BLOCK = 100


@pytest.fixture
def case() -> casefile.Case:
    return casefile.load(Path(campaign.__file__).with_name("small.toml"))


def test_blocks_are_the_same_and_commands_are_obeyed_a_block_later(case: casefile.Case) -> None:
    here = FastEdge(case, 1, NO_CHANGE, BLOCK)
    arm = StimArm(7, 1, 100)
    with EdgeApart(FastEdge(case, 1, NO_CHANGE, BLOCK)) as apart:
        assert apart.description == here.description and apart.block == BLOCK
        assert apart.frames() == here.frames()
        apart.command(arm)
        assert apart.frames() == here.frames(), "the block after was under way"
        here.command(arm)
        told = apart.frames()
        assert told == here.frames()
        assert [m for m in Receiver().feed(told) if isinstance(m, Reply)] == [Reply(7, "")]
        assert 1e3 < rss_kb(apart.pid) < 1e7


def test_the_death_of_the_edge_is_told_at_once_and_its_end_leaves_no_process(case: casefile.Case) -> None:
    with EdgeApart(FastEdge(case, 1, NO_CHANGE, BLOCK)) as apart:
        pid = apart.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(3):
                apart.frames()
    assert not Path(f"/proc/{pid}").exists()
