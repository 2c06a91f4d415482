"""Known vulnerabilities are in the bill of materials with what they mean here; each is of one version."""

import json
from pathlib import Path

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion

from tests.safety import sbom, vex
from tests.safety.records import SafetyFileError, load

PINS = {"py-zmq": ("py_zmq", "26.0"), "aiohttp": ("aiohttp", "3.9.0")}
ASKED = '[asked]\nsource = "OSV"\non = "2026-12-01"\nwhy_not = ""\n'
ENTRY = """
[[vulnerability]]
id = "CVE-2026-1"
source = "https://osv.dev/vulnerability/CVE-2026-1"
package = "Py_ZMQ"
version = "26.0"
state = "not_affected"
justification = "code_not_reachable"
detail = "Nothing here unpacks wheels."
"""


def told(folder: Path, text: str) -> vex.Vex:
    (folder / vex.FILE).write_text(text)
    return load(vex.Vex, folder / vex.FILE)


def test_what_is_known_is_in_the_bill_by_the_schema_of_1_6(tmp_path: Path) -> None:
    from cyclonedx.validation.json import JsonStrictValidator  # takes more than a second

    bom = Bom()
    vex.add_to(bom, told(tmp_path, ASKED + ENTRY))
    text = sbom.as_json(bom)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    (one,) = json.loads(text)["vulnerabilities"]
    assert (one["id"], one["affects"]) == ("CVE-2026-1", [{"ref": "pkg:pypi/py-zmq@26.0"}])
    assert one["analysis"] == {
        "state": "not_affected",
        "justification": "code_not_reachable",
        "detail": "Nothing here unpacks wheels.",
    }


def test_an_empty_list_says_whether_anybody_was_asked(tmp_path: Path) -> None:
    nobody = told(
        tmp_path, 'vulnerability = []\n[asked]\nsource = "OSV"\non = ""\nwhy_not = "No way there."\n'
    )
    assert vex.said(nobody) == "Known vulnerabilities (VEX): OSV has told nothing. No way there."
    clean = told(tmp_path, "vulnerability = []\n" + ASKED)
    assert vex.said(clean) == "Known vulnerabilities (VEX), as OSV told on 2026-12-01: none known."
    assert vex.said(told(tmp_path, ASKED + ENTRY)).endswith("on 2026-12-01: 1 not_affected.")
    bill = json.loads(sbom.as_json(sbom.bill()))
    assert [one["value"] for one in bill["properties"]] == [vex.said(vex.read())]
    assert vex.faults(vex.read(), sbom.pins()) == ()


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ('version = "26.0"', 'version = "25.9"', "was judged of Py_ZMQ 25.9, pinned is 26.0; judge anew"),
        ('"Py_ZMQ"', '"left-pad"', "is of left-pad, which is not pinned; remove it"),
        ("code_not_reachable", "trust_me", "is not_affected without a justification; write one of code_not"),
        ("Nothing here unpacks wheels.", " ", "is not_affected without a reason; write its detail"),
        ('on = "2026-12-01"', 'on = "yesterday"', "asked on 'yesterday' is no day; write it as 2026-12-31"),
        ('on = "2026-12-01"', 'on = ""', "either OSV was asked on a day, or there is a reason why not"),
        ('why_not = ""', 'why_not = "No."', "either OSV was asked on a day, or there is a reason why not"),
        (ENTRY, ENTRY + ENTRY, "CVE-2026-1 of Py_ZMQ stands there twice; keep one"),
    ],
)
def test_what_is_wrong_with_the_list_is_one_line(tmp_path: Path, was: str, becomes: str, fault: str) -> None:
    assert vex.faults(told(tmp_path, ASKED + ENTRY), PINS) == ()
    (line,) = vex.faults(told(tmp_path, (ASKED + ENTRY).replace(was, becomes)), PINS)
    assert line.startswith("vex.toml: ") and fault in line


def test_a_state_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SafetyFileError, match=r"vex\.toml: Invalid enum value 'fine'"):
        told(tmp_path, ASKED + ENTRY.replace('"not_affected"', '"fine"'))
