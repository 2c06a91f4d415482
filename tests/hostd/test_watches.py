"""EMG and EEG through the pipeline: events, sound, waves, trends, and what is muted, for any blocks."""

import numpy as np
import pytest

from hostd import casefile, schema
from hostd.case import Case
from hostd.errors import CaseFileError
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.score.bedside import Shot, describe, monitored
from hw.model.anatomy import Lesion
from hw.model.discharges import Discharge
from hw.model.scenario import Electrosurgery, NoiseChange, Scenario
from hw.model.state import Anaesthesia

EMG = '[test.emg]\nmodality = "free_emg"\n'
EEG = '[test.eeg]\nmodality = "eeg"\n'
LEGS = "TAL1 TAL2 TAR1 TAR2"
HEAD = "F3 F4 P3 P4"
CALM = (NoiseChange(0.0, emg=0.4),)
HEADER = {"v", "boot", "seq", "case", "index", "t_ns", "utc_ns"}


def case_of(text: str, channels: str, rate: str = "") -> Case:
    listed = ", ".join(f'"{name}"' for name in channels.split())
    return casefile.parse(f'name = "x"\n[acquisition]\n{rate}channels = [{listed}]\n{text}', "x.toml")


def of(messages: list[Outgoing], topic: str) -> list[dict]:
    return [message.fields for message in messages if message.topic == topic]


TRAIN = Discharge(8.0, 2.0, "TAL", "A-train", 200.0)
BURST = Discharge(12.0, 0.1, "TAR", "burst", 200.0)


def test_a_train_is_told_while_it_lasts_and_at_its_end_with_its_seconds() -> None:
    case = case_of(EMG, LEGS)
    assert case.rate_hz == 8000 and not case.tests
    events = of(monitored(case, 14.0, 1, Scenario(noise=CALM, emg=(TRAIN, BURST)))[0], "emg")
    trains = [one for one in events if one["kind"] == "train" and one["peak_to_peak_uv"] > 100]
    assert [one["ongoing"] for one in trains] == [True] * (len(trains) - 1) + [False] and len(trains) >= 2
    assert {one["derivation"] for one in trains} == {"TAL1-TAL2"} and {one["train"] for one in trains} == {
        "A"
    }
    # Told within 0.8 s of its beginning, and the key of all its reports is one.
    assert trains[0]["end_index"] / 8000 < 8.8 and len({one["first_index"] for one in trains}) == 1
    last = trains[-1]
    assert last["first_index"] / 8000 == pytest.approx(8.0, abs=0.1)
    assert last["end_index"] / 8000 == pytest.approx(10.0, abs=0.15)
    assert last["a_train_s"] == pytest.approx(2.0, abs=0.3)
    assert last["text"].startswith("TAL1-TAL2: A-train, of 2.") and "A-trains 2" in last["text"].replace(
        "1.9", "2.0"
    )
    (burst,) = [one for one in events if one["kind"] == "burst" and one["derivation"] == "TAR1-TAR2"]
    assert burst["first_index"] / 8000 == pytest.approx(12.0, abs=0.06)


def test_stimuli_and_cautery_mute_and_are_told_as_muted() -> None:
    text = EMG + '[test.leg]\nmodality = "tibial_ssep"\nside = "left"\nline = 1\nderivations = ["CPz-Fpz"]\n'
    text += '[test.mep]\nmodality = "tcmep"\nside = "left"\nline = 2\nvolts = 500\n'
    case = case_of(text, "CPz Fpz " + LEGS)
    scenario = Scenario(noise=CALM, electrosurgery=(Electrosurgery(9.0, 1.0),))
    messages, _ = monitored(case, 14.0, 1, scenario, shots=[Shot(7.0, "mep"), Shot(12.0, "mep")])
    # Neither the answers to the stimuli nor the knife is activity of the muscle.
    assert [one for one in of(messages, "emg") if one["peak_to_peak_uv"] > 100] == []
    assert all(row["present"] for one in of(messages, "response.mep") for row in one["responses"])
    sound = of(messages, "emg.audio")
    at = np.array([one["first_index"] / 8000 for one in sound])
    heard = np.array([np.abs(one["samples"]).max() for one in sound])
    assert heard[(at > 9.3) & (at < 9.9)].max() == 0
    assert np.median(heard[(at > 5.5) & (at < 6.5)]) > 0


