"""The library of modalities: every file is whole, says where it is from, and the patient has it."""

import tomllib
from pathlib import Path

import pytest

from hostd import casefile
from hostd.errors import CaseFileError
from hostd.explain import explain
from hostd.modalities import MODALITIES, fill
from hw.chips import ADS1299
from hw.model.body import ELECTRODES
from hw.model.sites import SITES

FILES = sorted((Path(__file__).parents[2] / "hostd" / "protocols").glob("*.toml"))
SHIPPED = [name for name in MODALITIES if name != "custom"]


# Left out where a case has no room for all of them.
FEW = ("DEL", "BIC", "TRI", "ADD", "OO", "MEN", "MAS", "TON", "VOC", "TRA")


def smallest(name: str, extra: str = "", channels: list[str] | None = None, rate: str = "") -> str:
    """A case of one test of `name` on the left, with every electrode that its derivations name."""
    modality = MODALITIES[name]
    if channels is None:
        wanted = [fill(template, "left").split("|")[0] for template in modality.derivations]
        parts = [part for one in wanted for part in one.replace("(A1+A2)/2", "A1-A2").split("-")]
        channels = list(dict.fromkeys(parts))
    if modality.protocol.kind in ("emg", "eeg"):
        listed = (
            [channel for channel in channels if not channel.startswith(FEW)]
            if len(channels) > 32
            else channels
        )
        return (
            f'name = "{name}"\n[acquisition]\n{rate}channels = {listed}\n'.replace("'", '"')
            + f'[test.x]\nmodality = "{name}"\n{extra}'
        )
    roots = modality.protocol.roots
    root = f'root = "{roots[0]}"\n' if roots else ""
    area = "area_cm2 = 0.04\n" if modality.stimulus.kind == "cortical" else ""
    area += (
        "current_ma = 5\n" if modality.stimulus.kind == "cortical" and not modality.stimulus.steps_ma else ""
    )
    return (
        f'name = "{name}"\n[acquisition]\n{rate}channels = {channels}\n'.replace("'", '"')
        + f'[test.x]\nmodality = "{name}"\nside = "left"\nline = 1\n{root}{area}{extra}'
    )


