"""Every fault of a case file: its line, its cure, alone where one thing is wrong, together where many are."""

import re

import pytest

from hostd import casefile
from hostd.case import RecordingMap
from hostd.errors import CaseFileError

GOOD = """\
name = "Case"
[acquisition]
rate_hz = 4000
gain = 24
reference = "Fz"
channels = ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR", "A1", "A2"]
[recording]
[test.left]
modality = "median_ssep"
side = "left"
line = 1
rate_hz = 2.692
sweeps = 300
window_ms = [-10, 80]
band_hz = [30, 1000]
reject_uv = 250
weighting = "noise"
blank_ms = 4
response_ms = 60
baseline_sweeps = 100
derivations = ["CP4-CP3", "CP4-Fpz"]
[[test.left.peak]]
name = "N20"
derivation = "CP4-CP3"
polarity = "negative"
window_ms = [17, 24]
to_ms = [20, 30]
[test.right]
modality = "median_ssep"
side = "right"
line = 2
"""
CHANNELS = 'channels = ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR", "A1", "A2"]'
DERIVATIONS = 'derivations = ["CP4-CP3", "CP4-Fpz"]'


def edited(*edits):
    """GOOD with the first line that reads `old` replaced by `new`, for each (old, new)."""
    rows = GOOD.splitlines()
    for old, new in edits:
        rows[rows.index(old)] = new
    return "\n".join(rows) + "\n"


def faults(text):
    with pytest.raises(CaseFileError) as caught:
        casefile.parse(text, "case.toml")
    assert str(caught.value) == "\n".join(caught.value.faults)
    for fault in caught.value.faults:
        assert re.fullmatch(r"case\.toml:\d+: .+; .+", fault), fault
        assert len(fault.splitlines()) == 1
    return caught.value.faults


def test_the_good_file_is_good():
    case = casefile.parse(GOOD, "case.toml")
    assert [test.name for test in case.tests] == ["left", "right"]
    assert case.text == GOOD
    assert case.recording == RecordingMap()