def test_the_sound_has_its_time_and_no_hole() -> None:
    messages, _ = monitored(
        case_of(EMG + "full_scale_uv = 200\n", LEGS), 12.0, 1, Scenario(noise=CALM, emg=(TRAIN,))
    )
    sound = of(messages, "emg.audio")
    firsts = [one["first_index"] for one in sound]
    assert firsts == list(range(firsts[0], firsts[0] + 160 * len(sound), 160))
    assert all(one["samples"].dtype == np.int16 and one["samples"].shape == (160,) for one in sound)
    heard = np.abs(np.concatenate([one["samples"] for one in sound]).astype(np.int32))
    during, before = heard[8000 * 8 + 1600 : 8000 * 10 - 800], heard[8000 * 5 : 8000 * 7]
    assert during.max() > 8000 and during.mean() > 4 * before.mean() and heard.max() < 32768


def test_one_muscle_may_be_listened_to() -> None:
    text = EMG + 'listen = ["TAR1-TAR2"]\n'
    messages, _ = monitored(case_of(text, LEGS), 11.0, 1, Scenario(noise=CALM, emg=(TRAIN,)))
    heard = np.abs(np.concatenate([one["samples"] for one in of(messages, "emg.audio")]).astype(np.int32))
    assert heard[8000 * 8 + 1600 : 8000 * 10].mean() < 2 * heard[8000 * 5 : 8000 * 7].mean()
    assert of(messages, "emg.audio")[0]["derivations"] == ["TAR1-TAR2"]


def test_the_wave_keeps_its_peaks() -> None:
    messages, _ = monitored(case_of(EMG, LEGS), 11.0, 1, Scenario(noise=CALM, emg=(TRAIN,)))
    waves = of(messages, "wave.emg")
    firsts = [one["first_index"] for one in waves]
    assert firsts == list(range(firsts[0], firsts[0] + 800 * len(waves), 800))
    assert all(one["uv"].shape == one["low_uv"].shape == (100, 2) and one["rows_per"] == 8 for one in waves)
    high, low = (np.concatenate([one[key] for one in waves])[8200:9800, 0] for key in ("uv", "low_uv"))
    assert np.all(high >= low) and np.max(high) - np.min(low) > 120


def test_blocks_of_any_size_give_the_same_messages() -> None:
    text = EMG + EEG + '[test.leg]\nmodality = "tibial_ssep"\nside = "left"\nline = 1\n'
    text += 'derivations = ["F3-F4"]\n'
    scenario = Scenario(noise=CALM, emg=(TRAIN,), electrosurgery=(Electrosurgery(6.0, 0.7),))
    case, seconds = case_of(text, HEAD + " " + LEGS), 11 * 8192 / 8000
    one, other = (monitored(case, seconds, 1, scenario, block=block)[0] for block in (256, 8192))
    for topic in ("emg", "emg.audio", "eeg", "spectrum", "wave.emg", "wave.eeg"):
        told, again = ([m for m in all_ if m.topic == topic] for all_ in (one, other))
        assert told and len(told) == len(again), topic
        for first, second in zip(told, again, strict=True):
            assert first.index == second.index and first.fields.keys() == second.fields.keys()
            for key, value in first.fields.items():
                if isinstance(value, np.ndarray):
                    real = value.dtype.kind == "f"
                    assert np.array_equal(value, second.fields[key], equal_nan=real), (topic, key)
                else:
                    assert value == second.fields[key], (topic, key)


def test_the_eeg_is_followed_every_second_with_its_suppression() -> None:
    deep = (Anaesthesia(0.0, depth=1.0), Anaesthesia(50.0, suppression=1.0))
    messages, _ = monitored(case_of(EEG, HEAD, "rate_hz = 500\n"), 120.0, 3, Scenario(anaesthesia=deep))
    trends = of(messages, "eeg")
    assert len(trends) == 116 and all(len(one["sef95_hz"]) == 2 for one in trends)
    early, late = trends[30], trends[-1]
    assert (
        6 < early["sef95_hz"][0][0] < 16
        and early["sef95_hz"][0][1] < early["sef95_hz"][0][0] < early["sef95_hz"][0][2]
    )
    assert early["pairs"] == [["F3-P3", "F4-P4"]] and abs(early["asymmetry"]["alpha"][0][0]) < 1.0
    assert early["suppression"]["ratio_pct"][0][0] is None or early["suppression"]["ratio_pct"][0][0] < 5
    assert late["suppression"]["ratio_pct"][0][0] > 90 and "suppressed" in late["text"]
    spectra = of(messages, "spectrum")
    assert len(spectra) == len(trends) and spectra[0]["density_db"].shape == (2, len(spectra[0]["hz"]))
    waves = of(messages, "wave.eeg")
    assert waves[0]["uv"].shape == (25, 2) and waves[0]["rows_per"] == 2 and waves[0]["low_uv"] is None


