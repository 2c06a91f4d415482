"""`evokd`: the command line. Exit 0 done, 1 a fault while running, 2 bad usage or configuration.

Every command is a function here that wires options to the module that does the work; faults are one line on
stderr, never a traceback.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hostd import ctl_command, keys_command, options
from hostd.bridges import command as bridge_command
from hostd.client_check import command as client_check
from hostd.endpoints import parse_bus, parse_http
from hostd.errors import EvokdError, UsageError
from hostd.fixture import command as fixture_command
from hostd.score import command as score_command
from hostd.show import command as show_command
from hostd.signals import stop_event

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words[:1] == ["rig"]:  # its options are its own, and the program's after them
            return _rig(words[1:])
        if words[:1] == ["bench"]:  # its options are the edge's
            return _bench(words[1:])
        args = _parser().parse_args(words)
        command: Command = args.command
        return command(args)
    except EvokdError as error:
        sys.stderr.write(f"evokd: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        return 1


def _parser() -> options.Parser:
    p = options.Parser(prog="evokd", description="Open intraoperative neuromonitoring. Not a medical device.")
    p.add_argument("--version", action="version", version=f"evokd {metadata.version('evokd')}")
    commands = p.add_subparsers(dest="name", required=True, metavar="COMMAND", parser_class=options.Parser)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    run = add("run", _run, "run a case: edge, host and web display together")
    options.case_options(run)
    options.source_options(run)
    options.output_options(run)
    options.box_keys_options(run)
    options.http_option(run, "|off")
    edge = add("edge", _edge, "the edge by itself: acquisition and stimulation")
    options.source_options(edge)
    options.link_option(edge)
    host = add("host", _host, "the host by itself: record, average, publish")
    options.case_options(host)
    options.output_options(host)
    options.box_keys_options(host)
    options.link_option(host)
    host.add_argument("--seconds", type=float, metavar="S", help="end after so many seconds of samples")
    host.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    host.add_argument("--edge-starts", action="store_true", help=argparse.SUPPRESS)
    replay = add("replay", _replay, "run a recording through the same pipeline, as fast as it goes")
    options.replay_options(replay)
    record_fixture = add("record-fixture", _record_fixture, "a file of bus messages, of a simulated case")
    fixture_command.add_record_options(record_fixture)
    play_fixture = add("play-fixture", _play_fixture, "serve a file of bus messages as a box would")
    fixture_command.add_play_options(play_fixture)
    client_check.add_options(add("client-check", _client_check, "does a display do what it should on a bus?"))
    web = add("web", _web, "the web display, a bus client")
    options.bus_option(web)
    options.client_keys_options(web)
    options.http_option(web)
    options.web_options(web)
    web.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    bridge_command.add_options(
        add("bridge", _bridge, "the case in the words of other tools: LSL, Prometheus")
    )
    show_command.add_options(add("show", _show, "the terminal display, a bus client"))
    ctl_command.add_options(add("ctl", _ctl, "one control request, reply as JSON"))
    keys_command.add_options(add("keys", _keys, "CURVE keys and roles of the bus"))
    doctor = add("doctor", _doctor, "is this machine fit: kernel, clocks, devices, permissions, disk, time")
    doctor.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    doctor.add_argument(
        "--data", type=Path, default=options.default_data(), metavar="DIR", help="where cases are recorded"
    )
    add("bench", lambda args: _bench([]), "hardware self-test against datasheet limits")
    add("rig", lambda args: _rig([]), "run any program against simulated /dev/spidev* and /dev/gpiochip*")
    check = add("check", _check, "validate a case file")
    check.add_argument("case", type=Path, metavar="CASE.toml")
    rates = add("rates", _rates, "stimulus rates and the mains that they leave")
    rates.add_argument("--mains", type=int, metavar="50|60", help="Hz of the grid; both without it")
    rates.add_argument("--rate-hz", type=float, default=4000.0, metavar="SPS", help="of the converter")
    score = add("score", _score, "the detection scoreboard on seeded stories, beside the fixed rules")
    score_command.add_options(score)
    repair = add("repair", _repair, "make a killed recording whole again")
    repair.add_argument("case", type=Path, metavar="DIR", help="the case's directory")
    audit = add("audit", _audit, "is a case's record whole: its audit chain, its pulses one to one")
    audit.add_argument("case", type=Path, metavar="DIR", help="the case's directory")
    export = add("export", _export, "write a case as EDF+, BDF+, BIDS, CSV or a report")
    options.export_options(export)
    identity = add(
        "identity", _identity, "who the patient is: kept beside a case, apart from everything else"
    )
    identity.add_argument("case", type=Path, metavar="DIR", help="the case's directory")
    identity.add_argument("fields", nargs="+", metavar="key=value", help="name, id, born, sex, note")
    schema = add("schema", _schema, "the bus schema, generated from the code")
    schema.add_argument("--format", choices=("json", "markdown"), default="markdown")
    return p


def _case(args: argparse.Namespace) -> tuple[Any, str]:
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


def _run(args: argparse.Namespace) -> int:
    from hostd.run import RunOptions, run

    parse_bus(args.bus)
    own_key, keyed, shown = options.box_keys(args)
    options.positive_seconds(args.seconds)
    kind = args.source.partition(":")[0]
    if kind not in ("simulated", "pi", "file", "serial", "tcp", "unix"):
        known = "simulated, pi, serial:DEVICE, tcp:HOST:PORT or file:RECORDING"
        raise UsageError(f"--source {args.source!r} is not {known}")
    if kind == "file" and not (args.source[5:] and Path(args.source[5:]).exists()):
        raise UsageError(f"recording {args.source[5:] or '(no name)'} does not exist; check the path")
    remote = kind in ("serial", "tcp", "unix")
    case, where = _case(args)
    chosen = [str(args.case)] if args.case else ["--procedure", args.procedure] if args.procedure else []
    if not chosen and kind == "file":
        chosen = [where]
    host = [*chosen, "--bus", args.bus, "--data", args.data, *keyed]
    edge = ["--source", args.source, "--speed", args.speed, "--seed", str(args.seed)]
    if args.seconds is not None:
        host += ["--seconds", str(args.seconds)]
        edge += ["--seconds", str(args.seconds)]
    for name in ("scenario", "wiring"):
        if getattr(args, name) is not None:
            edge += [f"--{name}", str(getattr(args, name))]
    web = None
    places = {"case": case.name, "bus": args.bus, "data": args.data}
    if args.http != "off":
        parse_http(args.http)
        web = ["--bus", args.bus, "--http", args.http, *shown]
        places["page"] = f"http://{args.http}/"
    link = args.source if remote else None
    stop = stop_event(supervised=False)
    return run(RunOptions(None if remote else edge, host, web, link, args.bus, places, own_key), stop)


def _edge(args: argparse.Namespace) -> int:
    """The edge is a program of its own: this becomes it."""
    import os

    command = [sys.executable, "-m", "firmware", "--source", args.source, "--link", args.link]
    command += ["--speed", args.speed, "--seed", str(args.seed)]
    for name in ("seconds", "scenario", "wiring"):
        if getattr(args, name) is not None:
            command += [f"--{name}", str(getattr(args, name))]
    os.execv(sys.executable, command)


def _host(args: argparse.Namespace) -> int:
    from hostd.daemon import Daemon, HostOptions
    from hostd.edge_link import COMPILES_S, CONNECT_S
    from hostd.fingerprint import closed_line

    stop = stop_event(args.supervised)
    case, where = _case(args)
    seconds = options.positive_seconds(args.seconds)
    within_s = COMPILES_S if args.edge_starts else CONNECT_S
    data = options.data_folder(args.data)
    peers = options.most_peers(args.peers)
    host = HostOptions(case, where, args.link, args.bus, data, seconds, within_s, args.keys, peers)
    daemon = Daemon(host, stop)
    try:
        daemon.run()
    except EvokdError:
        if not stop.is_set():  # what breaks while everything is being stopped is no fault
            raise
    finally:
        sys.stdout.write(closed_line(daemon.recording))
    return 0


def _replay(args: argparse.Namespace) -> int:
    from hostd.replay_command import run

    return run(args)


def _record_fixture(args: argparse.Namespace) -> int:
    return fixture_command.record(args, stop_event(supervised=False))


def _play_fixture(args: argparse.Namespace) -> int:
    return fixture_command.play(args, stop_event(supervised=False))


def _client_check(args: argparse.Namespace) -> int:
    return client_check.run(args, stop_event(supervised=False))


def _web(args: argparse.Namespace) -> int:
    from hostd.web.gateway import WebOptions, serve

    if not 1 <= args.raw_mb <= 16_384:
        raise UsageError(f"--raw-mb {args.raw_mb} is not from 1 to 16384")
    tls = None if args.tls is None else (args.tls[0], args.tls[1])
    key, raw_bytes = options.client_key(args), args.raw_mb << 20
    web = WebOptions(options.boxes(args), args.http, key, tls, tuple(args.name), raw_bytes)
    serve(web, stop=stop_event(args.supervised))
    return 0


def _bridge(args: argparse.Namespace) -> int:
    return bridge_command.run(args)


def _show(args: argparse.Namespace) -> int:
    return show_command.run(args)


def _ctl(args: argparse.Namespace) -> int:
    return ctl_command.run(args)


def _keys(args: argparse.Namespace) -> int:
    return keys_command.run(args, sys.stdout)


def _doctor(args: argparse.Namespace) -> int:
    """The machine is the edge's to judge; its doctor is a program of its own."""
    from hostd.run import foreground

    report = [] if args.json is None else ["--json", str(args.json)]
    return foreground("firmware.doctor", ["--data", str(args.data), *report])


