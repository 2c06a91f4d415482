"""`evokd`: the command line. Exit 0 done, 1 a fault while running, 2 bad usage or configuration.

Every command is a function here that wires options to the module that does the work; faults are one line on
stderr, never a traceback.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from hostd import box_commands, ctl_command, keys_command, options
from hostd.appliance import command as appliance_command
from hostd.bridges import command as bridge_command
from hostd.client_check import command as client_check
from hostd.errors import EvokdError, UsageError
from hostd.fixture import command as fixture_command
from hostd.score import command as score_command
from hostd.show import command as show_command
from hostd.signals import stop_event
from hostd.web import command as web_command

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words[:1] == ["rig"]:  # its options are its own, and the program's after them
            return _rig(words[1:])
        if words[:1] == ["bench"]:  # its options are the edge's
            return _bench(words[1:])
        if words[:1] == ["flash"]:
            return _flash(words[1:])
        if words[:1] == ["bundle"]:
            return _bundle(words[1:])
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

    box_commands.run_options(add("run", box_commands.run, "run a case: edge, host and web display together"))
    box_commands.edge_options(
        add("edge", box_commands.edge, "the edge by itself: acquisition and stimulation")
    )
    box_commands.host_options(add("host", box_commands.host, "the host by itself: record, average, publish"))
    replay = add("replay", _replay, "run a recording through the same pipeline, as fast as it goes")
    options.replay_options(replay)
    record_fixture = add("record-fixture", _record_fixture, "a file of bus messages, of a simulated case")
    fixture_command.add_record_options(record_fixture)
    play_fixture = add("play-fixture", _play_fixture, "serve a file of bus messages as a box would")
    fixture_command.add_play_options(play_fixture)
    client_check.add_options(add("client-check", _client_check, "does a display do what it should on a bus?"))
    web_command.add_options(add("web", _web, "the web display, a bus client"))
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
    doctor.add_argument("--fix", action="store_true", help="write a Pi's boot files as they should be")
    doctor.add_argument("--dry-run", action="store_true", help="with --fix: say what would be written")
    doctor.add_argument("--root", metavar="DIR", help="with --fix: of a system that is elsewhere")
    doctor.add_argument("--wiring", metavar="FILE.toml", help="with --fix: the board's chip selects")
    add("bench", lambda args: _bench([]), "hardware self-test against datasheet limits")
    add(
        "flash", lambda args: _flash([]), "put evokd on a Raspberry Pi Pico, or an update on an edge (--edge)"
    )
    add("bundle", lambda args: _bundle([]), "make and sign updates for an edge, and keys for them")
    add("rig", lambda args: _rig([]), "run any program against simulated /dev/spidev* and /dev/gpiochip*")
    installs = add("install", appliance_command.install, "evokd as services of this machine (as root)")
    appliance_command.add_install_options(installs)
    uninstalls = add("uninstall", appliance_command.uninstall, "take the services away again; cases stay")
    appliance_command.add_uninstall_options(uninstalls)
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
    return web_command.run(args)


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

    words = ["--data", str(args.data)]
    words += [word for name in ("fix", "dry_run") if getattr(args, name) for word in [_option(name)]]
    for name in ("json", "root", "wiring"):
        if getattr(args, name) is not None:
            words += [_option(name), str(getattr(args, name))]
    return foreground("firmware.doctor", words)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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


def _flash(words: list[str]) -> int:
    """The board is the edge's; the options are read there. An edge is reached over its link, as by the
    host."""
    from hostd.run import foreground

    if any(word == "--edge" or word.startswith("--edge=") for word in words):
        from hostd import flash_command

        return flash_command.main(words)

    return foreground("firmware.flash", words)


def _bundle(words: list[str]) -> int:
    """Bundles are the edge's; the options are read there."""
    from hostd.run import foreground

    return foreground("firmware.update", words)


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
