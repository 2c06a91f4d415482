"""The timeline: what happened first is taken up first, and the same however samples are cut."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.alerts import Alerts
from hostd.deviations import Deviations
from hostd.hearing import Hearing
from hostd.outgoing import Outgoing
from hostd.score.stories import score_case
from hostd.seen import Seen
from hostd.timeline import Timeline


def said(index: int, source: int, text: str) -> Outgoing:
    return Outgoing("event", index, {"text": f"{source} {text}"})


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=30),
    st.lists(st.integers(1, 25), min_size=1, max_size=12),
)
def test_the_order_does_not_hang_on_the_blocks(things: list[tuple[int, int]], cuts: list[int]) -> None:
    """Each thing comes at most 20 samples after its own, as the delay promises."""

    def told(lengths: list[int]) -> list[str]:
        timeline, fed, out = Timeline(20), 0, []
        waiting = sorted(range(len(things)), key=lambda k: (things[k][0] + k % 20, k))
        for length in [*lengths, 200]:
            fed += length
            while waiting and things[waiting[0]][0] + waiting[0] % 20 < fed:
                k = waiting.pop(0)
                timeline.put(things[k][0], things[k][1], said(*things[k], str(k)))
            out += timeline.due(fed)
        return [m.fields["text"] for m in out + timeline.due(None)]

    whole = told([])
    assert told(cuts) == whole and len(whole) == len(things)
    order = [things[int(text.split()[1])] for text in whole]
    assert order == sorted(order)


def test_what_is_decided_is_decided_in_its_turn() -> None:
    timeline, seen = Timeline(10), []

    def decide() -> list[Outgoing]:
        seen.append("decided")
        return [said(5, 0, "found")]

    timeline.put(5, 0, decide)
    timeline.put(3, 0, said(3, 0, "first"))
    assert timeline.due(12) == [] and seen == []
    assert [m.index for m in timeline.due(13)] == [3] and seen == []
    assert [m.index for m in timeline.due(15)] == [5] and seen == ["decided"]
    timeline.now(30, 1, said(30, 1, "now"))
    assert timeline.due(29) == []
    assert [m.index for m in timeline.due(30)] == [30], "what is known now is told now"


def test_what_follows_from_a_message_is_taken_up_before_the_next_thing() -> None:
    timeline = Timeline(5)
    order: list[str] = []

    def thing(index: int) -> list[Outgoing]:
        order.append(f"{index}")
        return [said(index, 0, "")]

    def after(messages: list[Outgoing]) -> list[Outgoing]:
        order.extend(f"after {m.index}" for m in messages)
        return messages

    for index in (3, 4):
        timeline.put(index, 0, partial(thing, index))
    assert [m.index for m in timeline.due(None, after)] == [3, 4]
    assert order == ["3", "after 3", "4", "after 4"]


def test_whether_a_stimulus_arrived_is_known_before_what_its_sweep_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Told in the other order the first word on an answer that is gone would be an injury."""
    judge, timeline, heard = Deviations(score_case(), 2000.0, Alerts()), Timeline(0), list[float | None]()

    def see(seen: Seen) -> list[Outgoing]:
        heard.append(judge.circumstances.stimulus(seen.test, seen.index, seen.index)["artifact_ratio"])
        return []

    monkeypatch.setattr(judge, "see", see)
    hearing = Hearing(judge, timeline, 9)
    hearing.sweep(1, Seen(5000, "right_mep", "TAL1-TAL2", "answer", -4.0, version=1, error=0.2, count=8))
    hearing.artifact(5000, "right_mep", 0.0)
    timeline.due(5000)
    assert heard == [0.0]
