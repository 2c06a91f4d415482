"""`evokd run`, `edge` and `host`: which case, and the processes of a box with their options.

Turns words into what `hostd.run` and `hostd.daemon` take; decides nothing about a case.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hostd import options
from hostd.endpoints import must_have_keys, only_here, parse_bus, parse_http
from hostd.errors import EvokdError, UsageError
from hostd.mirror.command import mirror, mirror_options
from hostd.signals import stop_event

if TYPE_CHECKING:
    from hostd.keeper import Start
    from hostd.keys import Secret


def run_options(p: argparse.ArgumentParser) -> None:
    """Of `evokd run`."""
    options.case_options(p)
    options.source_options(p)
    options.output_options(p)
    options.box_keys_options(p)
    options.http_option(p, "|off")
    options.mirror_option(p)


def edge_options(p: argparse.ArgumentParser) -> None:
    """Of `evokd edge`."""
    options.source_options(p)
    options.link_option(p)


def host_options(p: argparse.ArgumentParser) -> None:
    """Of `evokd host`."""
    options.case_options(p)
    options.output_options(p)
    options.box_keys_options(p)
    options.link_option(p)
    options.mirror_option(p)
    p.add_argument("--seconds", type=float, metavar="S", help="end after so many seconds of samples")
    p.add_argument("--new-case", action="store_true", help="take up no case that was interrupted")
    p.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--edge-starts", action="store_true", help=argparse.SUPPRESS)


def case_of(args: argparse.Namespace) -> tuple[Any, str]:
    """The case asked for and where it stands: a file, a procedure, the recording's own, or the default."""
    from hostd import casefile

    source = getattr(args, "source", "")
    recording = Path(source[5:]) if source.startswith("file:") else None
    folder = recording if recording is None or recording.is_dir() else recording.parent
    beside = None if folder is None else folder / "case.toml"
    if args.case is not None and args.procedure is not None:
        raise UsageError("a case file and --procedure exclude each other; give one")
    if args.case is not None:
        return casefile.load(args.case), str(args.case)
    if args.procedure is None and beside is not None:
        if not beside.exists():
            raise UsageError(f"--source {source}: a foreign recording needs a case file; name one")
        return casefile.load(beside, recorded=True), str(beside)
    name = args.procedure or "median_ssep"
    return casefile.procedure(name), f"procedure {name}"


def run(args: argparse.Namespace) -> int:
    """Edge, host and web display together, to their end."""
    from hostd import run as processes

    parse_bus(args.bus)
    own_key, keyed, shown = options.box_keys(args)
    options.positive_seconds(args.seconds)
    if args.mirror is not None:
        return _run_mirror(args, own_key, keyed, shown)
    kind = args.source.partition(":")[0]
    if kind not in ("simulated", "pi", "file", "serial", "tcp", "unix"):
        known = "simulated, pi, serial:DEVICE, tcp:HOST:PORT or file:RECORDING"
        raise UsageError(f"--source {args.source!r} is not {known}")
    if kind == "file" and not (args.source[5:] and Path(args.source[5:]).exists()):
        raise UsageError(f"recording {args.source[5:] or '(no name)'} does not exist; check the path")
    remote = kind in ("serial", "tcp", "unix")
    case, where = case_of(args)
    chosen = [str(args.case)] if args.case else ["--procedure", args.procedure] if args.procedure else []
    if not chosen and kind == "file":
        chosen = [where]
    of_host = [*chosen, "--bus", args.bus, "--data", args.data, *keyed]
    of_edge = ["--source", args.source, "--speed", args.speed, "--seed", str(args.seed)]
    if args.seconds is not None:
        of_host += ["--seconds", str(args.seconds)]
        of_edge += ["--seconds", str(args.seconds)]
    for name in ("scenario", "wiring"):
        if getattr(args, name) is not None:
            of_edge += [f"--{name}", str(getattr(args, name))]
    places = {"case": case.name, "bus": args.bus, "data": args.data}
    web = _page(args, shown, places)
    link = args.source if remote else None
    stop = stop_event(supervised=False)
    return processes.run(
        processes.RunOptions(None if remote else of_edge, of_host, web, link, args.bus, places, own_key), stop
    )


