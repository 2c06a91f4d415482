"""Stimuli, limits and monitor channels of a case file: what the keys become, and every fault of each."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd import casefile
from hostd.arrangement import arrange
from hostd.case import Case, MonitorMap, StimulusPlan
from hostd.casefile_faults import Faults
from hostd.casefile_stimulus import judge_stimuli
from hostd.errors import CaseFileError
from hostd.modalities import MODALITIES
from hostd.toml_lines import locate
from hw import limits

HEAD = """\
name = "Case"
[acquisition]
rate_hz = {rate_hz}
channels = ["TA", "AH", "IMON", "VMON"]
{acquisition}
{recording}
{limits}
[test.a]
modality = "custom"
line = 1
window_ms = {window}
derivations = ["TA"]
{keys}
"""
REPEAT = 'stimulus = "peripheral"\nrate_hz = 1.97\n'
SINGLE = 'stimulus = "nerve"\nfire = "single"\n'
TWO = 'stimulus = "transcranial"\nrate_hz = 0.51\nwidth_us = 50\npulses = 5\ntrains = 2\n'
CORTEX = 'stimulus = "cortical"\narea_cm2 = 0.2\n'


def case_of(keys="", acquisition="", recording="", limits="", rate_hz=4000, window="[0, 40]") -> Case:
    parts = {"acquisition": acquisition, "recording": recording, "limits": limits, "window": window}
    return casefile.parse(HEAD.format(keys=keys, rate_hz=rate_hz, **parts), "x.toml")


def faults_of(*args, **kwargs):
    with pytest.raises(CaseFileError) as caught:
        case_of(*args, **kwargs)
    for fault in caught.value.faults:
        assert re.fullmatch(r"x\.toml:\d+: .+; .+", fault), fault
    return caught.value.faults


def stimulus_of(keys, **kwargs) -> StimulusPlan:
    return case_of(keys, **kwargs).tests[0].stimulus


def test_what_is_not_written_is_the_modalitys_or_not_known():
    assert stimulus_of("rate_hz = 1.97") == StimulusPlan()
    median = casefile.procedure("median_ssep").tests[0]
    assert median.stimulus == StimulusPlan(kind="peripheral", width_us=200.0)
    assert median.rate_written
    kinds = {name: modality.stimulus.kind for name, modality in MODALITIES.items()}
    assert kinds["tibial_ssep"] == "peripheral" and kinds["ccep"] == "cortical"
    assert kinds["baep"] == kinds["custom"] == "sensory"


def test_another_kind_brings_nothing_of_the_modalitys():
    text = casefile.procedure("median_ssep").text.replace("line = 1", 'line = 1\nstimulus = "sensory"')
    assert casefile.parse(text, "x.toml").tests[0].stimulus == StimulusPlan()
    text = casefile.procedure("median_ssep").text.replace("line = 1", "line = 1\nwidth_us = 300")
    assert casefile.parse(text, "x.toml").tests[0].stimulus.width_us == 300


def test_every_key_arrives():
    keys = (
        TWO + "volts = 400\ninterval_ms = 3\ngap_ms = 20\nalternate_line = 2\nhold_ms = 0.5\nlockout_ms = 0"
    )
    assert stimulus_of(keys + "\narea_cm2 = 1") == StimulusPlan(
        kind="transcranial",
        volts=400.0,
        width_us=50.0,
        area_cm2=1.0,
        pulses=5,
        interval_ms=3.0,
        trains=2,
        gap_ms=20.0,
        alternate_line=2,
        hold_ms=0.5,
        lockout_ms=0.0,
    )
    steps = stimulus_of(SINGLE + "steps_ma = [2, 4.5, 8]\nwidth_us = 200")
    assert (steps.mode, steps.steps_ma, steps.current_ma) == ("single", (2, 4.5, 8), None)
    assert stimulus_of(REPEAT + "current_ma = 25").current_ma == 25


def test_single_stimuli_have_no_rate_and_no_period_to_fit():
    plan = case_of(SINGLE + "sweeps = 16").tests[0]
    assert (plan.stimulus_hz, plan.rate_written, plan.sweeps) == (0.0, False, 16)
    # of the modality neither rate nor period hold; with a recording neither
    text = """name = "x"