# (edits, line of the fault, what, cure): one mistake in an otherwise good file gives exactly one fault.
# fmt: off
ONE_FAULT = [
    # form
    ([('name = "Case"', "")], 1, "name: missing", 'name = "Median'),
    ([('name = "Case"', 'name = " "')], 1, "name: missing", 'name = "Median'),
    ([('name = "Case"', "name = 3")], 1, "expected text, got 3", "name ="),
    ([("[recording]", "[recordings]")],
     7, "recordings: unknown key", "did you mean 'recording'? choose from name, acq"),
    ([("gain = 24", "gian = 24")],
     4, "[acquisition] gian: unknown key", "did you mean 'gain'? choose from rate_hz, gain"),
    ([("rate_hz = 2.692", "rate = 2.692")], 12, "[test.left] rate: unknown key", "did you mean 'rate_hz'?"),
    ([("rate_hz = 2.692", "xyzzy = 1")],
     12, "[test.left] xyzzy: unknown key", "choose from modality, side, root, site, line"),
    ([("rate_hz = 2.692", '"a\\nb" = 1')], 12, '"a\\nb": unknown key', "choose from"),
    ([("window_ms = [17, 24]", "window_ms = [17, 24]\nto = 3")],
     27, "peak 1 to: unknown key", "did you mean 'to_ms'?"),
    # the acquisition table
    ([("rate_hz = 4000", "rate_hz = 'fast'")],
     3, 'expected a number of samples per second, got "fast"', "rate_hz = 4000"),
    ([("rate_hz = 4000", "rate_hz = true")], 3, "got true", "rate_hz = 4000"),
    ([("rate_hz = 4000", "rate_hz = nan")], 3, "got nan", "rate_hz = 4000"),
    ([("rate_hz = 4000", "rate_hz = 0")], 3, "0 samples/s", "above 0, up to 100000"),
    ([("rate_hz = 4000", "rate_hz = 200000")], 3, "200000 samples/s", "up to 100000"),
    ([("gain = 24", "gain = 7")], 4, "7 is no gain", "1, 2, 4, 6, 8, 12, 24"),
    ([("gain = 24", "gain = 24.0")], 4, "expected a whole number, got 24", "gain = 24"),
    ([('reference = "Fz"', "reference = 1")], 5, "expected text, got 1", 'reference = "Fz"'),
    ([(CHANNELS, "")],
     2, "channels: missing", "channels = ["),
    ([(CHANNELS, "channels = []")],
     6, "no channel", "channels = ["),
    ([(CHANNELS, 'channels = "CP3"')],
     6, "expected a list of names", "channels = ["),
    ([(CHANNELS, 'channels = ["CP3", 4]')],
     6, 'got ["CP3", 4]', "channels = ["),
    ([(CHANNELS, 'channels = ["CP3",\n"CP4", "CP3"]')],
     7, 'channels 3: "CP3" is named twice', "its own name"),
    ([(CHANNELS, f"channels = {[f'c{k}' for k in range(33)]}")],
     6, "33 channels", "at most 32"),
    ([(CHANNELS, 'channels = ["CP3", "a label of 17 ch."]')],
     6, "cannot label a signal", "1 to 16 ASCII"),
    ([(CHANNELS, 'channels = ["CP3", "µ"]')],
     6, "cannot label a signal", "1 to 16 ASCII"),
    ([(CHANNELS, 'channels = ["CP3", ""]')],
     6, 'channels 2: "" cannot label', "1 to 16 ASCII"),
    ([(CHANNELS, 'channels = ["BDF Annotations"]')],
     6, "cannot label a signal", "not 'BDF Annotations'"),
    # the recording table
    ([("[recording]", '[recording]\nchannels = { CP5 = "x" }')],
     8, "channels CP5: no channel", "did you mean 'CP"),
    ([("[recording]", '[recording]\nchannels = { CP3 = "" }')], 8, "channels CP3: no signal label", "CP3 = "),
    ([("[recording]", "[recording]\nchannels = { CP3 = 1 }")],
     8, "a table of channel = signal label", "channels = {"),
    ([("[recording]", "[recording]\nannotations = { a = 1, b = 2, c = 9 }")],
     8, "annotations c: 9 is no tr", "1 to 8"),
    ([("[recording]", "[recording]\nannotations = { a = 1 }")],
     32, "no annotation of [recording] gives line 2", "= 2 }"),
    ([("[recording]", '[recording]\nthreshold = 2\ntrigger_channel = "T"')],
     33, "gives line 1 only, not 2", "line = 1"),
    ([("[recording]", '[recording]\ntrigger_channel = ""')],
     8, "no signal label", 'trigger_channel = "Trigger"'),
    ([("[recording]", '[recording]\ntrigger_channel = "T"\nannotations = { a = 1, b = 2 }')],
     9, "already", "keep either"),
    # a test
    ([("[test.left]", '[test."a.b"]'), ("[[test.left.peak]]", '[[test."a.b".peak]]')],
     8, 'test."a.b"', "letters, digits"),
    ([('modality = "median_ssep"', "")],
     8, "[test.left] modality: missing", "choose from baep, bcr, ccep"),
    ([('modality = "median_ssep"', 'modality = "medain_ssep"')],
     9, "unknown modality", "did you mean 'median_ssep'? choose from baep"),
    ([('side = "left"', 'side = "top"')], 10, 'expected "left" or "right", got "top"', 'side = "left"'),
    ([("line = 1", "")], 8, "[test.left] line: missing", "line = 1"),
    ([("line = 1", "line = 0")], 11, "0 is no trigger line", "1 to 8"),
    ([("line = 1", "line = 9")], 11, "9 is no trigger line", "1 to 8"),
    ([("line = 2", "line = 1")], 31, "line 1 belongs to [test.left]", "its own line"),
    ([("rate_hz = 2.692", "rate_hz = 0")], 12, "0 stimuli/s", "up to 100"),
    ([("rate_hz = 2.692", "rate_hz = 101")], 12, "101 stimuli/s", "up to 100"),
    ([("sweeps = 300", "sweeps = 15"), ("baseline_sweeps = 100", "")],
     13, "too few to estimate the noise", "16 to"),
    ([("sweeps = 300", "sweeps = 300.0")], 13, "expected a whole number", "sweeps = 300"),
    ([("sweeps = 300", "sweeps = 9007199254740993")], 13, "expected a whole number, got 0x", "sweeps = 300"),
    ([("baseline_sweeps = 100", "baseline_sweeps = 15")], 20, "a baseline of 15 sweeps", "16 to 300"),
    ([("baseline_sweeps = 100", "baseline_sweeps = 301")], 20, "from averages of 300", "16 to 300"),
    ([("window_ms = [-10, 80]", "window_ms = [80, -10]")], 14, "ends before it starts", "[from, to]"),
    ([("window_ms = [-10, 80]", "window_ms = [10, 80]")], 14, "does not hold the stimulus", "at or before 0"),
    ([("window_ms = [-10, 80]", "window_ms = [-80, 0]")], 14, "does not hold the stimulus", "end it after"),
    ([("window_ms = [-10, 80]", "window_ms = [-10, 371.5]")],
     14, "reaches the next stimulus, 371.471 ms", "slower than 2.692/s"),
    ([("window_ms = [-10, 80]", "window_ms = [-10]")],
     14, "expected two numbers in milliseconds", "window_ms = [-10, 80]"),
    ([("window_ms = [-10, 80]", "window_ms = [-inf, 80]")], 14, "expected two numbers", "window_ms"),
    ([("window_ms = [-10, 80]", "window_ms = [-99999, 80]")], 14, "longer than 10000 ms", "shorten"),
    ([("window_ms = [-10, 80]", "window_ms = [-1, 2.9]"), ("blank_ms = 4", "")],
     14, "holds fewer than 16 samples at 4000/s", "widen"),
    ([("band_hz = [30, 1000]", "band_hz = [1000, 30]")],
     15, "1000 Hz is not below the upper, 30 Hz", "[low, high]"),
    ([("band_hz = [30, 1000]", "band_hz = [0, 30]")], 15, "not above 0", 'band_hz = "off"'),
    ([("band_hz = [30, 1000]", "band_hz = [30, 1801]")],
     15, "needs more than 4000 samples/s", "lower it to 1800"),
    ([("band_hz = [30, 1000]", 'band_hz = "of"')], 15, 'or "off", got "of"', "band_hz = [30, 1000]"),
    ([("reject_uv = 250", "reject_uv = -1")], 16, "-1 uV rejects every sweep", '"off"'),
    ([("reject_uv = 250", "reject_uv = 0")], 16, "0 uV rejects every sweep", '"off"'),
    ([('weighting = "noise"', 'weighting = "some"')], 17, 'expected "noise" or "none"', "weighting"),
    ([("blank_ms = 4", "blank_ms = -1")], 18, "negative", "write 0"),
    ([("blank_ms = 4", "blank_ms = 80")], 18, "covers the whole window, which ends at 80 ms", "write 0"),
    ([("blank_ms = 4", "blank_ms = 18")],
     26, "peak N20 in 17..24 ms reaches into the 18 ms", "lower blank_ms"),
    ([("response_ms = 60", "response_ms = 0")], 19, "not after the stimulus", "response_ms = 60"),
    ([("response_ms = 60", "response_ms = 372")],
     19, "leaves nothing free of response", 'weighting = "none"'),
    # derivations
    ([(DERIVATIONS, "derivations = []"), ('derivation = "CP4-CP3"', "")],
     21, "none is named", "at least one"),
    ([(DERIVATIONS, 'derivations = ["CP4-CP3", "CP4-Cx"]')],
     21, "needs the channel Cx", "choose from CP3, CP4"),
    ([(DERIVATIONS, 'derivations = ["CP4-CP3", "CP4-CP5"]')],
     21, "needs the channel CP5", "did you mean 'CP"),
    ([(DERIVATIONS, 'derivations = ["CP4-CP3",\n"CP4-Fz"]')],
     22, "derivations 2", "Fz is the reference already"),
    ([(DERIVATIONS, 'derivations = ["CP4-CP3", "CP4 - CP3"]')],
     21, "is there already", "once"),
    ([(DERIVATIONS, 'derivations = ["CP4-CP3", "A1-A1"]')],
     21, "electrode from itself", "ACTIVE-REFERENCE"),
    # peaks
    ([("[[test.left.peak]]", "[test.left.peak]")],
     22, "expected tables in double brackets", "[[test.left_median.peak]]"),
    ([('name = "N20"', "")], 22, "peak 1 name: missing", 'name = "N20"'),
    ([('name = "N20"', 'name = ""')], 23, "does not tell peaks apart", "once"),
    ([('derivation = "CP4-CP3"', 'derivation = "CP3-CP4"')],
     24, "is not measured by this test", "add it to derivations"),
    ([('derivation = "CP4-CP3"', 'derivation = "CP4-M1"')], 24, "needs the channel M1", "choose from"),
    ([('polarity = "negative"', "")], 22, "peak 1 polarity: missing", 'polarity = "negative"'),
    ([('polarity = "negative"', 'polarity = "up"')], 25, 'expected "negative" or "positive"', "polarity"),
    ([("window_ms = [17, 24]", "")], 22, "peak 1 window_ms: missing", "window_ms = [17, 24]"),
    ([("window_ms = [17, 24]", "window_ms = [24, 17]")], 26, "ends before it starts", "[from, to]"),
    ([("window_ms = [17, 24]", "window_ms = [17, 81]")],
     26, "17..81 ms is outside the test's window, -10..80 ms", "move the peak"),
    ([("window_ms = [17, 24]", "window_ms = [17, 17.4]")], 26, "fewer than two samples", "sample faster"),
    ([("to_ms = [20, 30]", "to_ms = [20, 99]")], 27, "20..99 ms is outside", "widen the test's window_ms"),
    ([("to_ms = [20, 30]", "to_ms = [30, 20]")], 27, "ends before it starts", "to_ms = "),
    ([("to_ms = [20, 30]", ""), ("window_ms = [-10, 80]", "window_ms = [0, 80]")],
     26, "no pre-stimulus part", "give the peak to_ms"),
]
# fmt: on


