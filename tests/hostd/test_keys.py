"""Key files: made, listed, revoked, followed while a box runs; every bad file is one line with its cure."""

import stat
from pathlib import Path

import pytest
import zmq

from hostd import keys
from hostd.cli import main
from hostd.errors import UsageError
from hostd.keys import KeyRing
from hostd.peers import Key
from hostd.run import RunOptions
from tests.support.keys import made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made(tmp_path / "keys")
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.control("H5.5")
def test_a_new_keys_secret_is_for_its_owner_alone(folder: Path) -> None:
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.glob("*.secret")} == {0o600}
    anna = keys.client_secret(folder / "anna.secret")
    assert (anna.name, anna.role, anna.server) == ("anna", "technologist", keys.server_secret(folder).public)
    assert zmq.curve_public(anna.secret.encode()).decode() == anna.public
    public = (folder / "anna.key").read_text()
    assert anna.secret not in public and anna.public in public
    assert keys.client_secret(folder, "anna") == anna


def test_the_command_makes_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "keys"

    def said(*words: str) -> str:
        assert main(["keys", *words, "--keys", str(folder)]) == 0
        return capsys.readouterr().out

    assert "the box is known by" in said("server")
    assert "anna.secret" in said("new", "anna", "--role", "technologist")
    said("new", "olli", "--role", "observer")
    listed = [line.split() for line in said("list").splitlines()]
    assert [(line[0], line[1]) for line in listed] == [("anna", "technologist"), ("olli", "observer")]
    assert "anna is revoked" in said("revoke", "anna")
    assert [line.split()[0] for line in said("list").splitlines()] == ["olli"]
    assert not (folder / "anna.secret").exists() and (folder / "anna.revoked").exists()


