"""A lead that is off shows no body, a loose one crackles on top of it; the reference is everyone's."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.contacts import Contact, ElectrodeChange
from hw.model.discharges import Discharge
from hw.model.heart import Heart
from hw.model.patient import Patient
from hw.model.scenario import Electrosurgery, Scenario
from hw.model.sources import Background

Floats = NDArray[np.float64]
ELECTRODES = ("CP3", "CP4", "APBL1", "Fpz")
RATE_HZ = 1000.0


def made(
    records: tuple[ElectrodeChange, ...],
    seconds: float = 8.192,
    seed: int = 1,
    chunk_samples: int = 256,
    electrodes: tuple[str, ...] = ELECTRODES,
    **options: object,
) -> Floats:
    source = Background(
        electrodes,
        RATE_HZ,
        seed,
        delay_samples=1.5,
        mains_hz=50.0,
        electrode=records,
        chunk_samples=chunk_samples,
        **options,  # type: ignore[arg-type]
    )
    return np.hstack([source.next_uv() for _ in range(int(seconds * RATE_HZ) // chunk_samples)])


def line_uv(uv: Floats, hz: float) -> float:
    """Amplitude of a line in whole seconds."""
    at_s = np.arange(len(uv)) / RATE_HZ
    window = np.hanning(len(uv))
    turned = (uv - uv.mean()) * window * np.exp(-2j * np.pi * hz * at_s)
    return float(2 * np.abs(turned.sum()) / window.sum())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lead_that_is_off_floats_and_knows_nothing_of_the_body(seed: int) -> None:
    off = (ElectrodeChange(2.0, "CP4", "off"), ElectrodeChange(6.0, "CP4", "ok"))
    uv, sound = made(off, seed=seed), made((), seed=seed)
    assert np.array_equal(uv[[0, 2, 3]], sound[[0, 2, 3]])
    assert np.array_equal(uv[1, :2002], sound[1, :2002]) and np.array_equal(uv[1, 6002:], sound[1, 6002:])
    floating = uv[1, 2002:6001]
    assert 45.0 < line_uv(floating, 50.0) < 210.0
    assert np.ptp(floating) > 300.0
    loud = made(off, seed=seed, emg=(Discharge(0.0, 8.0, "all", "tonic"),), heart=(Heart(0.0, scale=50.0),))
    assert np.array_equal(loud[1, 2002:6001], floating)
    assert abs(floating.mean()) < 25_000.0 < 1000.0 * 60


def test_a_response_does_not_reach_a_lead_that_is_off_and_others_keep_it() -> None:
    def response_uv(records: tuple[ElectrodeChange, ...], at_s: float) -> Floats:
        rows = []
        for pulses in (True, False):
            patient = Patient(("CP3", "CP4"), RATE_HZ, scenario=Scenario(electrode=records))
            patient.read(0)
            if pulses:
                patient.stimulate(at_s * RATE_HZ, "left median")
            rows.append(np.array([patient.read(k) for k in range(1, 3000)]))
        return 1e6 * (rows[0] - rows[1])

    off = (ElectrodeChange(1.02, "CP4", "off"),)
    here = response_uv(off, 2.0)
    assert not here[:, 1].any() and np.ptp(here[:, 0]) > 0.5
    # Twenty milliseconds before: what came until then is there.
    across, whole = response_uv(off, 1.0), response_uv((), 1.0)
    assert np.array_equal(across[:1021], whole[:1021]) and not across[1021:, 1].any()
    assert whole[1022:, 1].any() and np.array_equal(across[:, 0], whole[:, 0])


def test_a_loose_lead_is_the_body_with_steps_crackle_and_noise() -> None:
    loose = (ElectrodeChange(1.0, "CP3", "loose"),)
    uv, sound = made(loose, 40.96), made((), 40.96)
    assert np.array_equal(uv[1:], sound[1:])
    extra = (uv - sound)[0, 1002:]
    assert not (uv - sound)[0, :1001].any()
    # Crackle lifts all differences of its pieces; a step lifts one, and stays in means over two mains cycles.
    quick = np.median(np.abs(np.diff(extra))[:39_800].reshape(-1, 40), axis=1)
    assert 0.02 < np.mean(quick > 3 * np.median(quick)) < 0.3
    slow = extra[:39_800].reshape(-1, 40).mean(axis=1)
    assert 10 < np.count_nonzero(np.abs(np.diff(slow)) > 60.0) < 120
    assert extra[:39_800].reshape(-1, 200).std(axis=1).min() > 3.0
    assert 5.0 < line_uv(extra, 50.0) < 45.0


@pytest.mark.parametrize("condition", ["off", "loose"])
def test_the_references_trouble_is_on_all_leads_alike(condition: Contact) -> None:
    records = (ElectrodeChange(1.0, "reference", condition),)
    extra = made(records) - made(())
    assert np.allclose(extra, extra[0], rtol=0, atol=1e-9)
    assert not extra[:, :1001].any() and np.ptp(extra[0, 1002:]) > 50.0
    # A derivation between two leads does not see it.
    assert np.allclose((made(records)[0] - made(records)[1]), made(())[0] - made(())[1], rtol=0, atol=1e-6)


def test_trouble_from_the_start_is_there_in_the_first_row() -> None:
    assert abs(made((ElectrodeChange(0.0, "CP3", "off"),))[0, 0] - made(())[0, 0]) > 100.0


@pytest.mark.parametrize("condition", ["off", "loose"])
def test_chunks_and_other_electrodes_leave_no_trace(condition: Contact) -> None:
    records = (
        ElectrodeChange(0.503, "CP3", condition),
        ElectrodeChange(3.1, "CP3", "ok"),
        ElectrodeChange(4.2, "CP3", condition),
        ElectrodeChange(1.0, "reference", condition),
    )
    whole = made(records)
    for chunk_samples in (32, 1024):
        assert np.allclose(made(records, chunk_samples=chunk_samples), whole, rtol=0, atol=1e-6)
    alone = made(records, electrodes=("EPL", "CP3"))[1]
    assert np.allclose(alone, whole[0], rtol=0, atol=1e-6)
    assert not np.allclose(made(records, seed=2), whole, atol=1.0)


def test_the_knife_is_heard_by_a_lead_that_is_off() -> None:
    off = (ElectrodeChange(0.0, "CP3", "off"),)
    knife = made(off, electrosurgery=(Electrosurgery(1.0, 2.0),)) - made(off)
    assert knife[0, 1200:2800].std() > 1000.0


def test_the_scenario_tells_how_a_lead_lies() -> None:
    scenario = Scenario(
        electrode=(
            ElectrodeChange(2.0, "CP3", "off"),
            ElectrodeChange(5.0, "CP3", "ok"),
            ElectrodeChange(3.0, "reference", "off"),
            ElectrodeChange(3.0, "reference", "loose"),
        )
    )
    told = [scenario.contact_at("CP3", at_s) for at_s in (1.0, 2.0, 4.9, 5.0)]
    assert told == ["ok", "off", "off", "ok"]
    assert scenario.contact_at("reference", 9.0) == "loose" and scenario.contact_at("CP4", 9.0) == "ok"


@pytest.mark.parametrize(
    ("name", "condition", "words"),
    [
        ("Xz", "off", "name = 'Xz': electrode 'Xz' is not on the model patient"),
        (3, "off", "name = 3 is no name"),
        ("CP3", "wet", "condition = 'wet' is unknown; use one of: ok, loose, off"),
    ],
)
def test_what_no_lead_does_is_refused(name: object, condition: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as fault:
        ElectrodeChange(0.0, name, condition)  # type: ignore[arg-type]
    assert "\n" not in str(fault.value)