@pytest.mark.parametrize(("edits", "line", "what", "cure"), ONE_FAULT)
def test_one_mistake_is_one_fault_with_its_line_and_cure(edits, line, what, cure):
    (fault,) = faults(edited(*edits))
    head, _, tail = fault.partition("; ")
    assert fault.startswith(f"case.toml:{line}: "), fault
    assert what in head, fault
    assert cure in tail, fault


# A whole file with mistakes in every table: all are told, in the order of lines.
MANY = """\
frob = 3
[acquisition]
rate = 4000
rate_hz = "fast"
gain = 5
channels = ["CP3", "CP3"]
[recording]
threshold = 2.0
[test.a]
modality = "median_sep"
line = 9
[test.b]
modality = "median_ssep"
line = 1
sweeps = 3
band_hz = [100, 10]
blank_ms = 90
reject_uv = -3
[test.c]
modality = "custom"
line = 1
[[test.c.peak]]
name = "X"
polarity = "up"
wndow_ms = [1, 2]
[test.e]
"""


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_lines():
    found = faults(MANY)
    where = [
        (int(line), key) for line, key in (re.match(r"case.toml:(\d+): ([^:]+):", f).groups() for f in found)
    ]
    assert [line for line, _ in where] == sorted(line for line, _ in where)
    assert set(where) == {
        (1, "frob"),
        (1, "name"),
        (3, "[acquisition] rate"),
        (4, "[acquisition] rate_hz"),
        (5, "[acquisition] gain"),
        (6, "[acquisition] channels 2"),
        (8, "[recording] threshold"),
        (10, "[test.a] modality"),
        (11, "[test.a] line"),
        (12, "[test.b] side"),
        (15, "[test.b] sweeps"),
        (16, "[test.b] band_hz"),
        (17, "[test.b] blank_ms"),
        (18, "[test.b] reject_uv"),
        (19, "[test.c] window_ms"),
        (19, "[test.c] derivations"),
        (21, "[test.c] line"),
        (22, "[test.c] peak 1 window_ms"),
        (24, "[test.c] peak 1 polarity"),
        (25, "[test.c] peak 1 wndow_ms"),
        (26, "[test.e] modality"),
        (26, "[test.e] line"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(1, "name", "missing"), (1, "[acquisition]", "missing"), (1, "[test]", "no test")]),
        ("frobnicate = 3\n", [(1, "frobnicate", "unknown key")]),
        ("[acquisition]\nrate_hz = 'fast'\n", [(2, "[acquisition] rate_hz", "expected a number")]),
        ("\n[test.x]\n", [(2, "[test.x] modality", "missing"), (2, "[test.x] line", "missing")]),
        (
            "test = 3\nacquisition = 4",
            [(1, "[test]", "expected one table per test"), (2, "[acquisition]", "expec")],
        ),
        ("test.x = 3", [(1, "[test.x]", "expected a table")]),
        ("[[test]]\n", [(1, "[test]", "expected one table per test")]),
        ("recording = 1", [(1, "[recording]", "expected a table")]),
    ],
)
def test_what_is_missing_or_misplaced_is_told(text, expected):
    found = faults(text)
    for line, key, what in expected:
        assert any(fault.startswith(f"case.toml:{line}: {key}: {what}") for fault in found), (key, found)
    if "test" in text:
        assert not any("no test" in fault for fault in found)