def test_every_file_is_a_modality_and_custom_is_the_last() -> None:
    assert {file.stem for file in FILES} == set(MODALITIES) and list(MODALITIES)[-1] == "custom"
    assert len(MODALITIES) == len(FILES) and "nothing" not in MODALITIES
    with pytest.raises(KeyError):
        MODALITIES["nothing"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_protocol_says_where_it_is_from_and_what_to_ask(name: str) -> None:
    protocol = MODALITIES[name].protocol
    assert protocol.title and protocol.about.endswith(".") and protocol.sources
    document = tomllib.loads(next(file for file in FILES if file.stem == name).read_text("utf-8"))
    known = {*document["test"], "current_ma", "volts", "area_cm2", "root", "alert", "peak", "drop_pct"}
    assert set(protocol.ask) <= known
    assert 0 < protocol.needs_hz <= protocol.wants_hz and protocol.wants_hz in ADS1299.rates_hz
    # Half of what is needed would not carry the band's middle.
    low, high = MODALITIES[name].band_hz or (0.0, 0.0)
    assert low < 0.45 * protocol.needs_hz and 0.45 * protocol.wants_hz >= high
    assert protocol.keeps_hz >= 2 * high


@pytest.mark.parametrize("name", SHIPPED)
def test_peaks_lead_control_and_are_ruled_by_what_is_there(name: str) -> None:
    modality = MODALITIES[name]
    peaks = {peak.name: peak for peak in modality.peaks}
    assert modality.defaults.leading in {*peaks, None} and modality.defaults.control in {*peaks, None}
    assert {rule.peak for rule in modality.rules} <= set(peaks) and all(
        rule.source for rule in modality.rules
    )
    assert modality.rules or name == "phase_reversal" or modality.protocol.kind != "average"
    for peak in peaks.values():
        low, high = peak.window_ms
        assert peak.normal.latency_ms is not None and low <= peak.normal.latency_ms[0]
        assert peak.normal.latency_ms[1] <= high


@pytest.mark.parametrize("name", SHIPPED)
def test_a_case_of_three_keys_is_whole_and_the_patient_has_what_it_names(name: str) -> None:
    case = casefile.parse(smallest(name), "x.toml")
    assert case.rate_hz == MODALITIES[name].protocol.wants_hz
    if case.watches:
        (watch,) = case.watches
        assert set(case.channels) <= set(ELECTRODES) and watch.kind == MODALITIES[name].protocol.kind
        assert not case.tests and len(watch.derivations) >= 4
        return
    (plan,) = case.tests
    assert set(case.channels) <= set(ELECTRODES) and plan.site in SITES
    assert {peak.name for peak in plan.peaks} == {peak.name for peak in MODALITIES[name].peaks}
    if plan.kind == "average":
        assert plan.leading is not None and plan.peaks[plan.leading].derivation == 0
    else:
        assert plan.response is not None and plan.smallest_uv > 0
    assert len(plan.normals) == len(plan.peaks)


@pytest.mark.parametrize("name", SHIPPED)
def test_sampling_too_slowly_is_refused_with_what_is_needed(name: str) -> None:
    needs_hz = MODALITIES[name].protocol.needs_hz
    if needs_hz == min(ADS1299.rates_hz):
        return
    slow = max(rate for rate in ADS1299.rates_hz if rate < needs_hz)
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(smallest(name, rate=f"rate_hz = {slow:g}\n"), "x.toml")
    (fault,) = [one for one in caught.value.faults if " needs " in one and "samples/s, this" in one]
    assert fault.startswith("x.toml:6: [test.x] modality: ") and f"needs {needs_hz:g} samples/s" in fault
    assert f"this case has {slow:g}; write [acquisition] rate_hz higher or leave it out" in fault


def test_the_most_demanding_test_decides_the_rate_and_each_keeps_what_it_needs() -> None:
    two = smallest("median_ssep", channels=["CP3", "CP4", "Cz", "A1"])
    two += '[test.ear]\nmodality = "baep"\nside = "left"\nline = 2\n'
    case = casefile.parse(two, "x.toml")
    assert case.rate_hz == 16000
    assert [test.keeps_hz for test in case.tests] == [8000, 16000]


def test_a_written_band_may_be_had_with_slower_sampling() -> None:
    extra = "band_hz = [100, 1500]\n"
    assert casefile.parse(smallest("baep", extra, rate="rate_hz = 4000\n"), "x.toml").rate_hz == 4000


@pytest.mark.parametrize(
    ("name", "extra", "words"),
    [
        (
            "dermatomal_leg",
            'root = "C6"',
            "[test.x] root: C6 is no root of dermatomal_leg; choose from L4, L5, S1",
        ),
        ("median_ssep", 'root = "L5"', "[test.x] root: L5 is no root of median_ssep; leave it out"),
        (
            "median_ssep",
            'leading = "P25"',
            "[test.x] leading: P25 is no peak of this test; choose from N9, N13, N20",
        ),
        (
            "median_ssep",
            'leading = "N9"',
            "leading: peak N9 is not of the first derivation; name one that is",
        ),
        ("median_ssep", 'control = "N8"', "control: N8 is no peak of this test; did you mean 'N9'?"),
        (
            "median_ssep",
            'peak = []\ncontrol = "N9"',
            "control: this test has no peak, N9 neither; write peaks",
        ),
        (
            "median_ssep",
            "[[test.x.alert]]\namplitude_fall_pct = 50",
            "alert 1 peak: missing; write which peak",
        ),
        (
            "median_ssep",
            '[[test.x.alert]]\npeak = "N20"',
            "alert 1: no limit; write one of amplitude_fall_pct",
        ),
        (
            "median_ssep",
            '[[test.x.alert]]\npeak = "N20"\nlatency_rise_ms = 1\nlatency_rise_pct = 1',
            "alert 1: 2 limits; write one of",
        ),
        (
            "median_ssep",
            '[[test.x.alert]]\npeak = "N20"\namplitude_fall_pct = 150',
            "alert 1 amplitude_fall_pct: nothing falls by 150 %; write one above 0",
        ),
        (
            "median_ssep",
            '[[test.x.alert]]\npeak = "N21"\nlatency_rise_ms = 1',
            "alert 1 peak: N21 is no peak",
        ),
        (
            "median_ssep",
            '[[test.x.peak]]\nname = "N"\npolarity = "negative"\nwindow_ms = [17, 24]\nnormal_ms = [2, 1]',
            "peak 1 normal_ms: 2..1 is no range; write [least, most]",
        ),
    ],
)
def test_what_contradicts_itself_is_one_line_with_its_cure(name: str, extra: str, words: str) -> None:
    text = smallest(name, extra)
    if extra.startswith("root") and name == "dermatomal_leg":
        text = text.replace('root = "L4"\n', "")
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(text, "x.toml")
    (fault,) = caught.value.faults
    assert words in fault and "\n" not in fault


def test_a_root_must_be_named_and_names_the_site() -> None:
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(smallest("dermatomal_leg").replace('root = "L4"\n', ""), "x.toml")
    assert 'root: missing, and dermatomal_leg is of one; write root = "L4"' in caught.value.faults[0]
    text = smallest("dermatomal_leg").replace('"L4"', '"S1"')
    assert casefile.parse(text, "x.toml").tests[0].site == "left S1"


def test_what_is_written_wins_and_the_rest_stays() -> None:
    written = 'control = "none"\nleading = "I"\nsharpen = "wiener"\nalert = []\n'
    (plan,) = casefile.parse(smallest("baep", written), "x.toml").tests
    assert (plan.control, plan.leading, plan.sharpen, plan.rules) == (None, 0, "wiener", ())
    (usual,) = casefile.parse(smallest("baep"), "x.toml").tests
    assert usual.leading == 4 and usual.control is None and len(usual.rules) == 4
    (skin,) = casefile.parse(smallest("dermatomal_arm"), "x.toml").tests
    assert skin.sharpen == "low-pass"  # a default of the protocol beyond the common ones


def test_an_average_without_a_filter_shows_what_was_recorded() -> None:
    for name, blank_ms in (("baep", 1.0), ("median_ssep", MODALITIES["median_ssep"].blank_ms)):
        assert blank_ms > 0
        for extra, wanted in (
            ("", blank_ms),
            ('band_hz = "off"\n', 0.0),
            ('band_hz = "off"\nblank_ms = 2\n', 2.0),
        ):
            (plan,) = casefile.parse(smallest(name, extra), "x.toml").tests
            assert plan.blank_ms == wanted
            text = " ".join(" ".join(explain(casefile.parse(smallest(name, extra), "x.toml"))).split())
            assert (f"blank_ms {wanted:g} " in text) is (wanted > 0)


def test_an_earphone_has_no_tube() -> None:
    (tube,) = casefile.parse(smallest("baep"), "x.toml").tests
    (phone,) = casefile.parse(smallest("baep", "delay_ms = 0\n"), "x.toml").tests
    assert [peak.name for peak in phone.peaks] == ["I", "II", "III", "IV", "V"]
    for one, other, usual, moved in zip(tube.peaks, phone.peaks, tube.normals, phone.normals, strict=True):
        for here, there in (
            (one.window_ms, other.window_ms),
            (one.to_ms, other.to_ms),
            (usual.latency_ms, moved.latency_ms),
        ):
            assert there == pytest.approx([ms - 0.9 for ms in here])
        assert usual.amplitude_uv == moved.amplitude_uv


@pytest.mark.parametrize(
    ("name", "extra", "words"),
    [
        ("median_ssep", "delay_ms = 1", "delay_ms: median_ssep has no delay between trigger and stimulus"),
        ("tcmep", "delay_ms = 1", "delay_ms: tcmep reads single responses"),
        ("baep", "delay_ms = -1", "delay_ms: -1 ms is no way to an ear; write 0 to 5"),
        ("baep", "delay_ms = 0\npeak = []", "moves the modality's peaks, and the test has its own"),
    ],
)
def test_a_delay_is_of_what_sounds(name: str, extra: str, words: str) -> None:
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(smallest(name, extra), "x.toml")
    assert len(caught.value.faults) == 1 and words in caught.value.faults[0]


def test_the_reference_names_every_modality_with_its_rates() -> None:
    reference = (FILES[0].parents[1] / "CASEFILE.md").read_text("utf-8")
    rows = [row for row in reference.splitlines() if row.startswith("| `")]
    for name in MODALITIES:
        (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        protocol = MODALITIES[name].protocol
        if protocol.wants_hz:
            assert f"{protocol.needs_hz:g}" in row and row.rstrip(" |").endswith(f"{protocol.wants_hz:g}"), (
                name
            )