def _page(args: argparse.Namespace, shown: list[str], places: dict[str, str]) -> list[str] | None:
    """Options of the web display, and where it is; None without one. Raises UsageError."""
    if args.http == "off":
        return None
    if not only_here(parse_http(args.http)[0]):
        cure = f"--http off, and beside it: evokd web --http {args.http} --tls CERT KEY --keys DIR"
        raise UsageError(
            f"--http {args.http} is open to other machines, which evokd run does not serve; {cure}"
        )
    places["page"] = f"http://{args.http}/"
    return ["--bus", args.bus, "--http", args.http, *shown]


def _run_mirror(args: argparse.Namespace, own: "Secret | None", keyed: list[str], shown: list[str]) -> int:
    """A mirror and a web display of it, to their end."""
    from hostd import run as processes

    mirror_options(args)
    of_host = ["--mirror", args.mirror, "--bus", args.bus, "--data", args.data, *keyed]
    of_host += [] if args.as_name is None else ["--as", args.as_name]
    places = {"mirror of": args.mirror, "bus": args.bus, "data": args.data}
    of = processes.RunOptions(None, of_host, _page(args, shown, places), None, args.bus, places, own)
    return processes.run(of, stop_event(supervised=False))


def edge(args: argparse.Namespace) -> int:
    """The edge is a program of its own: this becomes it."""
    command = [sys.executable, "-m", "firmware", "--source", args.source, "--link", args.link]
    command += ["--speed", args.speed, "--seed", str(args.seed)]
    for name in ("seconds", "scenario", "wiring"):
        if getattr(args, name) is not None:
            command += [f"--{name}", str(getattr(args, name))]
    os.execv(sys.executable, command)


def host(args: argparse.Namespace) -> int:
    """The host by itself, to its end; a process that dies is followed by another one."""
    from hostd import daemon  # noqa: F401 - loaded here, so that a process that follows need not
    from hostd.frozen import program
    from hostd.keeper import Start, keep

    parse_bus(args.bus)
    if args.mirror is not None:
        return mirror(args)
    if args.as_name is not None:
        raise UsageError("--as names the key of a mirror for its box; give --mirror too")
    if args.keys is None:
        must_have_keys(args.bus)
    case_of(args)  # what is wrong with a case file is wrong for every process

    def serve(told: Start) -> int:
        first = not told.deaths  # what was interrupted before this start may be left alone
        return _serve(args, replace(told, take_up=told.take_up and not (first and args.new_case)))

    program()
    return serve(Start(True, ())) if args.alone else keep(serve, args.supervised)


def _serve(args: argparse.Namespace, told: "Start") -> int:
    from hostd.daemon import STAGE_S, Daemon, HostOptions
    from hostd.edge_link import COMPILES_S, CONNECT_S
    from hostd.fingerprint import closed_line
    from hostd.notify import Supervisor
    from hw.stages import Stages

    stop = stop_event(supervised=args.alone and args.supervised)
    case, where = case_of(args)
    seconds = options.positive_seconds(args.seconds)
    within_s = COMPILES_S if args.edge_starts else CONNECT_S
    data = options.data_folder(args.data)
    peers = options.most_peers(args.peers)
    of = case, where, args.link, args.bus, data, seconds, within_s, args.keys, peers
    supervisor = Supervisor(Stages(STAGE_S))
    supervisor.says(f"waits for an edge at {args.link}")
    daemon = Daemon(HostOptions(*of, take_up=told.take_up, died=told.deaths), stop, supervisor)
    try:
        daemon.run(lambda: supervisor.ready(f"case {case.name}"))
    except EvokdError:
        if not stop.is_set():  # what breaks while everything is being stopped is no fault
            raise
    finally:
        sys.stdout.write(closed_line(daemon.recording))
    return 0
