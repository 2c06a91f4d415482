"""The evidence of an alert in words: all of it, and what is missing or of another kind is left out."""

from hostd.export.change_words import change_words

EVIDENCE = {
    "since_index": 4000,
    "responses": [
        {"name": "P37", "ratio": 0.27, "ratio_ci": [-0.05, 0.59], "sweeps": 48, "replicates": 12},
        {"name": "TA", "ratio": None, "ratio_ci": None, "sweeps": 0, "replicates": 0},
    ],
    "sites": [
        {"name": "left_tibial PF", "ratio": 1.03, "control": True, "absent": False},
        {"name": "left_tibial P37", "ratio": -0.02, "control": False, "absent": False},
        {"name": "left_mep TA", "ratio": 0.1, "control": False, "absent": True},
    ],
    "stimulus": {"delivery": "ok", "artifact_ratio": 0.98, "stimuli": 40},
    "confounders": [{"text": "MAC from 0.9 to 1.4"}],
    "suspects": ["noise at CPz"],
    "legacy": [{"peak": "P37", "name": "amplitude fall > 50 %", "verdict": "met"}],
}


def test_all_of_it_is_said() -> None:
    assert change_words(EVIDENCE, lambda sample: f"{sample / 2000:g} s") == (
        "Since 2 s. P37 at 27% of before (-5% to 59%), 48 sweeps, 12 of them after the suspicion, "
        "TA changed. "
        "Control: left_tibial PF 103%. All sites: left_tibial P37 0%, left_mep TA absent. "
        "Stimulus: ok, artifact 98% of the usual. Explains: MAC from 0.9 to 1.4. Technical: noise at CPz. "
        "Fixed rules met: P37 amplitude fall > 50 % met."
    )


def test_what_is_not_there_or_no_evidence_is_left_out() -> None:
    assert change_words({}, str) == ""
    broken = {
        "since_index": "x",
        "responses": 3,
        "sites": [4, {"name": "a"}],
        "stimulus": [],
        "suspects": None,
    }
    assert change_words(broken, str) == ""
