"""Markers: a label without spaces that is of few kinds, then the particulars as JSON."""

import json

import pytest

from hostd.bridges import markers
from hostd.bridges.raw_rows import Missing
from hostd.wire import Message

STIM = {
    "test": "left_median",
    "site": "left median",
    "line": 1,
    "verified": True,
    "number": 7,
    "lag_samples": 1,
}
ALERT = {"id": "change-3", "test": "right_tibial", "kind": "change", "priority": "high", "state": "confirmed"}


@pytest.mark.parametrize(
    ("topic", "header", "label"),
    [
        ("stim", STIM, "stim/left_median"),
        ("stim", STIM | {"test": None}, "stim/line1"),
        ("event", {"kind": "test.start", "test": "a b", "text": "x"}, "test.start/a_b"),
        ("event", {"kind": "surgeon", "text": "clip\non", "author": "Ann"}, "event/surgeon"),
        ("event", {"kind": "", "text": ""}, "event/-"),
        ("alert", ALERT | {"cause": "focal", "text": "fell"}, "alert/high/confirmed"),
    ],
)
def test_the_label_is_told_apart_by_one_space(topic: str, header: dict[str, object], label: str) -> None:
    text = markers.marker(Message(topic, header))
    assert text is not None
    got, _, told = text.partition(" ")
    fields = json.loads(told)
    assert got == label and "\n" not in text and "author" not in fields
    assert all(fields[key] == header[key] for key in fields)
    assert {*fields, "author", "test", "kind"} >= {*header}


def test_other_topics_are_no_markers_and_long_texts_are_cut() -> None:
    assert markers.marker(Message("status", {})) is None
    text = markers.marker(Message("event", {"kind": "note", "text": "x" * 9000}))
    assert text is not None and len(text) < markers.MOST + 100 and "…" in text


def test_a_gap_says_where_how_long_and_who_lost_it() -> None:
    label, _, told = markers.gap(Missing(40, 10, "box")).partition(" ")
    assert label == "bridge/gap" and json.loads(told) == {"first_index": 40, "samples": 10, "lost_by": "box"}
