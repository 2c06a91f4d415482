"""Every check of the doctor is tested where all is not well, and they stand in order of their topics."""

from firmware.doctor.checks import CHECKS
from tests.firmware import (
    test_doctor_board,
    test_doctor_buses,
    test_doctor_kernel,
    test_doctor_software,
    test_doctor_storage,
)
from tests.support.doctor_cases import OK

MODULES = (
    test_doctor_board,
    test_doctor_buses,
    test_doctor_kernel,
    test_doctor_software,
    test_doctor_storage,
)


def test_every_check_is_seen_when_all_is_not_well() -> None:
    faults = {case.check for module in MODULES for case in module.CASES if case.state is not OK}
    assert faults == {check.name for check in CHECKS}


def test_checks_of_a_topic_stand_together() -> None:
    topics = [check.topic for check in CHECKS]
    assert [t for k, t in enumerate(topics) if topics.index(t) == k] == [
        t for k, t in enumerate(topics) if k == 0 or topics[k - 1] != t
    ]
