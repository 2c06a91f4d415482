"""A slice of the stimulus campaign on the edge's own loop and bindings: pulses on device nodes, lockstep."""

import sys

import pytest

from tests.rig.conftest import lockstep_only, spawn, why_not
from tests.stimuli import on_nodes

PULSES = 4000


@lockstep_only("a pulse every 5 ms would take its time, and a late edge is no error there")
def test_every_pulse_on_device_nodes_is_matched_with_its_edge() -> None:
    pytest.importorskip("gpiod")
    pytest.importorskip("spidev")
    if why_not():
        pytest.skip(why_not())
    ran = spawn("--body", "ramp", "--", sys.executable, on_nodes.__file__, str(PULSES))
    assert ran.code == 0, ran.err[-2000:]
    matched = on_nodes.matched(ran.out)
    assert matched.wrong == ()
    assert matched.pulses >= PULSES
    assert matched.lags == {1: matched.pulses}, "trigger to sample: no error"