def line_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command that must fail says: one line, exit code 2."""
    assert main([str(word) for word in words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err
    return err


NAMES = ["", "a b", "../up", "a/b", "-a", "x" * 33, "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "a\n"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_is_refused(folder: Path, name: str) -> None:
    before = sorted(folder.iterdir())
    for act in (lambda: keys.new_client(folder, name, "observer"), lambda: keys.revoke(folder, name)):
        with pytest.raises(UsageError, match="no name for a key"):
            act()
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name", ["server", "evokd", "Unknown"])
def test_names_with_another_meaning_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not free"):
        keys.new_client(folder, name, "observer")


def test_nothing_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for words in (("server",), ("new", "anna", "--role", "observer")):
        assert "is there" in line_of(capsys, "keys", *words, "--keys", folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    keys.revoke(folder, "anna")
    assert "is there" in line_of(capsys, "keys", "new", "anna", "--role", "observer", "--keys", folder)


def test_misuse_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere, plain = tmp_path / "nowhere", tmp_path / "plain"
    plain.write_text("")
    assert "there are: anna, eva, olli" in line_of(capsys, "keys", "revoke", "bob", "--keys", folder)
    assert "evokd keys server" in line_of(capsys, "keys", "list", "--keys", nowhere)
    assert "evokd keys server" in line_of(capsys, "keys", "new", "a", "--role", "observer", "--keys", nowhere)
    assert "name a directory" in line_of(capsys, "keys", "server", "--keys", plain)
    assert "choose from" in line_of(capsys, "keys", "new", "a", "--role", "surgeon", "--keys", folder)
    assert "--as NAME" in line_of(capsys, "ctl", "hello", "--keys", folder)
    assert "bob.secret" in line_of(capsys, "ctl", "hello", "--keys", folder, "--as", "bob")
    assert "--keys DIR" in line_of(capsys, "ctl", "hello", "--as", "anna")
    assert "evokd keys" in line_of(capsys, "run", "--keys", nowhere, "--data", "off")
    assert "--peers" in line_of(capsys, "run", "--peers", "0", "--data", "off")


@pytest.mark.control("H5.2")
@pytest.mark.parametrize(
    "bus", ["tcp://0.0.0.0:7000", "tcp://192.0.2.1:7000", "tcp://no-such-host.invalid:7000"]
)
@pytest.mark.parametrize("command", ["run", "host"])
def test_other_machines_need_keys(bus: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = line_of(capsys, command, "--bus", bus, "--data", "off", "--seconds", "0.1")
    assert "needs keys" in line or "need keys" in line
    assert "evokd keys" in line and "127.0.0.1" in line


SECRETS = {
    "not TOML": ("what is this", "no key file"),
    "not text": (b"\xff\xfe\x00", "no key file"),
    "too long": ("#" * 5000 + '\nname = "anna"\n', "has no text"),
    "no secret": ('name = "anna"\nrole = "observer"\npublic = "x"\n', "has no text 'secret'"),
    "a number": ('name = "anna"\nrole = "observer"\npublic = 3\nsecret = 4\nserver = 5\n', "has no text"),
    "no Z85": (
        f'name = "a"\nrole = "b"\npublic = "{"~" * 40}"\nsecret = "x"\nserver = "y"\n',
        "40 characters",
    ),
}


@pytest.mark.parametrize(("text", "why"), SECRETS.values(), ids=SECRETS)
def test_a_bad_secret_is_one_line(folder: Path, text: str | bytes, why: str) -> None:
    path = folder / "anna.secret"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=why) as caught:
        keys.client_secret(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_halves_that_do_not_belong_together_are_refused(folder: Path) -> None:
    other = keys.client_secret(folder / "eva.secret")
    path = folder / "anna.secret"
    anna = keys.client_secret(path)
    path.write_text(path.read_text().replace(anna.public, other.public))
    with pytest.raises(UsageError, match="belongs to 'secret'"):
        keys.client_secret(path)


@pytest.mark.control("H5.5")
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
@pytest.mark.parametrize("name", ["anna", "server"])
def test_a_secret_that_others_may_read_is_none(folder: Path, name: str, bits: int) -> None:
    path = folder / f"{name}.secret"
    path.chmod(bits)
    with pytest.raises(UsageError, match=f"cure: chmod 600 {path}"):
        KeyRing(folder) if name == "server" else keys.client_secret(folder, name)


@pytest.mark.control("H5.5")
@pytest.mark.parametrize("bits", [0o720, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(folder: Path, bits: int) -> None:
    folder.chmod(bits)
    with pytest.raises(UsageError, match=f"cure: chmod 700 {folder}"):
        KeyRing(folder)


PUBLIC = {
    "another role": (('"technologist"', '"surgeon"'), "role 'surgeon'"),
    "another name": (('"anna"', '"bob"'), "has its name"),
    "no key": (('public = "', 'public = "x'), "40 characters"),
}


@pytest.mark.parametrize(("change", "why"), PUBLIC.values(), ids=PUBLIC)
def test_a_bad_public_file_refuses_the_start_and_later_is_no_key(
    folder: Path, change: tuple[str, str], why: str
) -> None:
    ring, path = KeyRing(folder), folder / "anna.key"
    anna, eva = (keys.client_secret(folder, name).public for name in ("anna", "eva"))
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UsageError, match=why):
        KeyRing(folder)
    assert ring.refresh() and ring.of(anna) is None and ring.of(eva) == Key("eva", "engineer", eva)
    (fault,) = ring.faults
    assert why in fault and "\n" not in fault


def test_two_names_for_one_key_are_refused(folder: Path) -> None:
    text = (folder / "anna.key").read_text()
    (folder / "bob.key").write_text(text.replace('"anna"', '"bob"'))
    with pytest.raises(UsageError, match="same key as anna"):
        KeyRing(folder)


def test_a_ring_follows_its_directory(folder: Path) -> None:
    ring = KeyRing(folder)
    assert not ring.refresh(), "nothing has changed"
    bob = keys.client_secret(keys.new_client(folder, "bob", "observer"))
    assert ring.of(bob.public) is None
    assert ring.refresh() and ring.of(bob.public) == Key("bob", "observer", bob.public)
    keys.revoke(folder, "bob")
    assert ring.refresh() and ring.of(bob.public) is None


def test_a_directory_that_is_gone_locks_nobody_out(folder: Path) -> None:
    ring, anna = KeyRing(folder), keys.client_secret(folder, "anna")
    folder.rename(folder.with_name("elsewhere"))
    assert not ring.refresh() and ring.of(anna.public) is not None
    assert "is gone" in ring.faults[0]
    folder.with_name("elsewhere").rename(folder)
    keys.revoke(folder, "anna")
    assert ring.refresh() and ring.of(anna.public) is None and ring.faults == []


def test_a_box_has_a_key_for_its_own_displays(folder: Path) -> None:
    first = keys.own_display(folder)
    assert (first.name, first.role) == ("display", "observer")
    assert keys.own_display(folder) == first
    keys.revoke(folder, "display")
    assert keys.own_display(folder).name == "display-2"


def test_a_run_with_keys_hands_them_to_its_host_and_a_key_to_its_displays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunOptions] = []
    monkeypatch.setattr("hostd.run.run", lambda options, stop: started.append(options) or 0)
    assert main(["run", "--keys", str(folder), "--peers", "40", "--bus", "tcp://0.0.0.0:5750"]) == 0
    (options,) = started
    assert options.host[-4:] == ["--peers", "40", "--keys", str(folder)]
    assert options.web is not None and options.web[-4:] == ["--keys", str(folder), "--as", "display"]
    assert options.key == keys.client_secret(folder, "display") and options.key.role == "observer"