def _bench(words: list[str]) -> int:
    """The bench is the edge's; `--rig` puts it on the rig's device nodes."""
    from hostd.run import foreground

    bench = [word for word in words if word != "--rig"]
    if len(bench) == len(words):
        return foreground("firmware.bench", bench)
    if "--source" in bench or any(word.startswith("--source=") for word in bench):
        raise UsageError("--rig means the rig's device nodes; leave --source out")
    program = [sys.executable, "-m", "firmware.bench", "--source", "pi", *bench]
    return foreground("firmware.rig", ["--", *program])


def _rig(words: list[str]) -> int:
    """The rig is the edge's; it reads its options itself."""
    from hostd.run import foreground

    return foreground("firmware.rig", words)


def _check(args: argparse.Namespace) -> int:
    from hostd import casefile
    from hostd.explain import explain

    case = casefile.load(args.case)
    tests = ", ".join([test.name for test in case.tests] + [watch.name for watch in case.watches])
    lines = (f"{args.case}: good: {case.name!r}, tests {tests}", *explain(case))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _rates(args: argparse.Namespace) -> int:
    from hostd.rates import tables

    sys.stdout.write(tables(args.mains, args.rate_hz) + "\n")
    return 0


def _score(args: argparse.Namespace) -> int:
    return score_command.run(args)


