"""Tapers and quantiles are scipy's; the covariance of neighbouring bins is what noise shows."""

import numpy as np
import pytest
from scipy.signal.windows import dpss as scipys
from scipy.special import polygamma
from scipy.stats import chi2

from dsp.tapers import Z_95, between_bins, chi_square_share, dpss, log_variance


@pytest.mark.parametrize("samples", [16, 64, 333, 1000])
@pytest.mark.parametrize(("half_bandwidth", "tapers"), [(1.5, 3), (2.0, 4), (3.0, 5)])
def test_tapers_are_scipys(samples: int, half_bandwidth: float, tapers: int) -> None:
    made = dpss(samples, half_bandwidth, tapers)
    assert np.allclose(made, scipys(samples, half_bandwidth, tapers), rtol=0, atol=1e-10)
    assert np.allclose(made @ made.T, np.eye(tapers), atol=1e-12)


def test_tapers_that_are_not_there_are_refused() -> None:
    for samples, half_bandwidth, tapers in ((4, 1.0, 1), (100, 2.0, 5), (100, 25.0, 3), (100, 2.0, 0)):
        with pytest.raises(ValueError, match="tapers of half-bandwidth"):
            dpss(samples, half_bandwidth, tapers)


def test_neighbouring_bins_share_as_much_noise_as_is_told() -> None:
    tapers = dpss(200, 2.0, 3)
    noise = np.random.default_rng(1).standard_normal((4000, 200))
    density = np.mean(np.abs(np.fft.rfft(tapers[:, None] * noise)) ** 2, axis=0)[:, 10:90]
    told = between_bins(tapers, 1.0, 6)
    for lag in range(6):
        products = (density[:, lag:] - 1.0) * (density[:, : density.shape[1] - lag] - 1.0)
        assert products.mean() == pytest.approx(told[lag], abs=0.01)
    assert told[0] == pytest.approx(1 / 3) and told[1] > 0.1


def test_quantiles_and_variances_of_logs() -> None:
    freedom = np.array([6.0, 10.0, 30.0, 100.0])
    for probability, z in ((0.025, -Z_95), (0.975, Z_95)):
        assert chi_square_share(freedom, z) == pytest.approx(
            chi2.ppf(probability, freedom) / freedom, rel=0.03
        )
    assert log_variance(2.0 / freedom) == pytest.approx(polygamma(1, freedom / 2), rel=0.01)
