"""`evokd web`: its options, and what it says of itself when browsers can come."""

import argparse
import sys
from pathlib import Path

from hostd import options
from hostd.endpoints import only_here, parse_http
from hostd.errors import UsageError
from hostd.route import buses
from hostd.signals import stop_event

MOST_RAW_MB = 16_384
STAGE_S = 5.0


def add_options(p: argparse.ArgumentParser) -> None:
    """One box at --bus or several, and where the pages are."""
    options.bus_option(p)
    options.client_keys_options(p)
    options.http_option(p)
    p.add_argument(
        "--box", action="append", default=[], metavar="NAME=BUS", help="a box of the wall, instead of --bus"
    )
    p.add_argument("--tls", nargs=2, type=Path, metavar=("CERT", "KEY"), help="serve https (PEM files)")
    p.add_argument("--name", action="append", default=[], help="another name of this machine")
    text = "browsers of other machines look without a key"
    p.add_argument("--anyone-looks", action="store_true", help=text)
    p.add_argument("--raw-mb", type=int, default=128, metavar="MB", help="samples of a box kept for readers")
    p.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def boxes(args: argparse.Namespace) -> dict[str, str]:
    """Boxes by name: those of --box, else the one at --bus. Raises UsageError."""
    found: dict[str, str] = {}
    for word in args.box:
        name, equals, bus = word.partition("=")
        if not (equals and name.strip()) or name in found:
            what = "is there already" if name in found else "is not NAME=tcp://HOST:PORT"
            raise UsageError(f"--box {word!r} {what}; give each box a name of its own")
        buses(bus)
        found[name] = bus
    buses(args.bus)
    return found or {"box": args.bus}


def run(args: argparse.Namespace) -> int:
    """Serve until stopped. Raises EvokdError."""
    from hostd.notify import Supervisor
    from hostd.web.gateway import WebOptions, serve
    from hw.stages import Stages

    if not 1 <= args.raw_mb <= MOST_RAW_MB:
        raise UsageError(f"--raw-mb {args.raw_mb} is not from 1 to {MOST_RAW_MB}")
    of, key = boxes(args), options.client_key(args)
    tls = None if args.tls is None else (args.tls[0].expanduser(), args.tls[1].expanduser())

    supervisor = Supervisor(Stages(STAGE_S))

    def ready(port: int) -> None:
        scheme, host = "http" if tls is None else "https", parse_http(args.http)[0]
        pages = "" if len(of) == 1 else f", the wall of {len(of)} boxes"
        sys.stdout.write(f"evokd web: {scheme}://{host}:{port}/{pages}\n")
        sys.stdout.flush()
        supervisor.ready(f"{scheme}://{host}:{port}/")

    if not (
        args.anyone_looks or (tls is not None and key is not None) or only_here(parse_http(args.http)[0])
    ):
        cure = "give --tls and --keys, so that who looks shows a key, or --anyone-looks, or stay on 127.0.0.1"
        raise UsageError(f"--http {args.http} is open to other machines; {cure}")
    names, raw_bytes = tuple(args.name), args.raw_mb << 20
    web = WebOptions(
        of, args.http, key, tls, names, raw_bytes, args.anyone_looks, lambda: supervisor.beat("event loop")
    )
    serve(web, ready, stop_event(args.supervised))
    supervisor.stopping()
    return 0
