"""The audit chain: what its hash is; that no change of a row goes unseen or is named at the wrong place."""

import hashlib
import json
import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from hostd.audit import Break, Entry, Head, Row, canonical, first_break, first_head, parse_head

CASE = "20261123-161530-3f9a61c8"
N = 40


def by_hand(previous: str, *values: object) -> str:
    """The hash of a row, as another program would work it out."""
    texts = [str(value).encode() for value in values]
    return hashlib.sha256(
        previous.encode() + b"".join(str(len(t)).encode() + b":" + t + b"," for t in texts)
    ).hexdigest()


def chain(entries: list[Entry], case_id: str = CASE) -> tuple[list[Row], Head]:
    """The rows of a table with these entries, and its head."""
    rows: list[Row] = []
    head = first_head(case_id)
    for e in entries:
        head = head.follow(e)
        rows.append((head.n, e.utc_ns, e.sample, e.actor, e.action, e.detail, head.hash))
    return rows, head


def entry(k: int) -> Entry:
    return Entry(1_793_000_000_000_000_000 + k * 10**7, 40 * k, "tech", "mark", canonical({"text": f"x{k}"}))


ROWS, HEAD = chain([entry(k) for k in range(N)])


def found(rows: list[Row], head: Head | None = HEAD, case_id: str = CASE) -> Break | None:
    return first_break(lambda: sorted(rows, key=lambda row: row[0]), case_id, head)  # type: ignore[arg-type,return-value]


def test_the_hash_is_the_one_that_the_module_says() -> None:
    start = hashlib.sha256(CASE.encode()).hexdigest()
    one = Entry(
        1_793_000_000_000_000_000, -1, "T\N{LATIN SMALL LETTER A WITH DIAERESIS}", "a,1:b", '{"x":null}'
    )
    first = by_hand(start, 1, 1_793_000_000_000_000_000, -1, "T\u00e4", "a,1:b", '{"x":null}')
    second = by_hand(first, 2, 5, 0, "", "", "")
    assert first_head(CASE) == Head(0, start)
    assert first_head(CASE).follow(one) == Head(1, first)
    assert Head(1, first).follow(Entry(5, 0, "", "", "")) == Head(2, second)
    assert first == "86dc231fbc3f20a534afebbf461a893003027c085b8cd145332ef69fc42d3396"


def test_no_two_rows_share_an_encoding() -> None:
    texts = ("", "1", ",", "1:", "1:1,", "11", "\0", "1:,")
    hashes = {
        Head(0, "").follow(Entry(u, 1, a, b, c)).hash
        for u in (1, 11)
        for a in texts
        for b in texts
        for c in texts
    }
    assert len(hashes) == 2 * len(texts) ** 3


def test_details_have_one_encoding() -> None:
    detail = {
        "b": b"\x01\xff",
        "a": math.nan,
        3: [1, (2.5, True)],
        "m": {"z": 1, "y": None},
        "s": "\u00b5\ud800",
    }
    same = dict(reversed(detail.items()))
    text = canonical(detail)  # type: ignore[arg-type]
    assert text == canonical(same)  # type: ignore[arg-type]
    assert text == '{"3":[1,[2.5,true]],"a":null,"b":"01ff","m":{"y":null,"z":1},"s":"\\u00b5\\ud800"}'
    strangers = {"i": math.inf, "p": 1 + 2j, "n": np.int64(7), "f": np.float32(0.5), "t": np.bool_(True)}
    assert json.loads(canonical(strangers)) == {"i": "inf", "p": "(1+2j)", "n": 7, "f": 0.5, "t": True}


def test_heads_survive_their_text_and_others_are_none() -> None:
    assert parse_head(HEAD.as_json()) == HEAD
    for text in ("", "None", "[]", '{"n": "1", "hash": "x"}', '{"n": 1}', '{"n": 1, "hash": 2}', "{"):
        assert parse_head(text) is None


def test_a_whole_chain_is_whole_and_fits_no_other_case() -> None:
    assert found(ROWS) is None
    assert found([], first_head(CASE)) is None
    moved = found(ROWS, case_id="another")
    assert moved is not None and (moved.n, moved.what) == (1, "altered") and "the case's id" in moved.why
    empty = found([], first_head(CASE), "another")
    assert empty is not None and empty.what == "head mismatch"


def test_a_missing_tail_is_said_with_both_numbers() -> None:
    rows, head = chain([entry(k) for k in range(120)])
    broken = found(rows[:117], head)
    said = "the last entries are missing: head says n = 120, the table ends at 117"
    assert broken == Break(118, "removed", said)
    gone = found([], head)
    assert gone is not None and (gone.n, gone.what) == (1, "removed") and "the table is empty" in gone.why


def test_the_entry_at_fault_is_named_with_action_and_time() -> None:
    rows = [*ROWS]
    rows[4] = (*rows[4][:4], "mork", *rows[4][5:])
    broken = found(rows)
    assert broken is not None and (broken.n, broken.what) == (5, "altered")
    assert broken.why == "n = 5 ('mork' of 2026-10-26 07:33:20.040) does not follow from n = 4"


def test_an_entry_replaced_with_its_own_hash_shows_at_the_one_behind_it() -> None:
    rows = [*ROWS]
    head = Head(4, str(rows[3][-1])).follow(entry(99))
    rows[4] = (
        5,
        *(getattr(entry(99), f) for f in ("utc_ns", "sample", "actor", "action", "detail")),
        head.hash,
    )
    broken = found(rows)
    assert broken is not None and (broken.n, broken.what) == (6, "altered") and "from n = 5" in broken.why


Tampering = Callable[[random.Random, list[Row]], tuple[list[Row], Head | None]]


def renumbered(rows: list[Row], start: int = 1) -> list[Row]:
    return [(k, *row[1:]) for k, row in enumerate(rows, start)]


