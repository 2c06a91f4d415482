"""Every key that tomllib sees is located on its own line, whatever the notation."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.toml_lines import locate

NOTATIONS = '''# a comment with [brackets] = and "quotes"
title = "a ] } # = b"   # trailing
"quoted \\"key\\"" = 1
a.b . 'c d' = 2
text = """
[not.a.table]
x = 1 \\"""
""""
raw = \'\'\'
[[neither]]
\'\'\'
many = [
  1,        # first
  [2, 3],
  { x = 4, y.z = "}" },
]
day = 1979-05-27 07:32:00

[ table . sub ]
key = { CP3 = "EEG, CP3", n = [] }

[test.left]
line = 1
[[test.left.peak]]
name = "N20"
[[test.left.peak]]
name = "P25"
deep = [[[]]]
[test.right]
line = 2
'''


def walk(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from walk(item, (*path, key))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_notation_is_located(newline):
    text = NOTATIONS.replace("\n", newline)
    lines = locate(text)
    rows = NOTATIONS.split("\n")
    for path in walk(tomllib.loads(text)):
        assert path in lines.by_path, path
    expected = {
        ("title",): "title =",
        ('quoted "key"',): '"quoted',
        ("a", "b", "c d"): "a.b",
        ("text",): "text =",
        ("raw",): "raw =",
        ("many", 1, 1): "  [2",
        ("many", 2, "y", "z"): "  { x",
        ("day",): "day",
        ("table", "sub"): "[ table",
        ("table", "sub", "key", "n"): "key =",
        ("test", "left", "line"): "line = 1",
        ("test", "left", "peak", 1, "name"): 'name = "P25"',
        ("test", "right", "line"): "line = 2",
    }
    for path, start in expected.items():
        assert rows[lines.of(path) - 1].startswith(start), path


def test_what_is_not_written_has_the_line_of_the_table_around_it():
    lines = locate(NOTATIONS)
    assert lines.of(("test", "left", "peak", 1, "window_ms")) == lines.of(("test", "left", "peak", 1))
    assert lines.of(("test", "right", "modality")) == lines.of(("test", "right"))
    assert lines.of(("acquisition", "rate_hz")) == 1


CHARACTERS = st.sampled_from("ab1_ .=#,[]{}\"'\\\t")
KEYS = st.text(CHARACTERS, max_size=6)
LEAVES = st.one_of(st.integers(-99, 99), st.booleans(), st.text(CHARACTERS, max_size=8))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def dump(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'''{value}'''" if value.isalnum() else json.dumps(value)
    if isinstance(value, list):
        return "[\n" + ",\n".join(dump(item) for item in value) + "\n]"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key)} = {dump_inline(item)}" for key, item in value.items()) + "}"
        )
    return str(value)


def dump_inline(value):
    return dump(value).replace("[\n", "[").replace(",\n", ",").replace("\n]", "]")


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3))
def test_any_document_is_located_whole_and_in_order(document):
    rows = []
    for name, table in document.items():
        rows += [
            f"[{json.dumps(name)}]",
            *(f"{json.dumps(key)} = {dump(value)}" for key, value in table.items()),
        ]
    text = "\n".join(rows)
    lines = locate(text)
    paths = list(walk(tomllib.loads(text)))
    assert [path for path in paths if path not in lines.by_path] == []
    assert [lines.of(path) for path in paths] == sorted(lines.of(path) for path in paths)


@given(st.text(st.sampled_from("[]{}\"'=.,# \n\\ab1"), max_size=60))
def test_text_that_is_no_toml_is_searched_without_raising(text):
    assert locate(text).of(("a",)) >= 1
