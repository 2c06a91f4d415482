"""`evokd keys`: make, list and revoke the CURVE keys of a box and its clients.

Says in one line what it did and what is to be done with it. Refuses to write over a key, or to show a secret.
"""

import argparse
from pathlib import Path
from typing import TextIO

from hostd import keys
from hostd.options import Parser
from hostd.peers import KEY_ROLES


def add_options(p: argparse.ArgumentParser) -> None:
    """The commands of `evokd keys`."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    texts = {
        "server": "make the box's own key; once, before all others",
        "new": "make a client's key",
        "list": "who has a key, and for what",
        "revoke": "end a client's key; a running box hangs up on it",
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text, description=text)
        if name in ("new", "revoke"):
            action.add_argument("who", metavar="NAME", help="of a person or a display")
        if name == "new":
            action.add_argument("--role", required=True, choices=KEY_ROLES, help="what it is for")
        default = keys.default_keys()
        action.add_argument("--keys", type=Path, default=default, metavar="DIR", help=f"usually {default}")


def run(args: argparse.Namespace, out: TextIO) -> int:
    """Do what was asked. Raises UsageError."""
    folder = args.keys.expanduser()
    match args.action:
        case "server":
            public = keys.new_server(folder)
            out.write(f"{folder}: the box is known by {public}; evokd run --keys {folder}\n")
        case "new":
            path = keys.new_client(folder, args.who, args.role)
            out.write(
                f"{path}: take this one file to the client; there: evokd ctl hello --keys {path.name}\n"
            )
        case "revoke":
            keys.revoke(folder, args.who)
            out.write(f"{args.who} is revoked; a running box hangs up on it within a second\n")
        case _:
            for key in keys.listed(folder):
                here = "secret here" if (folder / f"{key.name}.secret").exists() else ""
                out.write(f"{key.name:<32} {key.role:<12} {key.public} {here}".rstrip() + "\n")
    return 0
