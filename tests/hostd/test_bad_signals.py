"""Whatever the electrodes give, what goes out is a number or says that there is none."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hostd import casefile
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.link import Description
from hw.samples import SampleBlock

RATE_HZ, PERIOD, SECONDS, RAIL = 1000.0, 214, 30, 8388607
TEXT = """
name = "Three electrodes"
[acquisition]
rate_hz = 1000
channels = ["CP3", "CP4", "Fpz"]
[test.right]
modality = "median_ssep"
side = "right"
line = 1
rate_hz = 4.6729
sweeps = 64
baseline_sweeps = 32
band_hz = [30, 300]
derivations = ["CP3-CP4", "CP3-Fpz", "CP4-Fpz"]
"""
CASE = casefile.parse(TEXT, "case.toml")


def said(counts: np.ndarray, case: Case = CASE) -> list[Outgoing]:
    """All messages of `counts` (time, channel), stimulated all along, in blocks of 0.1 s."""
    pipeline = Pipeline(case, Description("test", RATE_HZ, case.channels, (0.1,) * 3, (0.0,) * 3, 0.0, 1))
    pipeline.command("test.start", {"test": "right", "author": ""})
    bits = np.zeros(len(counts), np.uint8)
    bits[PERIOD::PERIOD] = 1
    messages: list[Outgoing] = []
    for at in range(0, len(counts), 100):
        rows = slice(at, at + 100)
        messages += pipeline.feed(SampleBlock(at, counts[rows], bits[rows], 0, ()))
    return messages + pipeline.finish()


def body(seed: int = 1) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).normal(0, 100, (int(SECONDS * RATE_HZ), 3))).astype(np.int32)


def numbers(value: Any) -> Iterator[float]:
    """Every number in a message's fields, however deep."""
    if isinstance(value, np.ndarray):
        yield from value.astype(float).ravel()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


def check(messages: list[Outgoing]) -> list[dict[str, Any]]:
    """No NaN and no infinity anywhere; the averages."""
    for m in messages:
        assert all(math.isfinite(x) for x in numbers(dict(m.fields))), m.topic
    return [dict(m.fields) for m in messages if m.topic == "average.right"]


def dead(counts: np.ndarray) -> np.ndarray:
    counts[:, 1] = 0
    return counts


def all_dead(counts: np.ndarray) -> np.ndarray:
    counts[:] = 0
    return counts


def railed(counts: np.ndarray) -> np.ndarray:
    counts[:, 2] = RAIL
    return counts


def rails_in_turn(counts: np.ndarray) -> np.ndarray:
    counts[::2], counts[1::2] = RAIL, -RAIL - 1
    return counts


@pytest.mark.parametrize("spoil", [dead, all_dead, railed, rails_in_turn])
def test_dead_and_railed_channels_give_numbers_or_none(spoil: Any) -> None:
    messages = said(spoil(body()))
    averages = check(messages)
    assert averages and len({m["mean_uv"].shape[1] for m in averages}) == 1
    if spoil in (railed, rails_in_turn):
        assert averages[-1]["n_sweeps"] == 0 and not averages[-1]["mean_uv"].any()
        assert averages[-1]["halves_uv"] is None
        reasons = {m.fields["reason"] for m in messages if m.topic == "sweep.right"}
        assert reasons <= {"saturated", "settling", "electrosurgery", "no response-free interval"}
    peaks = [p for m in messages if m.topic == "measure.right" for p in m.fields["peaks"]]
    assert not any(p["present"] for p in peaks) and all(p["amplitude_uv"] is None for p in peaks)


@pytest.mark.parametrize("spoil", [dead, all_dead, railed, rails_in_turn, lambda counts: counts])
@pytest.mark.parametrize("sharpen", ["low-pass", "wiener"])
def test_with_all_that_a_case_can_ask_for_there_are_numbers_or_none(spoil: Any, sharpen: Any) -> None:
    """Mains that are found and fitted, a virtual channel, droop and a sharper trace; half a second spoilt by
    everything at once, and the channels by each of what they can be."""
    asked = {"virtual": "dss", "mains": "fit", "droop": "compensate", "sharpen": sharpen}
    everything = replace(CASE, tests=tuple(replace(t, **asked) for t in CASE.tests))
    counts = body(3)
    tone = np.rint(300 * np.sin(2 * np.pi * 50.03 / RATE_HZ * np.arange(len(counts))))
    counts += tone.astype(np.int32)[:, None] * np.array([1, 2, 3], np.int32)
    counts[21_000:21_500] = rails_in_turn(counts[21_000:21_500])
    averages = check(messages := said(spoil(counts), everything))
    last = [m.fields for m in messages if m.topic == "measure.right"][-1]
    if spoil not in (dead, all_dead, railed, rails_in_turn):
        assert last["mains_fit"]["subtracted"] == [True] * 3
        assert averages[-1]["virtual_uv"] is not None and averages[-1]["sharp_uv"] is not None
        assert last["virtual"]["peaks"][0]["present"] is False


def test_a_derivation_that_no_sweep_is_good_for_is_zero_and_says_so() -> None:
    counts = body()
    counts[:, 2] += np.rint(20_000 * np.sin(np.arange(len(counts)) * 0.9)).astype(
        np.int32
    )  # Fpz alone is loud
    averages = check(said(counts))
    last = averages[-1]
    assert last["n_sweeps"] > 16 and last["n_effective_each"][0] > 16
    assert last["n_effective_each"][1] == 0.0 and not last["mean_uv"][:, 1].any()
    assert last["noise_uv"][1] is None and last["noise_uv"][0] > 0.0


def test_without_any_sweep_the_average_is_zero_and_nothing_is_decided() -> None:
    none = replace(CASE, tests=(replace(CASE.tests[0], reject_uv=0.001),))
    messages = said(body(), none)
    averages = check(messages)
    assert {m["n_sweeps"] for m in averages} == {0} and not any(m["mean_uv"].any() for m in averages)
    verdicts = [m.fields["verdict"] for m in messages if m.topic == "measure.right"]
    assert {v["decision"] for v in verdicts} == {"undecided"}


def test_sweeps_without_a_response_free_interval_of_their_own_have_the_weight_of_the_level() -> None:
    tight = replace(CASE, tests=(replace(CASE.tests[0], response_ms=213.0),))
    messages = said(body(), tight)
    check(messages)
    # The first has what came before all stimuli; what it told weighs the others.
    assert {m.fields["reason"] for m in messages if m.topic == "sweep.right"} == {""}
    weights = [m.fields["weight"] for m in messages if m.topic == "sweep.right"]
    assert weights == pytest.approx([weights[0]] * len(weights))
