"""The converter's noise: the facts' figures by gain and rate, white, Gaussian, apart per channel, seeded."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.chips import ADS1298, ADS1299, GAINS, RATES_HZ
from hw.frames import lsb_uv
from hw.model.converter_noise import noise_uv
from tests.support.boards import Program, board

GAIN_CODE = {gain: code << 4 for code, gain in enumerate(GAINS)}
CONFIG1 = {rate_hz: 0x90 | code for code, rate_hz in enumerate(RATES_HZ)}


@pytest.mark.parametrize(
    ("gain", "row_uv"),
    [
        (1, (21.70, 6.93, 4.33, 3.06, 2.17, 1.53, 1.08)),
        (2, (10.85, 3.65, 2.28, 1.61, 1.14, 0.81, 0.57)),
    ],
)
def test_the_datasheets_rows(gain: int, row_uv: tuple[float, ...]) -> None:
    assert [noise_uv(gain, rate_hz) for rate_hz in RATES_HZ] == list(row_uv)


@pytest.mark.parametrize(
    ("rate_hz", "row_uv"),
    [
        (250, (0.30, 0.22, 0.19, 0.16, 0.14)),
        (1000, (0.60, 0.44, 0.38, 0.32, 0.28)),
        (4000, (1.19, 0.89, 0.75, 0.64, 0.56)),
    ],
)
def test_the_models_rows(rate_hz: float, row_uv: tuple[float, ...]) -> None:
    assert [noise_uv(gain, rate_hz) for gain in (4, 6, 8, 12, 24)] == pytest.approx(row_uv, abs=0.011)


def test_quantisation_at_16_ksps_goes_down_with_the_gain_as_the_datasheet_has_it() -> None:
    """Fitted on gain 1 alone, it says what the datasheet lists for gain 2."""
    quantisation_uv = np.sqrt(noise_uv(1, 16000) ** 2 - (1.0782 * 8) ** 2)
    thermal_uv = np.hypot(0.133, 1.07 / 2) * 8
    assert np.hypot(thermal_uv, quantisation_uv / 2) == pytest.approx(noise_uv(2, 16000), rel=0.01)
    assert noise_uv(24, 16000) == pytest.approx(
        np.hypot(np.hypot(0.133, 1.07 / 24) * 8, quantisation_uv / 24), rel=0.01
    )


def test_more_gain_and_less_rate_are_never_noisier() -> None:
    for rate_hz in RATES_HZ:
        assert np.all(np.diff([noise_uv(gain, rate_hz) for gain in GAINS]) < 0)
    for gain in GAINS:
        assert np.all(np.diff([noise_uv(gain, rate_hz) for rate_hz in sorted(RATES_HZ)]) > 0)


@pytest.mark.parametrize(("gain", "rate_hz"), [(0, 250), (1, 0), (-1, 250)])
def test_noise_of_nothing_is_refused(gain: int, rate_hz: float) -> None:
    with pytest.raises(ValueError, match="positive gain and rate"):
        noise_uv(gain, rate_hz)


def shorted(
    n: int, gain: int = 24, rate_hz: float = 250, seed: int = 1, **setup: object
) -> NDArray[np.float64]:
    """`n` conversions of shorted inputs in microvolts, (conversion, channel)."""
    program = Program(board(noise=True, seed=seed, **setup)).set_up(CONFIG1[rate_hz], GAIN_CODE[gain] | 1)
    return program.start().counts(n) * lsb_uv(gain)


@pytest.mark.parametrize(("gain", "rate_hz"), [(24, 250), (24, 4000), (1, 16000), (2, 1000), (8, 500)])
def test_shorted_inputs_have_the_noise_of_the_table(gain: int, rate_hz: float) -> None:
    got = shorted(2000, gain, rate_hz)
    assert got.std(axis=0) == pytest.approx(np.full(8, noise_uv(gain, rate_hz)), rel=0.06)
    assert np.abs(got.mean(axis=0)).max() < 4 * noise_uv(gain, rate_hz) / np.sqrt(2000)
    assert np.ptp(got, axis=0) == pytest.approx(
        np.full(8, 7 * noise_uv(gain, rate_hz)), rel=0.25
    )  # facts: 7 x


def test_noise_is_white_and_apart_per_channel() -> None:
    got = shorted(4000)
    across = np.corrcoef(got.T) - np.eye(8)
    assert np.abs(across).max() < 0.07
    for lag in (1, 2, 255, 256, 257):  # drawn in blocks of 256
        along = np.mean(got[lag:, 0] * got[:-lag, 0]) / got[:, 0].var()
        assert abs(along) < 0.07


def test_noise_is_the_seeds() -> None:
    assert np.array_equal(shorted(600, seed=5), shorted(600, seed=5))
    assert not np.array_equal(shorted(20, seed=5), shorted(20, seed=6))


def test_two_chips_have_noise_of_their_own() -> None:
    two = board(noise=True, chips=(ADS1299, ADS1299))
    programs = [Program(two, k).set_up(channels=0x61) for k in (0, 1)]
    two.set_start(True)
    programs[0].edge()
    assert programs[0].frame() != programs[1].frame()


def test_powered_down_channels_have_none_and_exact_boards_neither() -> None:
    program = Program(board(noise=True)).set_up(channels=0x61)
    program.write(0x05, 0x81)
    got = program.start().counts(50)
    assert not got[:, 0].any()
    assert got[:, 1].any()
    assert not Program(board()).set_up(channels=0x61).start().counts(50).any()


def test_the_older_family_has_noise_too() -> None:
    program = Program(board(noise=True, chips=(ADS1298,)))
    program.set_up(config1=0x86, channels=0x61, config3=0xC0, srb1=False)  # 500 SPS, gain 12, shorted
    got = program.start().counts(1000) * lsb_uv(12, 2.4)
    assert got.std(axis=0) == pytest.approx(np.full(8, noise_uv(12, 500)), rel=0.1)
