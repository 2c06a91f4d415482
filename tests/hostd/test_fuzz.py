"""A seeded slice of the fuzz campaign (`make fuzz`), recorded, and that it would see what it looks for."""

import json
from pathlib import Path
from typing import Any

import pytest

from hostd import clients, control_desk
from hostd.audit_check import check
from hostd.store import read_rows
from tests.fuzz import control, link


@pytest.mark.control("H16.3")
def test_control_messages_of_any_kind_are_answered_and_noted(tmp_path: Path) -> None:
    found = control.run(2400, 5, 1, tmp_path)
    assert found.wrong == []
    assert found.messages == 2400 and found.pulses > 0 and found.codes["ok"] > 50
    assert found.codes["bad_request"] > 1000 and found.codes["not_allowed"] > 100 and found.codes["busy"] > 50
    (case,) = tmp_path.iterdir()
    report = check(case)
    assert report.why == "" and report.head_matches
    rows = read_rows(case / "case.sqlite", "SELECT actor, action, detail FROM audit")
    details = [(actor, action, json.loads(detail)) for actor, action, detail in rows]
    asked = [
        d for actor, action, d in details if "asked_by" not in d and ("args" in d or action == "bad_request")
    ]
    more = sum(d["more"] for _, action, d in details if action == "flood.ended")
    assert more > 50 and found.messages - found.codes["busy"] <= len(asked) + more
    assert found.messages - 100 < len(asked) + more, "but for a flood that has not ended"


@pytest.mark.control("H16.3")
def test_link_frames_of_any_kind_are_taken_or_counted() -> None:
    for found in (link.host(2000, 1), link.edge(1000, 1), link.edge(500, 2, openings=True)):
        assert found.wrong == [] and found.taken > 100 and found.bad > 200 and found.blocks > 20


def test_the_campaign_sees_a_current_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CALM_S", 0.0)
    monkeypatch.setattr(clients, "barred", lambda role, command: "")
    handle = control_desk.ControlDesk._change

    def as_anybody(self: Any, request: Any, answer: Any, actor: str, role: str) -> None:
        handle(self, request, answer, actor, "operator")

    monkeypatch.setattr(control_desk.ControlDesk, "_change", as_anybody)
    found = control.run(500, 10, 3)
    assert any("was ordered by nobody who may" in text for text in found.wrong)
