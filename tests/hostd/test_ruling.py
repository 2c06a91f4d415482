"""What bars a rule: a control that is not seen, or all but gone."""

from dataclasses import replace

import pytest

from dsp.nouns import Measurement
from hostd import casefile
from hostd.ruling import control_fields, rule_fields

(LEFT, _) = casefile.procedure("median_ssep").tests
NAMES = [peak.name for peak in LEFT.peaks]
N9 = Measurement("N9", "EPL-EPR", True, 9.7, (9.6, 9.8), 2.1, (1.9, 2.3), 0.07)
BEFORE = tuple(
    replace(N9, name=peak.name, derivation=LEFT.derivations[peak.derivation].name) for peak in LEFT.peaks
)
GONE = dict(zip(NAMES, BEFORE, strict=True)) | {
    "N20": Measurement("N20", "CP4-CP3", False, None, None, None, None, 0.07)
}


@pytest.mark.parametrize(
    ("control", "seen"),
    [
        (N9, True),
        # Half of it, and what is hardly told from noise, still prove that the stimulus arrived.
        (replace(N9, amplitude_uv=1.0, amplitude_ci_uv=(0.7, 1.3)), True),
        (replace(N9, amplitude_uv=0.4, amplitude_ci_uv=(-0.6, 1.4)), True),
        # There by its energy alone: what a blanked artifact leaves.
        (replace(N9, amplitude_uv=0.12, amplitude_ci_uv=(0.01, 0.23)), False),
        (replace(N9, amplitude_uv=-0.21, amplitude_ci_uv=(-0.44, -0.06)), False),
        (replace(N9, present=False, amplitude_uv=None, amplitude_ci_uv=None), False),
    ],
)
def test_a_control_that_is_all_but_gone_proves_no_stimulus(control: Measurement, seen: bool) -> None:
    now = tuple((GONE | {"N9": control}).values())
    told = control_fields(LEFT, now, BEFORE)
    assert told is not None and told["present"] is seen and ("not seen" in told["text"]) is not seen
    rules = rule_fields(LEFT, now, BEFORE, None)
    assert {rule["barred"] for rule in rules} == {not seen}
    told = control_fields(LEFT, now, ())
    assert told is not None and told["present"] is control.present  # nothing to compare with
