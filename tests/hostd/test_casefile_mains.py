"""Rates that mains lock to: a fault in a case that is to be run, none in one that was."""

import pytest

from hostd import casefile
from hostd.errors import CaseFileError

TEXT = """
name = "x"
[acquisition]
rate_hz = 4000
channels = ["CP3", "CP4"]
{mains}
[test.left]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = {hz}
"""


def text(hz: float, mains: str = "") -> str:
    return TEXT.format(hz=hz, mains=mains)


def test_a_locked_rate_is_a_fault_with_its_reason_and_a_better_one() -> None:
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(text(5), "x.toml")
    told = str(caught.value)
    assert told.startswith("x.toml:11: [test.left] rate_hz: 5 Hz is locked to mains: harmonic 1 (50 Hz)")
    better = float(told.partition("rate_hz = ")[2].split(",")[0])
    assert casefile.parse(text(better), "x.toml").tests[0].stimulus_hz == better


def test_which_rates_lock_hangs_on_the_mains_that_are_stated() -> None:
    assert casefile.parse(text(3, "mains_hz = 50"), "x.toml")
    for mains in ("", "mains_hz = 60"):
        with pytest.raises(CaseFileError, match="locked to mains"):
            casefile.parse(text(3, mains), "x.toml")


def test_what_was_run_already_is_not_judged_by_what_may_be_run_now() -> None:
    case = casefile.parse(text(5), "x.toml", recorded=True)
    assert casefile.at_rate(case, 4000.0, "x.toml").tests[0].stimulus_hz == 5
