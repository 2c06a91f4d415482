"""`evokd bridge lsl|prometheus`: options, and which bridge they start."""

import argparse
import socket

from hostd import options
from hostd.bridges import NAMES
from hostd.endpoints import parse_bus
from hostd.errors import UsageError
from hostd.signals import stop_event

DEFAULT_METRICS = "127.0.0.1:9750"
STREAMS = ("raw", "averages", "markers")


def add_options(p: argparse.ArgumentParser) -> None:
    """The commands of `evokd bridge`."""
    kinds = p.add_subparsers(dest="bridge", required=True, metavar="TO", parser_class=options.Parser)
    for name, text in NAMES.items():
        kind = kinds.add_parser(name, help=text, description=text)
        options.bus_option(kind)
        options.client_keys_options(kind)
        if name == "lsl":
            every = ",".join(STREAMS)
            kind.add_argument("--streams", default=every, metavar="NAMES", help=f"of {every} (default: all)")
            kind.add_argument("--box", metavar="NAME", help="in the names of the streams (default: its host)")
        else:
            kind.add_argument(
                "--http", default=DEFAULT_METRICS, metavar="HOST:PORT", help="where to serve /metrics"
            )


def run(args: argparse.Namespace) -> int:
    """Bridge until told to stop. Raises UsageError, BusError."""
    parse_bus(args.bus)
    key = options.client_key(args)
    if args.bridge == "prometheus":
        from hostd.bridges import scrape

        scrape.serve(args.bus, args.http, stop_event(supervised=False), key)
        return 0
    from hostd.bridges import lsl

    chosen = tuple(dict.fromkeys(args.streams.split(",")))
    if unknown := [name for name in chosen if name not in STREAMS]:
        raise UsageError(f"--streams {unknown[0]!r} is none of {', '.join(STREAMS)}")
    box = args.box or _host(args.bus)
    lsl.serve(lsl.LslOptions(args.bus, box, chosen, key), stop_event(supervised=False))
    return 0


def _host(bus: str) -> str:
    """What to call the box at `bus`: its host, and on loopback this machine's name."""
    host = parse_bus(bus).events.removeprefix("tcp://").rpartition(":")[0]
    return socket.gethostname() if host in ("127.0.0.1", "localhost", "[::1]") else host