def test_without_a_recording_the_rates_must_be_written():
    text = edited(("[recording]", ""), ("rate_hz = 4000", ""))
    assert casefile.parse(text, "case.toml").rate_hz == 4000  # what the modalities want
    text = re.sub('modality = ".*"', 'modality = "custom"', text)
    assert any("[acquisition] rate_hz: miss" in fault for fault in faults(text))
    custom = edited(
        ("[recording]", ""),
        ("rate_hz = 2.692", ""),
        ('modality = "median_ssep"', 'modality = "custom"'),
    )
    (fault,) = faults(custom)
    assert fault.startswith("case.toml:8: [test.left] rate_hz: missing; write the stimulus rate")


@pytest.mark.control("H7.1")
def test_side_is_asked_for_once_where_the_modality_places_electrodes_by_it():
    (fault,) = faults(edited(('side = "right"', "")))
    assert fault.startswith(
        "case.toml:28: [test.right] side: missing, and median_ssep places electrodes by it;"
    )
    (fault,) = faults(edited(('side = "right"', 'derivations = ["CP4-CP3"]')))
    assert fault.startswith("case.toml:28: [test.right] side: missing")
    bare = casefile.parse(edited(('side = "right"', 'derivations = ["CP4-CP3"]\npeak = []')), "case.toml")
    assert bare.tests[1].peaks == ()


