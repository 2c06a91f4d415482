"""`python -m firmware.update` (`evokd bundle`): make, sign and show bundles and keys; what a box runs.

Exit 0 done, 1 a fault, 2 bad options or files, in one line.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from firmware.command_line import Parser
from firmware.errors import ConfigError, EdgeError
from firmware.update import making
from firmware.update.disk import FolderDisk
from firmware.update.selector import INSTALLED, SLOTS, Selector
from firmware.update.signing import new_key, sign, signer, trusted_keys
from firmware.update.slots import Slots
from hw.bundle import MOST_BUILD, Head, Manifest

Command = Callable[[argparse.Namespace], None]


def parser() -> argparse.ArgumentParser:
    """The options of `evokd bundle`."""
    p = Parser(prog="evokd bundle", description="Updates of an edge: signed bundles and the keys for them.")
    commands = p.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    keys = add("keys", _keys, "make a pair of keys: NAME.key signs and stays here, NAME.pub goes onto boxes")
    keys.add_argument("name", metavar="NAME")
    keys.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where to (default: here)")
    make = add("make", _make, "make a bundle of a source tree")
    make.add_argument(
        "--tree", type=Path, default=Path(), metavar="DIR", help="evokd's sources (default: here)"
    )
    make.add_argument("--build", type=int, required=True, metavar="N", help="a number that only ever grows")
    make.add_argument(
        "--may-replace", type=int, default=0, metavar="N", help="may replace newer builds, up to this one"
    )
    make.add_argument("--key", type=Path, metavar="NAME.key", help="sign it at once")
    make.add_argument("--out", type=Path, required=True, metavar="FILE")
    signing = add("sign", _sign, "sign a bundle that was made without --key, or anew")
    signing.add_argument("bundle", type=Path, metavar="FILE")
    signing.add_argument("--key", type=Path, required=True, metavar="NAME.key")
    show = add("show", _show, "what a bundle is, whether it is whole, and who signed it")
    show.add_argument("bundle", type=Path, metavar="FILE")
    show.add_argument("--keys", type=Path, metavar="DIR", help="public keys to hold its signature against")
    status = add("status", _status, "which slot of this machine starts, and what the slots hold")
    status.add_argument("--state", type=Path, required=True, metavar="DIR")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """One command; the process's exit code."""
    try:
        args = parser().parse_args(argv)
        args.command(args)
    except EdgeError as error:
        sys.stderr.write(f"evokd bundle: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        return 1
    return 0


def _say(topic: str, text: str) -> None:
    sys.stdout.write(f"{topic + ':':10}{text}\n")


def _keys(args: argparse.Namespace) -> None:
    private, public = new_key(args.folder, args.name)
    _say("private", f"{private} (keep it off every box)")
    _say("public", f"{public} (goes into the boxes' folder of update keys)")


def _make(args: argparse.Namespace) -> None:
    if not 0 < args.build <= MOST_BUILD or not 0 <= args.may_replace <= MOST_BUILD:
        raise ConfigError("--build and --may-replace are whole numbers from 1")
    manifest, payload = making.make(args.tree, args.build, args.may_replace)
    head = Head(manifest.encode()) if args.key is None else sign(manifest.encode(), args.key)
    making.write(args.out, head, payload)
    _tell(manifest)
    _say("written", f"{args.out}" + ("" if args.key else ", not signed"))


def _sign(args: argparse.Namespace) -> None:
    head, manifest, payload = making.read(args.bundle)
    making.write(args.bundle, sign(head.manifest, args.key), payload)
    _tell(manifest)
    _say("signed", f"by {args.key}")


def _show(args: argparse.Namespace) -> None:
    head, manifest, _ = making.read(args.bundle)
    _tell(manifest)
    _say("link", f"version and table {manifest.link}")
    _say("needs", f"Python {manifest.python}, {', '.join(manifest.requires)}")
    if args.keys is not None:
        _say("signed", f"by {signer(head, trusted_keys(args.keys))}, whom {args.keys} trusts")
    else:
        _say("signed", f"by key {head.key.hex()}; --keys checks it" if any(head.signature) else "not")


def _tell(manifest: Manifest) -> None:
    older = f", may replace builds up to {manifest.may_replace}" if manifest.may_replace else ""
    _say("bundle", f"{manifest.named}, {len(manifest.files)} files, {manifest.size} bytes{older}")


def _status(args: argparse.Namespace) -> None:
    if not args.state.is_dir():
        raise ConfigError(f"--state {args.state} is no folder; name the one that the launcher has")
    slots = Slots(FolderDisk(args.state))
    selector = slots.selector() or Selector()
    trial = f", on trial, {selector.starts} starts" if selector.trial else ""
    _say("starts", (selector.slot if selector.slot == INSTALLED else f"slot {selector.slot}") + trial)
    for slot in SLOTS:
        manifest = slots.manifest(slot)
        fault = slots.fault(slot, selector.images.get(slot)) if manifest else ""
        _say(f"slot {slot}", f"{manifest.named}, {fault or 'whole'}" if manifest else "empty")
    _say("floor", f"builds up to {selector.floor} are refused")
    if selector.told:
        _say("last", selector.told)


if __name__ == "__main__":
    sys.exit(main())