[acquisition]
rate_hz = 4000
channels = ["CP3", "CP4"]
{recording}
[test.a]
modality = "median_ssep"
side = "left"
line = 1
fire = "single"
window_ms = [-10, 5000]
response_ms = 4000
"""
    for recording in ("", "[recording]"):
        plan = casefile.parse(text.format(recording=recording), "x.toml").tests[0]
        assert (plan.stimulus_hz, plan.response_ms) == (0.0, 4000)
    assert case_of("rate_hz = 1.97").tests[0].rate_written


def test_mains_and_monitor():
    case = case_of("rate_hz = 1.97")
    assert (case.mains_hz, case.monitor, case.ceilings) == (0.0, None, limits.CEILINGS)
    case = case_of("rate_hz = 1.97", 'mains_hz = 60\nmonitor = { current = "IMON" }')
    assert (case.mains_hz, case.monitor) == (60.0, MonitorMap("IMON", 1.0, "", 4.0))
    table = '[acquisition.monitor]\ncurrent = "IMON"\nma_per_mv = 0.5\nvoltage = "VMON"\nv_per_mv = 2'
    assert case_of("rate_hz = 1.97", table).monitor == MonitorMap("IMON", 0.5, "VMON", 2.0)


def test_limits_become_ceilings():
    case = case_of(
        "rate_hz = 1.97", limits="[limits.peripheral]\ncurrent_ma = 50\ninterval_ms = 2\ndensity_uc_cm2 = 5"
    )
    peripheral = limits.KINDS.index("peripheral")
    written = case.ceilings[peripheral]
    assert (written.current_ma, written.interval_ms, written.density_uc_cm2) == (50, 2, 5)
    assert replace(written, current_ma=100, interval_ms=1, density_uc_cm2=0) == limits.CEILINGS[peripheral]
    assert tuple(ceiling.name for ceiling in case.ceilings) == limits.KINDS
    assert case_of(REPEAT + "current_ma = 50\nwidth_us = 200").ceilings == limits.CEILINGS


# (keys, where the fault is, what, cure): one mistake in a test gives exactly one fault.
# fmt: off
ONE_FAULT = [
    # form
    ('rate_hz = 1.97\nstimulus = "periferal"', "stimulus",
     "unknown stimulus 'periferal'", "did you mean 'peripheral'?"),
    ("rate_hz = 1.97\nstimulus = 1", "stimulus", "expected a kind of stimulus, got 1", "stimulus ="),
    ('rate_hz = 1.97\nfire = "once"', "fire", 'expected "repeat" or "single"', 'fire = "single"'),
    (REPEAT + "current_ma = 0", "current_ma", "0 mA cannot be meant", "write 0.001 to 2000"),
    (REPEAT + "current_ma = -5", "current_ma", "-5 mA cannot", "0.001 to 2000"),
    (REPEAT + "current_ma = 'x'", "current_ma", "expected a number of milliamperes", "current_ma = 25"),
    (REPEAT + "volts = 0", "volts", "0 V cannot", "0.01 to 2000"),
    (REPEAT + "width_us = 0", "width_us", "0 us cannot", "1 to 10000"),
    (REPEAT + "area_cm2 = 101", "area_cm2", "101 cm2 cannot", "0.0001 to 100"),
    (REPEAT + "pulses = 0", "pulses", "0 pulses cannot", "1 to 100"),
    (REPEAT + "pulses = 2.0", "pulses", "expected a whole number", "pulses = 5"),
    (REPEAT + "pulses = 2\ninterval_ms = 0", "interval_ms", "0 ms cannot", "0.01 to"),
    (REPEAT + "trains = 3\ngap_ms = 20", "trains", "3 trains cannot", "1 to 2"),
    (REPEAT + "trains = 2\ngap_ms = 20000", "gap_ms", "20000 ms cannot", "0.01 to 10000"),
    (REPEAT + "hold_ms = 0", "hold_ms", "0 ms cannot", "0.001 to"),
    (REPEAT + "lockout_ms = -1", "lockout_ms", "-1 ms cannot", "0 to 10000"),
    (REPEAT + "lockout_ms = 10001", "lockout_ms", "10001 ms cannot", "0 to 10000"),
    # what goes together
    (REPEAT + "current_ma = 5\nvolts = 5", "volts", "current_ma is written already", "keep either"),
    (REPEAT + "steps_ma = [1, 2]", "steps_ma", "only single stimuli have steps", 'fire = "single"'),
    (SINGLE + "steps_ma = [1, 2]\ncurrent_ma = 1", "steps_ma",
     "current_ma is written", "keep either current_ma"),
    (SINGLE + "steps_ma = [1, 2]\nvolts = 1", "steps_ma", "volts is written", "keep either volts"),
    (SINGLE + "steps_ma = []", "steps_ma", "0 steps", "write 1 to 1000"),
    (SINGLE + "steps_ma = [1, 2, 2]", "steps_ma", "above the one before", "ascending"),
    (SINGLE + "steps_ma = [0, 1]", "steps_ma", "the first above 0", "ascending"),
    (SINGLE + "steps_ma = [1, 3000]", "steps_ma", "3000 mA cannot", "end at 2000"),
    (SINGLE + "steps_ma = 3", "steps_ma", "expected a list of milliamperes", "steps_ma = [2, 4, 8]"),
    (SINGLE + "rate_hz = 1.97", "rate_hz", "single stimuli have no rate", "leave rate_hz out"),
    (REPEAT + "pulses = 2", "interval_ms", "missing", "interval_ms = 3"),
    (REPEAT + "interval_ms = 2", "interval_ms",
     "nothing lies between 1 of pulses", "or leave interval_ms out"),
    (REPEAT + "trains = 2", "gap_ms", "missing", "gap_ms = 20"),
    (REPEAT + "gap_ms = 2", "gap_ms", "nothing lies between 1 of trains", "or leave gap_ms out"),
    (REPEAT + "alternate_line = 9", "alternate_line", "9 is no trigger line", "1 to 8"),
    (REPEAT + "alternate_line = 1", "alternate_line", "line 1 belongs to [test.a]", "its own line"),
    (SINGLE + "alternate_line = 2", "alternate_line", "do not alternate", "leave alternate_line out"),
    # the rate
    (REPEAT.replace("1.97", "0.001"), "rate_hz",
     "0.001 stimuli/s is no rate", 'write 0.01 or more, or fire = "single"'),
    # the limits
    (REPEAT + "hold_ms = 10.5", "hold_ms", "hold of 42 samples exceeds the limit of 10 ms", "hold_ms = 1"),
    ("rate_hz = 20\nhold_ms = 10\npulses = 2\ninterval_ms = 9.9", "interval_ms",
     "interval of 40 samples is under 42", "write 10.5 or more"),
    (TWO + "interval_ms = 1.2\ngap_ms = 20\n", "interval_ms",
     "interval of 5 samples is under 6", "write 1.5 or more"),
    (TWO + "interval_ms = 3\ngap_ms = 1", "gap_ms", "gap of 4 samples is under 6", "write 1.5 or more"),
    (TWO.replace("5\ntr", "10\ntr") + "interval_ms = 3\ngap_ms = 20", "pulses",
     "20 pulses in one stimulus exceed the limit of 18", "write 9 or fewer in each train"),
    (REPEAT + "pulses = 11\ninterval_ms = 3", "pulses", "11 pulses in one", "write 10 or fewer"),
    ('stimulus = "transcranial"\nrate_hz = 1.97', "rate_hz",
     "the rate limit of 1 Hz for transcranial", "write 1 or less"),
    ('stimulus = "peripheral"\nrate_hz = 20\npulses = 10\ninterval_ms = 5', "rate_hz",
     "minute exceed the limit of 3000", "fewer pulses"),
    ('stimulus = "peripheral"\nrate_hz = 20\npulses = 2\ninterval_ms = 50', "rate_hz",
     "overlaps the next one, 200 samples later", "stimulate slower"),
    ("rate_hz = 20\nlockout_ms = 50", "lockout_ms", "lockout of 200 samples is not over", "write it shorter"),
    ('stimulus = "nerve"\nrate_hz = 10\npulses = 2\ninterval_ms = 3', "rate_hz",
     "a rest of 0.097 s between trains", "stimulate slower"),
    (REPEAT + "current_ma = 101", "current_ma",
     "current of 101 mA exceeds the limit of 100 mA", "write 30 or less at 1000"),
    (REPEAT + "volts = 101\nwidth_us = 100", "volts", "current of 101 mA", "write 100 or less at 100 us"),
    (REPEAT + "current_ma = 5\nwidth_us = 1001", "width_us", "width of 1001 us", "write 1000 or less"),
    (REPEAT + "current_ma = 50\nwidth_us = 1000", "current_ma",
     "charge of 50 uC", "write 30 or less at 1000 us"),
    (TWO + "interval_ms = 3\ngap_ms = 20\nvolts = 1100", "volts",
     "energy of 60.5 mJ", "write 1000 or less at 50 us"),
    (SINGLE + "steps_ma = [1, 31]\nwidth_us = 200", "steps_ma", "current of 31 mA", "end them at 30 or less"),
    ('rate_hz = 1.97\nstimulus = "cortical"', "area_cm2", "needs the electrode's area",
     "write it, as area_cm2"),
    (CORTEX + "rate_hz = 0.97\ncurrent_ma = 25\nwidth_us = 600", "area_cm2",
     "charge density of 75 uC/cm2 exceeds the limit of 40", "larger electrode"),
    ('stimulus = "cortical"\narea_cm2 = 0.04\nfire = "single"\ncurrent_ma = 25\nwidth_us = 600', "area_cm2",
     "charge density of 375 uC/cm2 exceeds the limit of 300", "larger electrode"),
    ("rate_hz = 1.97\ncurrent_ma = 1", "current_ma", "current of 1 mA exceeds the limit of 0 mA for sensory",
     'write stimulus = "peripheral"'),
    ("rate_hz = 1.97\nwidth_us = 100", "width_us",
     "width of 100 us exceeds the limit of 0 us", "leave width_us out"),
]
# fmt: on


@pytest.mark.parametrize(("keys", "key", "what", "cure"), ONE_FAULT)
def test_one_mistake_is_one_fault_at_its_key(keys, key, what, cure):
    (fault,) = faults_of(keys)
    head, _, tail = fault.partition("; ")
    assert f": [test.a] {key}: " in head, fault
    assert what in head, fault
    assert cure in tail, fault


@pytest.mark.parametrize(
    ("where", "text", "key", "what", "cure"),
    [
        ("acquisition", "mains_hz = 55", "[acquisition] mains_hz", "55 Hz is no mains", "write 50 or 60"),
        ("acquisition", "mains_hz = 0", "[acquisition] mains_hz", "0 Hz is no mains", "write 50 or 60"),
        ("acquisition", "mains_hz = '50'", "[acquisition] mains_hz", "expected 50 or 60", "mains_hz = 50"),
        ("acquisition", "monitor = 1", "[acquisition] monitor", "expected a table", "monitor = {"),
        ("acquisition", "monitor = {}", "[acquisition] monitor current", "missing", 'current = "IMON"'),
        ("acquisition", 'monitor = { current = "IMN" }', "monitor current", '"IMN" is no channel', "'IMON'"),
        ("acquisition", "monitor = { current = 1 }", "monitor current", "expected a channel", "current ="),
        ("acquisition", 'monitor = { current = "IMON", curent = 1 }', "curent", "unknown key", "'current'"),
        (
            "acquisition",
            'monitor = { current = "IMON", voltage = "VMN" }',
            "[acquisition] monitor voltage",
            '"VMN" is no channel',
            "did you mean 'VMON'?",
        ),
        (
            "acquisition",
            'monitor = { current = "IMON", voltage = "IMON" }',
            "[acquisition] monitor voltage",
            "shows the current already",
            "name another channel",
        ),
        (
            "acquisition",
            'monitor = { current = "IMON", ma_per_mv = 0 }',
            "ma_per_mv",
            "0 is no scale",
            "above 0",
        ),
        (
            "acquisition",
            'monitor = { current = "IMON", v_per_mv = -4 }',
            "v_per_mv",
            "-4 is no scale",
            "above 0",
        ),
        (
            "acquisition",
            'monitor = { current = "TA" }',
            "[test.a] derivations 1",
            '"TA" is made of TA, a monitor channel',
            "name channels of electrodes",
        ),
        ("limits", "limits = 1", "[acquisition] limits", "unknown key", "choose from"),
        (
            "limits",
            "[limits]\nperipheral = 1",
            "[limits.peripheral]",
            "expected a table",
            "[limits.peripheral]",
        ),
        ("limits", "[limits.spinal]", "[limits.spinal]", "no kind of stimulus", "choose from sensory"),
        (
            "limits",
            "[limits.nerve]\ncurent_ma = 1",
            "[limits.nerve] curent_ma",
            "unknown key",
            "'current_ma'",
        ),
        (
            "limits",
            "[limits.nerve]\nrate_hz = true",
            "[limits.nerve] rate_hz",
            "expected a number",
            "rate_hz =",
        ),
        ("limits", "[limits.nerve]\nrate_hz = nan", "rate_hz", "expected a number, got nan", "rate_hz ="),
        ("limits", "[limits.nerve]\nrest_s = inf", "rest_s", "expected a number, got inf", "rest_s ="),
        (
            "limits",
            "[limits.nerve]\ncurrent_ma = 31",
            "[limits.nerve] current_ma",
            "current_ma = 31 loosens nerve, whose limit is 30",
            "the case file can only tighten limits: write above 0, up to 30",
        ),
        (
            "limits",
            "[limits.nerve]\nrest_s = 0.05",
            "[limits.nerve] rest_s",
            "rest_s = 0.05 loosens nerve, whose limit is 0.1",
            "the case file can only tighten limits: write at least 0.1",
        ),
        (
            "limits",
            "[limits.sensory]\ncharge_uc = 1",
            "[limits.sensory] charge_uc",
            "loosens sensory, whose limit is 0",
            "leave charge_uc out",
        ),
    ],
)
def test_mistakes_outside_of_tests(where, text, key, what, cure):
    (fault,) = faults_of("rate_hz = 1.97", **{where: text})
    head, _, tail = fault.partition("; ")
    assert f"{key}: " in head, fault
    assert what in head, fault
    assert cure in tail, fault


def test_limits_must_be_a_table():
    with pytest.raises(CaseFileError, match=r"x\.toml:1: \[limits\]: expected one table per kind"):
        casefile.parse("limits = 1\n" + casefile.procedure("median_ssep").text, "x.toml")


def test_default_derivations_cannot_be_made_of_monitor_channels():
    text = casefile.procedure("median_ssep").text.replace(
        "gain = 24", 'gain = 24\nmonitor = { current = "EPL", voltage = "EPR" }'
    )
    with pytest.raises(CaseFileError, match="EPL, EPR, a monitor channel") as caught:
        casefile.parse(text, "x.toml")
    assert len(caught.value.faults) == 2


@pytest.mark.control("H2.4")
def test_a_tightened_limit_is_held():
    keys = REPEAT + "current_ma = 60\nwidth_us = 200"
    case_of(keys)
    (fault,) = faults_of(keys, limits="[limits.peripheral]\ncurrent_ma = 50")
    assert "current_ma: current of 60 mA exceeds the limit of 50 mA for peripheral; write 50 or" in fault


@pytest.mark.control("H7.4")
def test_lines_of_tests_and_of_alternation_are_each_of_one_test():
    second = """