def edit(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    """One column of one row, by a value of its type or of none that it may have."""
    at, column = r.randrange(N), r.randrange(1, 7)
    row = list(rows[at])
    old = row[column]
    others: list[object] = [None, b"x", str(old).encode(), 1.5, str(old) + " ", "", r.choice(rows)[column]]
    others += [int(str(old)) + r.choice((-1, 1)), -int(str(old)) - 1] if column < 3 else [str(old).upper()]
    row[column] = r.choice([value for value in others if type(value) is not type(old) or value != old])
    rows[at] = tuple(row)
    return rows, HEAD


def edit_n(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    at = r.randrange(N)
    rows[at] = (r.choice((0, -3, N + 1, N + 7, 10**18)), *rows[at][1:])
    return rows, HEAD


def remove(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    at = r.randrange(N)
    del rows[at : at + r.choice((1, 1, 2, 5))]
    return rows, HEAD


def remove_and_renumber(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    rows, _ = remove(r, rows)
    return renumbered(rows), HEAD


def cut(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    return rows[: r.randrange(N)], HEAD


def empty(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    return [], HEAD


def insert(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    """A row of our own among the others or behind them, its hash garbage, copied, or right where it is."""
    at = r.randrange(N + 1)
    before = Head(at, str(rows[at - 1][-1]) if at else first_head(CASE).hash)
    e = entry(r.randrange(1000, 2000))
    known = r.choice(("0" * 64, str(r.choice(rows)[-1]), before.follow(e).hash, before.follow(e).hash))
    rows.insert(at, (0, e.utc_ns, e.sample, e.actor, e.action, e.detail, known))
    return renumbered(rows), HEAD


def append(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    rows, _ = chain([entry(k) for k in range(N + r.randrange(1, 4))])
    rows[-1] = (int(str(rows[-1][0])) + r.choice((0, 5)), *rows[-1][1:])
    return rows, HEAD


def swap(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    """Two rows change places, with their hashes or without."""
    a, b = r.sample(range(N), 2)
    end = r.choice((6, 7))
    rows[a], rows[b] = (
        (a + 1, *rows[b][1:end], *rows[a][end:]),
        (b + 1, *rows[a][1:end], *rows[b][end:]),
    )
    return rows, HEAD


def move(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    a, b = r.sample(range(N), 2)
    rows.insert(b, rows.pop(a))
    return renumbered(rows), HEAD


def shift(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    at = r.randrange(N)
    return rows[:at] + renumbered(rows[at:], at + 1 + r.randrange(1, 9)), HEAD


def head(r: random.Random, rows: list[Row]) -> tuple[list[Row], Head | None]:
    others = (None, Head(N, "0" * 64), Head(N + 3, HEAD.hash), Head(N - 3, HEAD.hash), Head(N - 3, "0"))
    return rows, r.choice(others)


KINDS: dict[Tampering, set[str]] = {
    edit: {"altered"},
    edit_n: {"reordered"},
    remove: {"removed"},
    remove_and_renumber: {"removed"},
    cut: {"removed"},
    empty: {"removed"},
    insert: {"inserted"},
    append: {"inserted"},
    swap: {"reordered"},
    move: {"reordered"},
    shift: {"reordered"},
    head: {"head mismatch"},
}


@pytest.mark.control("H6.1")
@pytest.mark.parametrize("tampering", KINDS, ids=lambda kind: str(kind.__name__))
def test_every_tampering_is_found_at_its_place_for_what_it_is(tampering: Tampering) -> None:
    r = random.Random(tampering.__name__)
    written = {row[0]: row for row in ROWS}
    for _ in range(150):
        rows, said = tampering(r, [*ROWS])
        now = {row[0]: row for row in rows}
        numbers = [n for n in {*now, *written} if isinstance(n, int) and n > 0]
        differ = [n for n in numbers if repr(now.get(n)) != repr(written.get(n))]
        broken = found(rows, said)
        assert broken is not None, rows
        assert broken.n == min(differ, default=N), (broken, rows)
        assert broken.what in KINDS[tampering], (broken, rows)
        assert "\n" not in broken.why


def test_two_tamperings_at_once_are_found_at_the_first() -> None:
    r = random.Random(2)
    written = {row[0]: row for row in ROWS}
    kinds = [kind for kind in KINDS if kind in (edit, swap)]
    for _ in range(300):
        rows, _ = r.choice(kinds)(r, [*ROWS])
        rows, said = r.choice(kinds)(r, rows)
        differ = [row[0] for row in rows if repr(row) != repr(written[row[0]])]
        broken = found(rows, said)
        assert broken is None if not differ else broken is not None and broken.n == min(differ)  # type: ignore[type-var]


def test_nothing_is_found_where_nothing_was_changed() -> None:
    r = random.Random(3)
    letters = 'a"\\,:0\0\n\u00b5\U0001f9e0 '
    for _ in range(200):
        texts = ["".join(r.choices(letters, k=r.randrange(6))) for _ in range(3)]
        rows, end = chain(
            [Entry(r.randrange(-9, 10**18), r.randrange(-1, 9), *texts) for _ in range(r.randrange(9))],
            texts[0],
        )
        assert found(rows, end, texts[0]) is None


def test_rows_with_a_number_twice_or_none_are_strangers() -> None:
    for extra in ((3, *ROWS[10][1:]), ("x", *ROWS[0][1:]), (-1, *ROWS[0][1:]), (None, *[None] * 6)):
        rows = [*ROWS, extra]
        broken = first_break(
            lambda rows=rows: sorted(rows, key=lambda w: (str(type(w[0])), w[0])), CASE, HEAD
        )  # type: ignore[misc]
        assert broken is not None and broken.what == "inserted"