def test_a_side_that_loses_its_blood_is_told_against_a_baseline_that_set_itself() -> None:
    clamp = Scenario(lesion=(Lesion(200.0, "cortex", "right", severity=0.9),))
    messages, _ = monitored(case_of(EEG, HEAD, "rate_hz = 250\n"), 300.0, 2, clamp)
    (event,) = [one for one in of(messages, "event") if one["kind"] == "baseline"]
    assert event["text"].startswith("baseline of eeg set by itself: 180 s")
    trends = of(messages, "eeg")
    assert not any(one["ischaemia"]["told"] for one in trends[185:195])
    last = trends[-1]["ischaemia"]
    assert last["told"] and last["side"] == "right" and last["level"] in ("moderate", "severe")
    assert f"{last['level']} loss on the right" in trends[-1]["text"]


def test_cautery_is_no_eeg() -> None:
    knife = Scenario(electrosurgery=(Electrosurgery(10.0, 3.0),))
    messages, _ = monitored(case_of(EEG, HEAD, "rate_hz = 1000\n"), 24.0, 1, knife)
    spoilt = [m.index / 1000 for m in messages if m.topic == "eeg" and m.fields["artifact"] != ["", ""]]
    assert spoilt and 10.0 <= min(spoilt) <= 11.1 and max(spoilt) < 20.0
    assert all(one["sef95_hz"][0][0] is None for one in of(messages, "eeg") if one["artifact"][0])


def test_baselines_of_watches_are_commands_of_their_own() -> None:
    case = case_of(EEG + EMG, HEAD + " " + LEGS, "rate_hz = 2000\n")
    pipeline = Pipeline(case, describe(case))
    for test, words in (("eeg", "two minutes of EEG"), ("emg", "has no baseline")):
        with pytest.raises(ValueError, match=words):
            pipeline.command("baseline.set", {"test": test, "author": ""})
    with pytest.raises(ValueError, match="watched all the time"):
        pipeline.command("test.stop", {"test": "eeg", "author": ""})


def test_all_that_is_said_is_declared() -> None:
    case = case_of(EMG + EEG, HEAD + " " + LEGS)
    messages, _ = monitored(case, 11.0, 1, Scenario(noise=CALM, emg=(TRAIN,)))
    assert {m.topic for m in messages} >= {"emg", "eeg", "spectrum", "wave.emg", "wave.eeg", "emg.audio"}
    for message in messages:
        declared = set(schema.kind_of(message.topic).__struct_fields__)
        assert set(message.fields) <= declared <= set(message.fields) | HEADER, message.topic


@pytest.mark.parametrize(
    ("text", "rate", "words"),
    [
        (
            EMG + "line = 1\n",
            "",
            "[test.emg] line: free_emg is watched without a stimulus; leave it out: keys are modality",
        ),
        (EMG, "rate_hz = 1000\n", "[test.emg] modality: free_emg needs 2000 samples/s, this case has 1000"),
        (
            EMG,
            "rate_hz = 24414\n",
            "sound of 8000 Hz cannot be made of 24414 samples/s; sample at a multiple of 250",
        ),
        (EEG, "rate_hz = 24414\n", "followed at 250 samples/s, of which 24414 is no multiple"),
        (EEG + "sweeps = 20\n", "", "[test.eeg] sweeps: eeg is watched without a stimulus"),
        (
            EMG + 'listen = ["TAL1"]\n',
            "",
            'listen: "TAL1" is no derivation of this test; choose from TAL1-TAL2',
        ),
        (EMG + "listen = []\n", "", "listen: nothing to hear; name derivations"),
        (EMG + "mute_ms = -1\n", "", "mute_ms: -1 cannot be meant; write 0 to 1000"),
        (EMG + "full_scale_uv = 1\n", "", "full_scale_uv: 1 cannot be meant; write 10 to 100000"),
        (EMG + "band_hz = [300, 20]\n", "", "band_hz: 300..20 Hz is no band; write [low, high]"),
    ],
)
def test_what_does_not_fit_a_watch_is_one_line(text: str, rate: str, words: str) -> None:
    with pytest.raises(CaseFileError) as caught:
        case_of(text, HEAD + " " + LEGS, rate)
    assert any(words in fault for fault in caught.value.faults), caught.value.faults