def _repair(args: argparse.Namespace) -> int:
    from hostd.errors import RecordingError
    from hostd.repair import repair_all

    reports = repair_all(args.case)
    sys.stdout.write("".join(f"{report.line}\n" for report in reports if not report.fault))
    if faults := [report.fault for report in reports if report.fault]:
        raise RecordingError(faults[0])
    return 0


def _audit(args: argparse.Namespace) -> int:
    from hostd.audit_check import check
    from hostd.errors import RecordingError

    report = check(args.case)
    sys.stdout.write("".join(f"{line}\n" for line in report.lines))
    if report.why:
        raise RecordingError(f"{args.case}: {report.why}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from hostd.export.command import export

    sys.stdout.write(f"{export(args.case, args.to, args.out, args.test, args.identity)}\n")
    return 0


def _identity(args: argparse.Namespace) -> int:
    from hostd.export import identity

    known = identity.write(args.case, dict(ctl_command.key_value(word) for word in args.fields))
    sys.stdout.write(f"{args.case / identity.NAME}: {', '.join(k for k, _ in known.fields()) or 'nothing'}\n")
    return 0


def _schema(args: argparse.Namespace) -> int:
    from hostd import schema_page

    text = schema_page.as_json() if args.format == "json" else schema_page.as_markdown()
    sys.stdout.write(text + "\n")
    return 0
