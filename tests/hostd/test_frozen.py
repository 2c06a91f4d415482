"""What a pipeline knows, as bytes and back: the same bits follow, and bytes of others make nothing."""

import os
import pickle
import subprocess
from collections import Counter, deque
from typing import Any

import numpy as np
import pytest

from hostd import frozen
from hostd.alerts import Alerts
from hostd.fingerprint import Fingerprint
from hostd.frozen import ALIGNED, FrozenError, freeze, thaw
from hostd.pipeline import Pipeline
from hostd.store import Store
from hw.samples import SampleBlock
from tests.support.interrupted import case, given

CASE, DESCRIPTION = case()


def copied(state: Any) -> Any:
    return thaw(bytearray(b"".join(freeze(state))))


def test_a_pipeline_says_the_same_to_the_bit_from_its_copy_on() -> None:
    pipeline, twin = Pipeline(CASE, DESCRIPTION), None
    for test in CASE.tests:
        pipeline.command("test.start", {"test": test.name, "author": ""})
    alone, together, topics = Fingerprint(), Fingerprint(), set()
    for item in given(CASE):
        if not isinstance(item, SampleBlock):
            for one in (pipeline, twin):
                _ = None if one is None else one.prove(item)
            continue
        if twin is None and item.first_index > 4 * DESCRIPTION.rate_hz:
            twin = copied(pipeline)
        said = pipeline.feed(item)
        if twin is not None:
            for message in said:
                topics.add(message.topic.partition(".")[0])
                alone.take(message)
            for message in twin.feed(item):
                together.take(message)
    assert alone.chains() == together.chains()
    assert topics >= {"average", "measure", "response", "tof", "emg", "eeg", "stim", "event", "wave"}


def test_arrays_that_share_memory_share_it_afterwards_and_can_be_written() -> None:
    for order in ("C", "F"):
        owner = np.asarray(np.arange(60_000.0).reshape(100, 600), order=order)  # type: ignore[call-overload]
        rows, small = owner[10:20, ::-2], np.arange(6, dtype=np.int16)
        again = copied({"owner": owner, "rows": rows, "row": rows[3], "small": small, "part": small[2:4]})
        np.testing.assert_array_equal(again["rows"], rows)
        again["owner"][13, -1] = -1.0
        assert again["rows"][3, 0] == again["row"][0] == -1.0
        again["part"][0] = 77
        assert again["small"][2] == 77


def test_large_arrays_are_aligned_and_not_copied() -> None:
    large = np.arange(10_000.0)
    pieces = freeze([large])
    assert any(isinstance(p, memoryview) and np.shares_memory(np.frombuffer(p), large) for p in pieces)
    (again,) = copied([large])
    offset = again.__array_interface__["data"][0] - again.base.__array_interface__["data"][0]
    assert offset % ALIGNED == 0 and again.dtype == large.dtype


def test_what_states_are_made_of_comes_back() -> None:
    state = [
        deque([1, 2], 5),
        Counter("aab"),
        {1, 2},
        frozenset({3}),
        1j,
        slice(1, 2),
        np.float32(2.5),
        range(3),
    ]
    assert copied(state) == state
    bound = copied(Alerts().clear)
    assert bound(1, "a", "b") == []


class Evil:
    def __init__(self, reduced: tuple[Any, ...]) -> None:
        self._reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced


@pytest.mark.control("H16.8")
@pytest.mark.parametrize(
    ("reduced", "why"),
    [
        ((os.system, ("true",)), "names posix.system"),
        ((subprocess.Popen, (["true"],)), "names subprocess.Popen"),
        ((eval, ("1",)), "names builtins.eval"),
        ((getattr, (Store, "__init__")), "asks for __init__ of a type"),
        ((getattr, (Alerts(), "__class__")), "asks for __class__"),
        ((getattr, ("".join, "__self__")), "asks for join of a str"),
        ((frozen.program, ()), "names hostd.frozen.program"),
        ((pickle.loads, (b"",)), "names _pickle.loads"),
    ],
)
def test_bytes_that_name_what_no_state_holds_run_nothing(reduced: tuple[Any, ...], why: str) -> None:
    with pytest.raises(FrozenError, match=why):
        copied([Evil(reduced)])


def test_bytes_of_another_program_or_of_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"".join(freeze({"a": np.arange(5000)}))
    with pytest.raises(FrozenError, match="is no checkpoint"):
        thaw(bytearray(b"PK" + whole))
    with pytest.raises(FrozenError, match=r"has \d+ bytes, \d+ were written"):
        thaw(bytearray(whole + b"more"))
    for cut in (0, 30, 90, 120, 300, len(whole) // 2, len(whole) - 1):
        with pytest.raises(FrozenError):
            thaw(bytearray(whole[:cut]))
    monkeypatch.setattr(frozen, "program", lambda: "0" * 64)
    with pytest.raises(FrozenError, match="another program"):
        thaw(bytearray(whole))


def test_a_state_damaged_anywhere_is_refused_or_at_least_no_other_error() -> None:
    whole = b"".join(freeze([{"a": 1, "b": "text"}, Counter("abc"), np.arange(10)]))
    for at in range(len(frozen.MAGIC) + 64, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        try:
            thaw(damaged)
        except FrozenError as error:
            assert "\n" not in str(error)
