"""What a case may ask of a test's course: the best derivation, a virtual one, mains out, droop back."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest

from dsp import droop
from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.case import Case
from hostd.daemon import configure_message
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hw.link import Description
from hw.model.scenario import Change, NoiseChange, Scenario
from hw.samples import Gap, SampleBlock
from tests.support.lockstep import start

RATE_HZ = 4000
HZ = 4.703
FALL_S = 20.0
CALM = NoiseChange(0.0, emg=0.1, mains=0.1, eeg=0.3)
QUIET = NoiseChange(0.0, emg=0.02, mains=0.02, eeg=0.1)


def case_of(keys: str, derivations: str = '"CPz-Fpz", "CP3-CP4"') -> Case:
    """The left median nerve alone, its cortical response first in a derivation that shows it badly."""
    return casefile.parse(
        f"""name = "x"
[acquisition]
rate_hz = {RATE_HZ}
channels = ["CP3", "CP4", "CPz", "Fpz", "C5S", "EPL", "EPR"]
[test.x]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = {HZ}
sweeps = 64
baseline_sweeps = 64
derivations = [{derivations}]
{keys}
[[test.x.peak]]
name = "N20"
polarity = "negative"
window_ms = [17, 24]
to_ms = [20, 30]
""",
        "x.toml",
    )


@cache
def recorded(seconds: float, stimulus_hz: float, scenario: Scenario) -> tuple[Description, list[SampleBlock]]:
    """What the edge sends of such a case; the keys that are tested here change nothing of it."""
    source = SimulatedSource(None, seconds, 1, scenario)
    case = at(stimulus_hz, case_of(""))
    description = source.configure(configure_message(case))
    start(source, case, description)
    blocks: list[SampleBlock] = []
    source.run(lambda i: blocks.append(i) if isinstance(i, SampleBlock) else None, threading.Event())
    return description, blocks


def at(stimulus_hz: float, case: Case, sweeps: int | None = None) -> Case:
    """`case` at another rate, with other averages."""
    return replace(
        case,
        tests=tuple(
            replace(
                t,
                stimulus_hz=stimulus_hz,
                sweeps=sweeps or t.sweeps,
                baseline_sweeps=sweeps or t.baseline_sweeps,
            )
            for t in case.tests
        ),
    )


def played(case: Case, description: Description, blocks: Sequence[SampleBlock]) -> list[Outgoing]:
    """Every message of the case over these samples."""
    pipeline = Pipeline(case, description)
    messages = pipeline.command("test.start", {"test": "x", "author": ""})
    for block in blocks:
        messages += pipeline.feed(block)
    return messages + pipeline.finish()


@cache
def fallen(keys: str) -> tuple[Outgoing, ...]:
    fall = Change(FALL_S, site="left median", response="cortical", amplitude=0.5)
    return tuple(played(case_of(keys), *recorded(36.0, HZ, Scenario((fall,), (CALM,)))))


def of(messages: tuple[Outgoing, ...] | list[Outgoing], kind: str) -> list[dict[str, Any]]:
    return [dict(m.fields) for m in messages if m.topic == f"{kind}.x"]


def test_the_best_derivation_is_followed_and_the_standard_one_stays_beside_it() -> None:
    """Upside down (CP3-CP4): its peak has the same name, is present, and its fall is found."""
    last = of(fallen(""), "measure")[-1]
    choice = last["choice"]
    assert choice["standard"] == "CPz-Fpz" and choice["chosen"] == choice["followed"] != "CPz-Fpz", choice
    (peak,) = choice["peaks"]
    assert peak["name"] == "N20" and peak["present"] and peak["derivation"] == choice["followed"]
    assert peak["baseline_amplitude_uv"] > 1.5 * peak["amplitude_uv"] and peak["change_pct"] < -30.0
    assert (
        choice["change"]["derivation"] == choice["followed"] and choice["change"]["alarm"]["fixed"]["alarm"]
    )
    assert choice["change"]["fixed"]["ratio_ci"][1] < 0.8
    (standard,) = last["peaks"]
    assert standard["derivation"] == "CPz-Fpz" and last["change"]["derivation"] == "CPz-Fpz"


def test_the_verdict_is_of_the_derivation_that_is_followed() -> None:
    """Which needs fewer sweeps for it: there it is decided while nothing can be said of the standard."""
    noisy = Scenario((), (NoiseChange(0.0, emg=0.15, mains=0.1, eeg=0.5),))

    def decided_after(keys: str) -> int:
        told = played(case_of(keys), *recorded(14.0, HZ, noisy))
        verdicts = [m["verdict"] for m in of(told, "measure")]
        present = [v["n_sweeps"] for v in verdicts if v and v["decision"] == "present"]
        return min(present, default=1000)

    assert decided_after("") < decided_after('choice = "standard"')


def test_a_case_that_keeps_to_the_standard_is_told_the_best_all_the_same() -> None:
    last = of(fallen('choice = "standard"'), "measure")[-1]["choice"]
    assert last["followed"] == "CPz-Fpz" != last["chosen"]
    assert last["peaks"] == [] and last["change"] is None


def test_a_virtual_channel_is_learnt_from_other_sweeps_than_it_shows() -> None:
    messages = fallen('virtual = "dss"')
    averages, measures = of(messages, "average"), of(messages, "measure")
    until = of(messages, "baseline")[0]["last_index"]
    for average, measure in zip(averages, measures, strict=True):
        if measure["virtual"] is None or average["virtual_uv"] is None:
            assert average["n_sweeps"] < 16
            continue
        learnt = measure["virtual"]["learnt"]
        assert (learnt == "baseline") == (average["first_index"] > until)
        assert (measure["virtual"]["weights"] is None) == (learnt == "halves")
        assert average["virtual_uv"].shape == average["mean_uv"].shape[:1]
    assert {m["virtual"]["learnt"] for m in measures if m["virtual"]} == {"halves", "baseline"}
    before = next(m for m, a in zip(measures, averages, strict=True) if a["last_index"] == until)
    (peak,) = before["virtual"]["peaks"]
    assert peak["present"] and peak["name"] == "N20" and peak["derivation"] == "virtual"
    (fell,) = measures[-1]["virtual"]["peaks"]
    assert fell["baseline_amplitude_uv"] and fell["change_pct"] < -30.0
    plain = of(fallen(""), "average")
    assert plain[-1]["virtual_uv"] is None
    assert np.array_equal(plain[-1]["mean_uv"], averages[-1]["mean_uv"]), "the real traces stay as they are"


@pytest.mark.parametrize(("stimulus_hz", "kept"), [(5.0, 0.5), (4.703, 0.1)])
def test_mains_goes_out_before_the_filter_and_the_response_stays(stimulus_hz: float, kept: float) -> None:
    """At 5 Hz, which mains of 50 Hz lock to, the average is full of it; at 4.703 Hz its noise is. What mains
    wander in ten seconds cannot be foretold and stays: a tenth of a loud one, locked."""
    loud = NoiseChange(0.0, emg=0.02, mains=4.0, eeg=0.1)

    def told(mains: str, seconds: float, noise: NoiseChange) -> tuple[Any, Any]:
        case = at(stimulus_hz, case_of(f'mains = "{mains}"', '"CP4-CP3"'), 48)
        messages = played(case, *recorded(seconds, stimulus_hz, Scenario((), (noise,))))
        return of(messages, "average")[-1], of(messages, "measure")[-1]

    left, without = told("leave", 30.0, loud)
    fitted, with_fit = told("fit", 30.0, loud)
    clean, true = told("leave", 11.0, QUIET)
    assert without["mains_fit"] is None
    assert with_fit["mains_fit"]["subtracted"] == [True]
    assert with_fit["mains_fit"]["hz"] == pytest.approx(50.0, abs=0.1)
    assert with_fit["mains_fit"]["amplitude_uv"][0][0] > 5.0
    if stimulus_hz == 5.0:
        error, locked = (float(np.std(a["mean_uv"] - clean["mean_uv"])) for a in (fitted, left))
        assert error < 0.1 * locked
    else:
        assert fitted["noise_uv"][0] < 0.3 * left["noise_uv"][0]
    (peak,), (real,) = with_fit["peaks"], true["peaks"]
    assert peak["present"] and peak["amplitude_uv"] == pytest.approx(real["amplitude_uv"], rel=kept)
    assert peak["latency_ms"] == pytest.approx(real["latency_ms"], abs=0.7)


def test_a_response_at_a_rate_that_mains_lock_to_is_kept_out_of_the_fit() -> None:
    """Else its own share at 50 Hz and harmonics would be taken for mains: 4 % of it instead of 1.5."""
    sent = recorded(30.0, 5.0, Scenario((), (QUIET,)))

    def last(mains: str) -> Any:
        case = at(5.0, case_of(f'mains = "{mains}"', '"CP4-CP3"'), 48)
        return of(played(case, *sent), "average")[-1]["mean_uv"][:, 0]

    left, fitted = last("leave"), last("fit")
    rows = slice(100, 200)  # 15 to 40 ms, where the response is
    assert 0.0 < float(np.std((fitted - left)[rows])) < 0.025 * float(np.ptp(left[rows]))


def test_with_all_of_it_on_the_messages_do_not_hang_on_how_samples_are_cut() -> None:
    """Blocks of 10 ms as they come live, with a gap, and of a second as a replay reads: the same bits."""
    case = case_of('virtual = "dss"\nmains = "fit"\ndroop = "compensate"')
    noise = NoiseChange(0.0, emg=0.1, mains=1.0, eeg=0.3)
    description, sent = recorded(18.0, HZ, Scenario((), (noise,)))
    blocks = list(sent)
    lost = len(blocks) // 3
    gap = Gap(blocks[lost].first_index, len(blocks[lost].counts), "missed")
    blocks[lost + 1] = replace(blocks[lost + 1], gaps=(gap,))
    del blocks[lost]

    def plain(pieces: list[SampleBlock]) -> list[tuple[str, int, bytes]]:
        messages = played(case, description, pieces)
        return [(m.topic, m.index, repr(_plain(m.fields)).encode()) for m in messages]

    seconds = [_joined(run) for part in (blocks[:lost], blocks[lost:]) for run in _hundreds(part)]
    live, again = plain(blocks), plain(seconds)
    for kind in ("average.x", "measure.x", "sweep.x", "baseline.x"):
        assert [m for m in live if m[0] == kind] == [m for m in again if m[0] == kind]
    assert b"'subtracted': [True, True]" in live[-1][2] or b"'subtracted': [True, True]" in live[-2][2]


def _hundreds(blocks: list[SampleBlock]) -> Iterator[list[SampleBlock]]:
    them = iter(blocks)
    while run := list(islice(them, 100)):
        yield run


def _joined(blocks: list[SampleBlock]) -> SampleBlock:
    counts, bits = (np.concatenate([getattr(b, k) for b in blocks]) for k in ("counts", "trigger_bits"))
    return SampleBlock(blocks[0].first_index, counts, bits, 0, blocks[0].gaps)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in fields.items()}


def test_the_converters_droop_is_given_back_to_the_finished_average() -> None:
    sent = recorded(8.0, HZ, Scenario((), (QUIET,)))

    def last(keys: str) -> dict[str, Any]:
        return of(played(case_of(f"band_hz = [30, 1500]\n{keys}"), *sent), "average")[-1]

    left, given = last(""), last('droop = "compensate"')
    wanted = droop.compensate(left["mean_uv"], droop.design())
    assert given["mean_uv"] == pytest.approx(wanted, abs=1e-5)
    assert all(a > b for a, b in zip(given["noise_uv"], left["noise_uv"], strict=True))
    assert given["halves_uv"] == pytest.approx(droop.compensate(left["halves_uv"], droop.design()), abs=1e-5)


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        ('choice = "all"', '"best" or "standard"'),
        ('virtual = "pca"', '"off" or "dss"'),
        ('mains = "notch"', '"leave" or "fit"'),
        ('droop = "on"', '"leave" or "compensate"'),
        ('mains = "fit"\nresponse_ms = 150', 'lower rate_hz, or write mains = "leave"'),
    ],
)
def test_what_cannot_be_is_told_with_its_cure(keys: str, cure: str) -> None:
    with pytest.raises(ValueError, match=r"x.toml:\d+: ") as error:
        case_of(keys)
    assert cure in str(error.value)


def test_a_virtual_channel_of_one_derivation_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to make a virtual channel of"):
        case_of('virtual = "dss"', '"CP4-CP3"')
