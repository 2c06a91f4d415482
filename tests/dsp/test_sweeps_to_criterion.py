"""The product's averaging needs the sweeps that facts/dsp 3.1 says, on a short seeded slice of the study.

`python -m tests.evoked` is the whole study with its bars; margins here are those of a few cases.
"""

import numpy as np
import pytest

from dsp.average import Averager
from tests.evoked import criterion
from tests.evoked.response import patient
from tests.support.streams import Floats

CASES = {"quiet": 2, "typical": 5, "severe": 5}
SEED = 31
# A median of a few ratios: a quarter below what the whole study must reach.
SPEED_UP_AT_LEAST = {"quiet": 0.9, "typical": 1.3, "severe": 3.0}


@pytest.fixture(scope="module")
def studied() -> dict[str, dict[str, dict[str, Floats]]]:
    return {kind: criterion.study(kind, n, SEED) for kind, n in CASES.items()}


@pytest.mark.parametrize("kind", list(SPEED_UP_AT_LEAST))
def test_weights_reach_the_criterion_sooner(kind: str, studied: dict) -> None:
    plain, product = (studied[kind][m]["needed"] for m in ("plain", "product"))
    assert np.median(plain / product) >= SPEED_UP_AT_LEAST[kind]
    assert np.median(product) < criterion.MOST_SWEEPS


@pytest.mark.parametrize("kind", list(SPEED_UP_AT_LEAST))
def test_weights_leave_the_amplitude_alone(kind: str, studied: dict) -> None:
    """Gains scatter by two to four percent: the mean of five by no more than 4 %."""
    assert np.mean(studied[kind]["product"]["gain"]) == pytest.approx(1.0, abs=0.04)


def test_in_quiet_noise_the_oracle_has_little_to_add(studied: dict) -> None:
    of = studied["quiet"]
    assert np.median(of["product"]["efficiency"]) > 0.97
    assert np.median(of["oracle"]["needed"] / of["product"]["needed"]) >= 0.9


def test_in_bursts_weights_beat_a_plain_mean_by_far(studied: dict) -> None:
    """Expected noise power against the oracle: exact for each case, so that few cases tell."""
    for kind, at_least in (("typical", 0.85), ("severe", 0.4)):
        of = studied[kind]
        assert np.median(of["product"]["efficiency"]) >= at_least
        assert np.median(of["plain"]["efficiency"]) < 0.6


@pytest.mark.parametrize("kind", ["typical", "severe"])
def test_the_studys_sums_are_the_products_average(kind: str) -> None:
    """Noise and response cut apart and summed with the weights, against the product's sweeps and averager."""
    made = criterion.case(kind, np.random.default_rng([SEED, 5]), n_sweeps=240)
    studied, cut = criterion.sweeps(made), criterion.product_sweeps(made)
    assert len(cut) == len(made.stimuli)
    assert {s.reason for s in cut} <= {"", "amplitude", "saturated"}
    averager = Averager(criterion.geometry().rows, 1, len(cut))
    for k, sweep in enumerate(cut):
        averager.add(sweep)
        if sweep.accepted:
            expected = studied.response_uv + studied.noise_uv[k]
            assert sweep.uv[:, 0] == pytest.approx(expected, abs=5e-2, rel=1e-3)
    average, weights = averager.average(), studied.weights
    expected = studied.response_uv + weights @ studied.noise_uv / weights.sum()
    assert average.mean_uv[:, 0] == pytest.approx(expected, abs=5e-3)
    assert average.n_effective[0] == pytest.approx(weights.sum() ** 2 / np.sum(weights**2), rel=1e-3)


def test_the_criterion_is_found_where_it_is() -> None:
    """One unit of signal in an error that falls as it is told: reached, held, lost again, never."""
    signal = np.ones(4)
    n = np.arange(1, criterion.MOST_SWEEPS + 1)

    def needed(error: Floats) -> int:
        steps = np.diff(error * n, prepend=0.0)[:, None] * np.ones(4)
        return criterion.sweeps_needed(steps, np.ones(len(n)), signal)

    within = 1.0 / criterion.SNR
    assert needed(np.where(n < 600, 1.0, 0.99 * within)) == 602
    relapse = (n > 700) & (n < 760)
    assert needed(np.where((n < 600) | relapse, 1.0, 0.99 * within)) == 802
    late = (n > 800) & (n < 880)  # 1.3 times 602 is 783
    assert needed(np.where((n < 600) | late, 1.0, 0.99 * within)) == 602
    assert needed(np.full(len(n), 1.01 * within)) == criterion.MOST_SWEEPS


def test_patients_are_seeded_and_their_loss_is_what_it_says() -> None:
    times_ms = np.linspace(-5.0, 60.0, 651)
    one, again, other = (patient(np.random.default_rng(s)) for s in (1, 1, 2))
    assert one == again != other
    for response in (one, other):
        uv = response.uv(times_ms)
        n20 = times_ms[np.argmin(uv)]
        assert 17.0 < n20 < 23.0
        assert not uv[times_ms <= 0.0].any()
        assert response.lost().uv(times_ms) == pytest.approx(0.4 * uv)
