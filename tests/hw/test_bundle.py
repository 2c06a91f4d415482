"""What a bundle's manifest may say, and what no path in it may do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.bundle import (
    HEAD_START,
    MAGIC,
    MOST_BYTES,
    MOST_FILE_BYTES,
    MOST_FILES,
    BundleFile,
    Head,
    Manifest,
    decode_head,
    decode_manifest,
    head_size,
)

HASH = "0" * 64
GOOD = Manifest("1.2.3", 7, (BundleFile("hw/a.py", 3, HASH),), 9, "3 9bb9914b", "3.11", ("numpy>=2.1",))


def with_files(*rows: Any) -> bytes:
    return json.dumps(json.loads(GOOD.encode()) | {"files": list(rows)}).encode()


def with_(**changed: Any) -> bytes:
    return json.dumps(json.loads(GOOD.encode()) | changed).encode()


def test_head_and_manifest_read_as_written() -> None:
    head = Head(GOOD.encode(), b"k" * 32, b"s" * 64)
    data = head.encode()
    assert head_size(data[:HEAD_START]) == len(data)
    assert decode_head(data) == head
    assert decode_manifest(head.manifest) == GOOD
    assert GOOD.named == "1.2.3 (build 7)"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../hw/a.py",
        "hw/../../a.py",
        "/etc/passwd",
        "hw//a.py",
        "hw/",
        "hw/./a.py",
        ".hidden",
        "hw/.git",
        "hw\\a.py",
        "hw/a\n.py",
        "hw/a\0.py",
        "C:a.py",
        "hw/ä.py",
        "x" * 201,
        "/".join("abcdefghijk"),
        7,
        None,
    ],
)
def test_a_path_that_could_leave_the_tree_is_refused(path: Any) -> None:
    with pytest.raises(ValueError, match="is not allowed in a bundle"):
        decode_manifest(with_files([path, 1, HASH]))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must have"),
        (b"{}", "must have"),
        (with_(link=3), "plain text"),
        (with_(name="firefox"), "is for 'firefox'"),
        (with_(version=1), "plain text"),
        (with_(version="a\nb"), "plain text"),
        (with_(requires="numpy"), "no list"),
        (with_(requires=["x"] * 101), "no list"),
        (with_(requires=["x\x1b[2J"]), "plain text"),
        (with_(build=-1), "build is no number"),
        (with_(build=True), "build is no number"),
        (with_(build=1 << 60), "build is no number"),
        (with_(may_replace="9"), "may_replace is no number"),
        (with_(files={}), "must list"),
        (with_files(), "must list"),
        (with_files(*(["a", 1, HASH],) * (MOST_FILES + 1)), "must list"),
        (with_files(["a", 1]), "path, size and SHA-256"),
        (with_files("a"), "path, size and SHA-256"),
        (with_files(["a", MOST_FILE_BYTES + 1, HASH]), "longer than"),
        (with_files(["a", 1.5, HASH]), "has no length"),
        (with_files(["a", 1, "0" * 63]), "has no SHA-256"),
        (with_files(["a", 1, HASH.replace("0", "G")]), "has no SHA-256"),
        (with_files(["a", 1, HASH], ["a", 1, HASH]), "stands twice"),
        (with_files(["a", 1, HASH], ["a/b", 1, HASH]), "is a file and a folder"),
        (with_files(*([f"f{k}", MOST_FILE_BYTES, HASH] for k in range(9))), f"more than {MOST_BYTES}"),
    ],
)
def test_a_manifest_that_says_what_it_must_not_is_refused(manifest: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_manifest(manifest)


def test_keys_of_the_future_are_ignored() -> None:
    assert decode_manifest(with_(more={"x": 1})) == GOOD


@pytest.mark.parametrize("start", [b"", b"PK\3\4" * 10, MAGIC, MAGIC + b"\0\0", MAGIC + b"\xff\xff\xff\x7f"])
def test_bytes_that_do_not_begin_as_a_bundle_are_refused(start: bytes) -> None:
    with pytest.raises(ValueError, match=r"begin as a bundle|longer than"):
        head_size(start)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_only_a_value_error_is_raised(data: bytes) -> None:
    for decode in (decode_head, decode_manifest, lambda d: decode_head(MAGIC + d)):
        try:
            decode(data)
        except ValueError:
            continue
