"""A slice of the coprocessor's campaign (`make pico` runs all of it)."""

from pathlib import Path

import pytest

from tests.pico.campaign import Plan, run


@pytest.mark.control("H9.2")
def test_harm_on_the_cable_costs_no_sample_without_a_name(tmp_path: Path) -> None:
    account = run(Plan(60_000, drop=0.05, flip=0.05, unplug_every=20_000), tmp_path)
    assert account.right, account
    assert account.flips and account.drops and account.lost["link"]
    assert (account.unplugged, account.started) == (2, 2)
