"""`python -m firmware.update.health -- EDGE OPTIONS`: would the edge of this slot work on this box?

Run by the launcher on a slot that is on trial, with the slot's own code: everything comes from the slot, what
the bundle asks for is installed, the link answers, the front end comes up and samples flow. Exit 0, or 1 with
the reason as the last line. With `--source pi` it is the real front end, whose registers are written and read
back, with outputs low and no stimulus; else the simulated one.
"""

import argparse
import contextlib
import importlib
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.command_line import Parser
from firmware.errors import EdgeError, LinkError
from hw.bundle import Manifest, decode_head, decode_manifest
from hw.link import (
    Block,
    Configure,
    Description,
    Ended,
    Fault,
    Hello,
    Message,
    Receiver,
    Sender,
    Start,
    check_hello,
    hello,
)

if TYPE_CHECKING:
    from firmware.server import Server

TREE = "EVOKD_CHECKED_TREE"
MODULES = (
    "hw.link",
    "firmware.__main__",
    "firmware.compose",
    "firmware.server",
    "firmware.session",
    "firmware.update.talk",
)
SECONDS = 0.5
RATE_HZ = 1000.0
WITHIN_S = 60.0
_REQUIRED = re.compile(r"([A-Za-z0-9_.-]+)\s*(?:>=\s*([0-9.]+))?.*")


class HealthError(EdgeError):
    """This slot would not work here."""


def come_from(tree: Path) -> None:
    """Every part of the edge is loaded from `tree`. Raises HealthError."""
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 (whatever a module raises, it cannot be used)
            raise HealthError(f"{name} cannot be loaded: {type(error).__name__}: {error}") from None
        if not Path(module.__file__ or "").resolve().is_relative_to(tree.resolve()):
            raise HealthError(f"{name} is loaded from {module.__file__}, not from the slot")


def needs(manifest: Manifest) -> None:
    """Python and every distribution that the bundle asks for are here, new enough. Raises HealthError."""
    have = ".".join(map(str, sys.version_info[:2]))
    if _older(have, manifest.python):
        raise HealthError(f"Python {have} is here, the update needs {manifest.python}; install the box anew")
    for required in manifest.requires:
        match = _REQUIRED.fullmatch(required)
        name, least = (match[1], match[2] or "0") if match else (required, "0")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = ""
        if not version or _older(version, least):
            found = version or "none"
            raise HealthError(f"{required} is needed and {found} is here; update the box's environment first")


def _older(version: str, least: str) -> bool:
    numbers, wanted = ([int(n) for n in re.findall(r"\d+", text)] for text in (version, least))
    return numbers[: len(wanted)] < wanted


class _Host:
    """The other end of the link, by hand."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.settimeout(1.0)
        self._sender, self._receiver = Sender(), Receiver()
        self._heard: list[Message] = []

    def send(self, message: Message) -> None:
        self._socket.sendall(self._sender.frame(message))

    def hear(self) -> Message:
        """The next message. Raises HealthError for silence, LinkError for a fault."""
        deadline_ns = time.monotonic_ns() + round(WITHIN_S * 1e9)
        while not self._heard:
            if time.monotonic_ns() > deadline_ns:
                raise HealthError(f"the link was silent for {WITHIN_S:g} s")
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError as error:
                raise LinkError(f"the link broke: {error.strerror}") from None
            if not data:
                raise LinkError("the edge hung up")
            self._heard += self._receiver.feed(data)
        message = self._heard.pop(0)
        if isinstance(message, Fault) and message.fatal:
            raise HealthError(message.text)
        return message

    def close(self) -> None:
        self._socket.close()


def flows(host: "_Host") -> int:
    """Samples of the whole talk from Hello to the end of the source. Raises EdgeError when they do not
    flow."""
    host.send(hello("host", 1))
    peer = host.hear()
    if not isinstance(peer, Hello) or check_hello(peer):
        raise HealthError(f"the edge answered Hello with {type(peer).__name__}, or as another version")
    channels = ("CP3", "CP4", "Fpz", "C5S")
    host.send(Configure(RATE_HZ, 24, channels, ("left median",), ("",) * 4, "", float("nan"), ()))
    description = host.hear()
    if not isinstance(description, Description):
        raise HealthError(f"the edge answered Configure with {type(description).__name__}")
    host.send(Start(1))
    at = samples = 0
    while not isinstance(message := host.hear(), Ended):
        if not isinstance(message, Block):
            continue
        at += sum(gap.length for gap in message.gaps)
        if message.first_index != at:
            raise HealthError(f"samples of index {message.first_index} came where {at} were due")
        at += len(message.bits)
        samples += len(message.bits)
    return samples


def _serve(server: "Server", failed: list[BaseException]) -> None:
    try:
        server.run()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the reason)
        failed.append(error)


def link_and_samples(edge: Sequence[str]) -> None:
    """A server as the edge's options make it, met on a socket of its own. Raises EdgeError."""
    # Not above: this compiles the loop, and modules are checked first.
    from firmware.__main__ import parser as edge_parser
    from firmware.compose import EdgeOptions, build
    from firmware.server import Server
    from firmware.transport import Listener

    args = edge_parser().parse_args(edge)
    real = args.source == "pi"
    options = (
        EdgeOptions("pi", 1.0, SECONDS, wiring=args.wiring)
        if real
        else EdgeOptions("simulated", None, SECONDS)
    )
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="evokd-") as folder:
        listener = Listener(f"unix:{folder}/link")
        server = Server(build(options), listener, stop)
        failed: list[BaseException] = []
        thread = threading.Thread(target=_serve, args=(server, failed), name="health", daemon=True)
        thread.start()
        try:
            with contextlib.closing(_Host(f"{folder}/link")) as host:
                samples = flows(host)
        except LinkError as error:
            thread.join(WITHIN_S)
            told = next((f"{type(f).__name__}: {f}" for f in failed), str(error))
            raise HealthError(told) from None
        finally:
            stop.set()
            thread.join(WITHIN_S)
            listener.close()
    wanted = round(SECONDS * RATE_HZ)
    if samples < 0.9 * wanted:
        raise HealthError(f"{samples} samples came of {wanted}")


def main(argv: Sequence[str] | None = None) -> int:
    """Check; the process's exit code."""
    p: argparse.ArgumentParser = Parser(prog="python -m firmware.update.health")
    p.add_argument("edge", nargs="*", metavar="-- EDGE OPTIONS")
    try:
        args = p.parse_args(argv)
        if tree := os.environ.get(TREE):
            come_from(Path(tree))
            try:
                head = decode_head((Path(tree).parent / "head").read_bytes())
                needs(decode_manifest(head.manifest))
            except (OSError, ValueError) as error:
                raise HealthError(f"the slot's manifest cannot be read: {error}") from None
        link_and_samples(args.edge)
    except EdgeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write("healthy\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
