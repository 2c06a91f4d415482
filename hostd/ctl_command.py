"""`evokd ctl`: one control request from words, its reply as JSON."""

import argparse
import json
import sys
from typing import Any

from hostd import options
from hostd.errors import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `evokd ctl`."""
    parser.add_argument("request", metavar="COMMAND")
    parser.add_argument("args", nargs="*", metavar="key=value")
    options.bus_option(parser)
    options.client_keys_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask and print: 0 when it was done. Raises UsageError for words that are none, EvokdError unanswered."""
    from hostd.client import request

    words: dict[str, Any] = {}
    for word in args.args:
        key, value = key_value(word)
        name, dot, inner = key.partition(".")
        if dot:  # values.map_mmhg=62
            words.setdefault(name, {})[inner] = value
        else:
            words[key] = value
    reply = request(args.bus, args.request, words, key=options.client_key(args))
    sys.stdout.write(json.dumps(reply, default=_jsonable) + "\n")
    return 0 if reply.get("ok") else 1


def key_value(word: str) -> tuple[str, str]:
    """`key=value` as both. Raises UsageError."""
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UsageError(f"{word!r} is not key=value")
    return key, value


def _jsonable(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
