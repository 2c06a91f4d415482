"""The notation of derivations: what each form weighs, and what each mistake is told as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.derivations import UnknownElectrodeError, derive

CHANNELS = ("CP3", "CP4", "A1", "A2", "EEG CP3-Ref", "TA", "TA-ref")


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("CP4", {"CP4": 1}),
        (" CP4 - CP3 ", {"CP4": 1, "CP3": -1}),
        ("EEG CP3-Ref", {"EEG CP3-Ref": 1}),
        ("EEG CP3-Ref-CP4", {"EEG CP3-Ref": 1, "CP4": -1}),
        ("TA-ref", {"TA-ref": 1}),
        ("TA-TA-ref", {"TA": 1, "TA-ref": -1}),
        ("CP3-(A1+A2)/2", {"CP3": 1, "A1": -0.5, "A2": -0.5}),
        ("(CP3 + CP4)/2-A1", {"CP3": 0.5, "CP4": 0.5, "A1": -1}),
        ("CP3-(CP3+CP4)/2", {"CP3": 0.5, "CP4": -0.5}),
    ],
)
def test_weights(name, weights):
    derivation = derive(name, CHANNELS)
    assert dict(zip(CHANNELS, derivation.weights, strict=True)) == dict.fromkeys(CHANNELS, 0) | weights
    assert derivation.name == name.strip()


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("Cz", ("Cz",)),
        ("CP4-Fz", ("Fz",)),
        ("Fz-CP4", ("Fz",)),
        ("Fz-Cz", ("Fz", "Cz")),
        ("CP3-(A1+M2)/2", ("M2",)),
        ("CP3-(A1+A2)/3", ("(A1+A2)/3",)),
        ("CP3-(A1+A1)/2", ("(A1+A1)/2",)),
        ("EEG CP3-Ref-Fz", ("Fz",)),
        ("", ("",)),
    ],
)
def test_missing_electrodes_are_named(name, missing):
    with pytest.raises(UnknownElectrodeError) as caught:
        derive(name, CHANNELS)
    assert caught.value.names == missing


@pytest.mark.parametrize(
    ("name", "channels", "what"),
    [
        ("a-b-c", ("a", "b-c", "a-b", "c"), "two ways"),
        ("CP3-CP3", CHANNELS, "from itself"),
        ("-" * 100_000, CHANNELS, "longer than"),
    ],
)
def test_names_that_mean_nothing(name, channels, what):
    with pytest.raises(ValueError, match=what):
        derive(name, channels)


@given(st.sampled_from(CHANNELS), st.sampled_from(CHANNELS))
def test_active_minus_reference_for_any_two_channels(active, reference):
    if active == reference:
        with pytest.raises(ValueError, match="itself"):
            derive(f"{active}-{reference}", CHANNELS)
        return
    name = f"{active}-{reference}"
    weights = dict(zip(CHANNELS, derive(name, CHANNELS).weights, strict=True))
    if name not in CHANNELS:
        assert weights == dict.fromkeys(CHANNELS, 0) | {active: 1, reference: -1}
