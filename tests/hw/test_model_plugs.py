"""Plugs in wrong sockets: what each channel shows from when on, whose contact it has, and what is refused."""

import tomllib

import numpy as np
import pytest

from hw.model.contact_leads import in_sockets
from hw.model.contacts import ElectrodeChange
from hw.model.patient import Patient
from hw.model.plugs import Plugs
from hw.model.scenario import Scenario, parse_scenario

RATE_HZ = 1000.0
CHANNELS = ("CP3", "EPL", "EPR")


def recorded(scenario: Scenario, channels: tuple[str, ...] = CHANNELS, rows: int = 900) -> np.ndarray:
    patient = Patient(channels, RATE_HZ, 4, scenario=scenario)
    patient.stimulate(100.0, "left median")
    first = patient.read_block(0, 300)
    patient.stimulate(400.0, "left median")
    return np.concatenate([first, patient.read_block(300, rows - 300)])


def test_each_channel_shows_the_others_electrode_until_the_next_table_to_the_bit() -> None:
    right = recorded(Scenario())
    plugs = (Plugs(0.2, (("EPL", "EPR"),)), Plugs(0.6))
    wrong = recorded(Scenario(plugs=plugs))
    begin, end = 202, 602  # row k holds the input 1.5 samples before it
    assert np.array_equal(wrong[:begin], right[:begin]) and np.array_equal(wrong[end:], right[end:])
    assert np.array_equal(wrong[begin:end], right[begin:end][:, [0, 2, 1]])
    assert not np.array_equal(wrong[begin], right[begin])


def test_read_one_by_one_is_the_same_and_late_stimuli_count() -> None:
    scenario = Scenario(plugs=(Plugs(0.0, (("EPL", "CP3"),)),))
    patient = Patient(CHANNELS, RATE_HZ, 4, scenario=scenario)
    patient.stimulate(100.0, "left median")
    rows = [patient.read(k) for k in range(300)]
    patient.stimulate(400.0, "left median")
    rows += [patient.read(k) for k in range(300, 900)]
    assert np.array_equal(np.array(rows), recorded(scenario))
    assert np.array_equal(np.array(rows), recorded(Scenario())[:, [1, 0, 2]])


def test_a_channel_can_show_an_electrode_that_no_channel_is_named_after() -> None:
    scenario = Scenario(plugs=(Plugs(0.0, (("EPL", "EPR"),)),))
    (shown,) = recorded(scenario, ("EPL",)).T
    # A sum over other electrodes: its last digit is another one on some CPUs.
    (wanted,) = recorded(Scenario(), ("EPR",)).T
    assert np.abs(shown - wanted).max() < 1e-12 * np.ptp(wanted)


def test_the_contact_goes_with_the_electrode() -> None:
    changes = (ElectrodeChange(1.0, "EPL", "off"), ElectrodeChange(5.0, "EPL", "ok"))
    plugs = (Plugs(0.0, (("EPL", "EPR"),)), Plugs(3.0))
    told = [(one.at_s, one.name, one.condition) for one in in_sockets(changes, plugs, ("EPL", "EPR"))]
    assert told == [(1.0, "EPR", "off"), (3.0, "EPL", "off"), (3.0, "EPR", "ok"), (5.0, "EPL", "ok")]
    loose = ElectrodeChange(2.0, "reference", "loose")
    assert in_sockets((loose,), plugs, ("EPL",)) == [loose]


def test_lines_reach_each_others_site_until_told_otherwise() -> None:
    text = "[[plugs]]\nat_s = 2\nlines = [[1, 4]]\n[[plugs]]\nat_s = 9"
    scenario = parse_scenario(tomllib.loads(text))
    assert [scenario.line_at(at_s, 1) for at_s in (1.9, 2.0, 8.9, 9.0)] == [1, 4, 4, 1]
    assert [scenario.line_at(5.0, line) for line in (2, 4)] == [2, 1]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            'electrodes = ["EPL", "EPR"]',
            r"electrodes = \['EPL', 'EPR'\] is no list of pairs; write for example",
        ),
        ('electrodes = "EPL"', "is no list of pairs"),
        ('electrodes = [["EPL"]]', "is no list of pairs"),
        ('electrodes = [["EPL", 3]]', "is no list of pairs"),
        ('electrodes = [["EPL", "XX"]]', "'XX' is not on the model patient"),
        ('electrodes = [["EPL", "EPR"], ["EPL", "CP3"]]', "'EPL' stands there twice"),
        ('electrodes = [["EPL", "EPL"]]', "'EPL' stands there twice"),
        ("lines = [[1, 1]]", "1 stands there twice"),
        ("lines = [[1, 9]]", "lines = 9 is impossible; give 1 to 8"),
        ("lines = [[true, 2]]", "is no list of pairs"),
        ("lines = 3", "is no list of pairs"),
        ("line = 3", "unknown key 'line'; known keys: at_s, electrodes, lines"),
    ],
)
def test_what_cannot_be_is_one_line(keys: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as fault:
        parse_scenario(tomllib.loads(f"[[plugs]]\nat_s = 0\n{keys}"))
    assert str(fault.value).startswith("scenario, plugs 1") and "\n" not in str(fault.value)