def test_a_modality_without_any_of_its_electrodes_says_what_it_needs():
    text = """name = "x"
[acquisition]
rate_hz = 4000
channels = ["O1", "O2"]
[test.x]
modality = "median_ssep"
side = "left"
line = 1
"""
    (fault,) = faults(text)
    assert fault.startswith("case.toml:5: [test.x] derivations: none of CP4-CP3, CP4-Fpz, C5S-Fpz, EPL-EPR")
    assert "without C5S, CP3, CP4, EPL, EPR, Fpz; add electrodes" in fault


def test_default_peaks_outside_a_written_window_are_all_told():
    text = edited(('side = "right"', 'side = "right"\nwindow_ms = [-5, 11]'))
    found = faults(text)
    assert [fault.split(" of median_ssep")[0] for fault in found] == [
        "case.toml:31: [test.right] window_ms: peak N9",
        "case.toml:31: [test.right] window_ms: peak N13",
        "case.toml:31: [test.right] window_ms: peak N20",
        "case.toml:31: [test.right] window_ms: peak N20",
    ]
    assert all("or write peaks of your own" in fault for fault in found)
    found = faults(edited(('side = "right"', 'side = "right"\nblank_ms = 9')))
    assert [fault.partition(" in ")[0] for fault in found] == [
        "case.toml:31: [test.right] blank_ms: peak N9 of median_ssep"
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("\x00\x01", "case.toml:1: not TOML, column 1: "),
        ("a = 1\nb = 'x\n", "case.toml:2: not TOML, at the end: Expected"),
        ("a = 1\nb = \n", "case.toml:2: not TOML, column 5: Invalid value; "),
        ("a = 1\na = 2\n", "case.toml:2: not TOML, column 6: Cannot overwrite a value; "),
        ("a = 1\n[b", "case.toml:2: not TOML, at the end: "),
        ("a = 1\nb = '\ud800'", "case.toml:2: a lone surrogate"),
        ("a = " + "[" * 100_000, "case.toml:1: nested too deeply; "),
        ("a = 1\nb = " + "9" * 5000, "case.toml:2: a value cannot be read: Exceeds the limit"),
    ],
)
def test_what_is_no_toml_is_one_fault_with_its_position(text, start):
    (fault,) = faults(text)
    assert fault.startswith(start)


def test_hostile_values_are_told_in_one_short_line():
    deep = "[" * 50 + "]" * 50
    long = "0x" + "f" * 9000
    for value in (
        deep,
        long,
        '"' + "x" * 9000 + '"',
        '"a\\nb\\u2028c"',
        "1979-05-27",
        "{ a = { b = { c = { d = 1 } } } }",
    ):
        for fault in faults(edited(("gain = 24", f"gain = {value}"))):
            assert fault.startswith("case.toml:4: [acquisition] gain: expected a whole number, got ")
            assert len(fault) < 160
    (fault,) = faults(edited(("[recording]", f"[recording]\nannotations = {{ a = 1, b = 2, c = {long} }}")))
    assert fault.startswith("case.toml:8: [recording] annotations c: 0xfff")