[test.b]
modality = "custom"
line = {line}
rate_hz = 1.97
window_ms = [0, 40]
derivations = ["TA"]
"""
    keys = REPEAT + "alternate_line = 2"
    (fault,) = faults_of(keys + second.format(line=2))
    assert "[test.b] line: line 2 belongs to [test.a]" in fault
    (fault,) = faults_of(keys + second.format(line=3) + "alternate_line = 2")
    assert "[test.b] alternate_line: line 2 belongs to [test.a]" in fault
    (fault,) = faults_of(keys + second.format(line=3) + "alternate_line = 1")
    assert "[test.b] alternate_line: line 1 belongs to [test.a]" in fault
    assert case_of(keys + second.format(line=3) + "alternate_line = 4").tests[1].stimulus.alternate_line == 4


@pytest.mark.parametrize(
    ("hz", "rate_hz", "what", "cure"),
    [
        (90, 250, "90 is 2.78 samples at 250/s", "write 83.33 (3 samples)"),
        (33, 250, "33 is 7.58 samples at 250/s", "write 31.25 (8 samples) or 35.71 (7 samples)"),
        (70, 100, "70 is 1.43 samples at 100/s", "write 33.33 (3 samples)"),
    ],
)
def test_a_rate_between_whole_samples_is_refused_with_those_that_can_be_had(hz, rate_hz, what, cure):
    slack = {"rate_hz": rate_hz, "window": "[-400, 10]"}
    (fault,) = faults_of(f"rate_hz = {hz}", **slack)
    assert fault == f"x.toml:13: [test.a] rate_hz: {what}; {cure}"
    case_of(f"rate_hz = {hz}", recording="[recording]", **slack)
    for offer in re.findall(r"([\d.]+) \(", cure) if rate_hz > 200 else ():
        case_of(f"rate_hz = {offer}", **slack)


def test_where_no_rate_can_be_had_sampling_must_be_faster():
    keys = 'stimulus = "transcranial"\nrate_hz = 90'
    (fault,) = faults_of(keys, rate_hz=250, window="[-400, 10]")
    assert fault.endswith("90 is 2.78 samples at 250/s; sample faster")


def test_the_rate_of_a_recording_made_here_is_judged_too():
    case = case_of("rate_hz = 47\n", rate_hz=4000, window="[0, 20]")
    assert casefile.at_rate(case, 3999.0).tests[0].stimulus_hz == 47


def test_with_a_recording_only_form_is_checked():
    keys = 'stimulus = "transcranial"\nrate_hz = 20\nvolts = 2000'
    assert faults_of(keys)
    assert case_of(keys, recording="[recording]").tests[0].stimulus.volts == 2000
    (fault,) = faults_of(keys.replace("2000", "20000"), recording="[recording]")
    assert "20000 V cannot be meant" in fault


def test_a_refusal_without_a_key_of_its_own_is_told_at_the_line():
    case = case_of("rate_hz = 1.97")
    nowhere = replace(case, tests=(replace(case.tests[0], line=0),))
    faults = Faults("x.toml", locate(case.text))
    judge_stimuli(nowhere, faults)
    with pytest.raises(CaseFileError, match=r"x\.toml:10: \[test\.a\] line: line 0 is not one of 1\.\.8"):
        faults.raise_any()


STRONG = st.fixed_dictionaries(
    {"stimulus": st.sampled_from([f'"{kind}"' for kind in limits.KINDS])},
    optional={
        "current_ma": st.floats(0.001, 2000),
        "width_us": st.integers(1, 2000),
        "area_cm2": st.floats(0.0001, 100),
        "hold_ms": st.floats(0.001, 12),
        "lockout_ms": st.floats(0, 10_000),
    },
)
TRAIN = st.none() | st.tuples(st.integers(2, 20), st.floats(0.5, 20))


@settings(max_examples=150, deadline=None)
@given(STRONG, TRAIN, TRAIN, st.none() | st.floats(0.01, 24), st.sampled_from([250, 1000, 4000, 24414]))
def test_what_a_case_file_says_is_refused_in_words_or_accepted_by_the_limits(one, pulses, gap, hz, rate_hz):
    one |= {"pulses": pulses[0], "interval_ms": pulses[1]} if pulses else {}
    one |= {"trains": 2, "gap_ms": gap[1]} if gap else {}
    one |= {"rate_hz": hz} if hz else {"fire": '"single"'}
    keys = "\n".join(f"{key} = {value}" for key, value in one.items())
    try:
        case = case_of(keys, rate_hz=rate_hz, acquisition="").tests[0]
    except CaseFileError as error:
        assert all(re.fullmatch(r"x\.toml:\d+: .+; .+", fault) for fault in error.faults)
        assert not any("] line: " in fault for fault in error.faults)
        return
    whole = case_of(keys, rate_hz=rate_hz)
    (plan,) = arrange(whole, rate_hz).values()
    assert limits.refuse(plan, rate_hz, 8, whole.ceilings) == ""
    assert case.stimulus.kind == limits.KINDS[plan.kind]
