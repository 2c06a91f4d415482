"""A slice of the campaign of all modalities (`make modalities`): some seeded patients beside their truth."""

import pytest

from tests.modalities import averages, singles, watched
from tests.modalities.__main__ import KNOWN, OTHERS, bar_of, least_ratio, rows

SEEDS = range(9001, 9004)
QUICK = ("cnap", "ecochg", "ccep")


@pytest.mark.parametrize("name", QUICK)
def test_averages_are_found_where_they_are_and_nowhere_else(name: str) -> None:
    told = [one for seed in SEEDS for one in averages.seen(name, seed)]
    clear = [one for one in told if one.snr >= 10.0]
    assert clear and all(one.found for one in clear) and not any(one.removed for one in told)
    far = [one for one in clear if one.late_ms is not None and one.snr >= 30.0]
    assert all(abs(one.late_ms) <= 3 * bar_of(name) for one in far)
    assert all(abs(one.gain - 1.0) <= 0.15 for one in far)


WITH_ONSETS = ("tcmep", "cortical_mapping", "pedicle_screw", "h_reflex")


@pytest.mark.parametrize("name", [*WITH_ONSETS, "d_wave", "nerve_action_potential"])
def test_single_responses_are_found_and_sized(name: str) -> None:
    told = [one for seed in SEEDS for one in singles.seen(name, seed)]
    clear = [one for one in told if one.snr >= 20.0]
    assert clear and all(one.found for one in clear)
    assert sum(one.removed for one in told) <= 1
    assert sum(abs(one.gain - 1.0) <= 0.1 for one in clear) >= 0.8 * len(clear)
    if name in WITH_ONSETS:
        assert sum(one.late_ms is not None for one in clear) >= 0.95 * len(clear)


def test_trains_of_four_and_muscles_and_suppression() -> None:
    for true, ratio, count, told in map(watched.train, SEEDS):
        assert told == count and (ratio is None or abs(ratio - true) < 0.05)
    by, false, minutes = watched.minute(9001)
    assert all(found == n for n, found, _ in by.values()) and false <= 2 * minutes
    true, by_amplitude, _ = watched.share(9003)
    assert abs(by_amplitude - true) < 5.0


def test_the_campaign_covers_every_modality() -> None:
    from hostd.modalities import MODALITIES

    assert {*KNOWN, *OTHERS, "custom"} == set(MODALITIES)


def test_the_ratio_from_which_errors_are_within_a_bar() -> None:
    errors = [(float(snr), 0.0 if snr > 5 else 1.0) for snr in range(1, 41)]
    # 35 of 36 are 97 %, 35 of 37 are 94.6 %.
    assert least_ratio(errors, 0.5) == 5.0
    assert least_ratio(errors[:5], 0.5) == float("inf")
    (row,) = rows("cnap", [averages.Seen("N1", 20.0, 0.1, 1.02, False, True)] * 20)
    assert row.ok and row.bias_ms == pytest.approx(0.1) and row.uv_from == 20.0
