"""The command line's options, once each, and how their words become values."""

import argparse
import os
from pathlib import Path

from hostd.endpoints import DEFAULT_BUS, DEFAULT_HTTP, must_have_keys
from hostd.errors import UsageError
from hostd.keys import Secret, client_secret, own_display

EXPORTS = ("edf", "bdf", "bids", "csv", "html", "pdf")
"""Forms of `evokd export`."""


def default_data() -> Path:
    """Where cases go unless told otherwise: $XDG_DATA_HOME/evokd, usually ~/.local/share/evokd."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "evokd"


def default_link() -> str:
    """Where `evokd edge` and `evokd host` meet: a socket that only this user can open."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/evokd-{os.getuid()}"
    return f"unix:{runtime}/evokd-edge.sock"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> "None":  # type: ignore[override]
        """Raise UsageError instead of printing."""
        raise UsageError(f"{message}; see {self.prog} --help")


def case_options(p: argparse.ArgumentParser) -> None:
    """Which case."""
    p.add_argument("case", nargs="?", type=Path, metavar="CASE.toml", help="the case file")
    p.add_argument("--procedure", metavar="NAME", help="a shipped case instead of a file")


def source_options(p: argparse.ArgumentParser) -> None:
    """Where samples come from."""
    p.add_argument(
        "--source",
        default="simulated",
        metavar="SOURCE",
        help="simulated, pi, serial:DEVICE, tcp:HOST:PORT or file:RECORDING",
    )
    p.add_argument("--scenario", type=Path, metavar="FILE.toml", help="what happens to the simulated patient")
    p.add_argument("--wiring", type=Path, metavar="FILE.toml", help="pins of the board, for --source pi")
    p.add_argument("--seed", type=int, default=1, help="of the simulated patient")
    p.add_argument("--speed", default="1", help="times real time, or max")
    p.add_argument("--seconds", type=float, metavar="S", help="end after so many seconds of samples")


def output_options(p: argparse.ArgumentParser) -> None:
    """Where results go."""
    p.add_argument("--data", default=str(default_data()), metavar="DIR|off", help="where cases are recorded")
    bus_option(p)


def bus_option(p: argparse.ArgumentParser) -> None:
    """The bus."""
    p.add_argument("--bus", default=DEFAULT_BUS, help="first of the four endpoints, tcp://HOST:PORT")


def keys_option(p: argparse.ArgumentParser, text: str) -> None:
    """Keys of the bus."""
    p.add_argument("--keys", type=_path, metavar="DIR", help=text)


def _path(word: str) -> Path:
    return Path(word).expanduser()


def box_keys_options(p: argparse.ArgumentParser) -> None:
    """Who may come to the bus, and how many."""
    keys_option(p, "let in only clients with these keys (see evokd keys)")
    p.add_argument("--peers", type=int, metavar="N", help="connections of each endpoint at most")


def client_keys_options(p: argparse.ArgumentParser) -> None:
    """Whose key a client shows."""
    keys_option(p, "the directory of its key, or its .secret file")
    p.add_argument("--as", dest="as_name", metavar="NAME", help="which key, if there is more than one")


def client_key(args: argparse.Namespace) -> Secret | None:
    """The key that a client shows, None without `--keys`. Raises UsageError."""
    if args.keys is None:
        if args.as_name is not None:
            raise UsageError("--as names a key of --keys DIR; give that too")
        return None
    return client_secret(args.keys, args.as_name)


def box_keys(args: argparse.Namespace) -> tuple[Secret | None, list[str], list[str]]:
    """The key of the displays that `evokd run` starts itself; the options of keys for its host, and for its
    web display. Raises UsageError."""
    peers = most_peers(args.peers)
    keyed = [] if peers is None else ["--peers", str(peers)]
    if args.keys is None:
        must_have_keys(args.bus)
        return None, keyed, []
    own = own_display(args.keys)
    folder = str(args.keys)
    return own, [*keyed, "--keys", folder], ["--keys", folder, "--as", own.name]


def most_peers(peers: int | None) -> int | None:
    """`peers` if it is a number of connections. Raises UsageError."""
    if peers is not None and not 1 <= peers <= 1000:
        raise UsageError(f"--peers {peers} is not a number from 1 to 1000")
    return peers


def http_option(p: argparse.ArgumentParser, off: str = "") -> None:
    """The web display."""
    p.add_argument(
        "--http", default=DEFAULT_HTTP, metavar=f"HOST:PORT{off}", help="address of the web display"
    )


def mirror_option(p: argparse.ArgumentParser) -> None:
    """Of which box."""
    p.add_argument("--mirror", metavar="BUS", help="no box of its own: say again what the one at BUS says")
    p.add_argument("--as", dest="as_name", metavar="NAME", help="with --mirror: the key for that box")


def link_option(p: argparse.ArgumentParser) -> None:
    """Where edge and host meet."""
    p.add_argument("--link", default=default_link(), help="unix:PATH, tcp:HOST:PORT or serial:URL")


def export_options(p: argparse.ArgumentParser) -> None:
    """What of a case to write, in which form, and where to."""
    p.add_argument("case", type=Path, metavar="DIR", help="the case's directory")
    p.add_argument("--to", required=True, choices=EXPORTS, help="the form")
    p.add_argument("--out", type=Path, metavar="PATH", help="where to (default: in DIR/export)")
    p.add_argument("--test", metavar="NAME", help="of this test alone")
    p.add_argument("--identity", action="store_true", help="with the patient's identity (patient.toml)")


def replay_options(p: argparse.ArgumentParser) -> None:
    """Which recording, under which case, and what is wanted of it."""
    p.add_argument("recording", type=Path, help="a case's directory, or an EDF+/BDF+ file")
    p.add_argument("--case", type=Path, metavar="CASE.toml", help="instead of the case beside it")
    p.add_argument("--out", type=Path, metavar="FILE.jsonl", help="a line per message (default: stdout)")
    p.add_argument("--verify", action="store_true", help="is it what was said live, to the last bit?")
    p.add_argument("--compare", action="store_true", help="with --case: what both cases come to")
    p.add_argument("--json", metavar="FILE", help="with --compare: as JSON too; - for stdout alone")


def positive_seconds(seconds: float | None) -> float | None:
    """`seconds` if there are any. Raises UsageError unless positive."""
    if seconds is not None and not 0 < seconds < 1e7:
        raise UsageError(f"--seconds {seconds:g} is not positive")
    return seconds


def data_folder(data: str) -> Path | None:
    """The folder of cases, None for off."""
    return None if data == "off" else Path(data).expanduser()


def writable(path: Path) -> None:
    """Raises UsageError where a file cannot be written later; makes an empty one."""
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; choose another file") from None


def written(path: Path, text: str) -> None:
    """Write what a command was asked to. Raises UsageError where it cannot be."""
    try:
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; choose another file") from None
