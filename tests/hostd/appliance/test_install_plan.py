"""The plan of an installation, and its carrying out on a root: all of it, once, and away again."""

import json
from pathlib import Path

import pytest

from hostd.appliance import command, places
from hostd.appliance.plan import TIME_SYNC, Wanted, plan
from hostd.appliance.steps import File, Run
from hostd.cli import main
from hostd.errors import EvokdError, UsageError
from tests.support.installed import Installer, debian, facts, listing, wanted


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    root, first, second = debian(tmp_path), Installer(tmp_path), Installer(tmp_path)
    assert first.doer.install(plan(wanted(root), facts())) > 10
    after = listing(root)
    assert second.doer.install(plan(wanted(root), facts(has_user=True))) == 0
    assert listing(root) == after and second.said == []
    assert second.names() == ["systemd-sysusers", "systemd-tmpfiles"]


def test_uninstalling_leaves_the_cases_and_purging_nothing(tmp_path: Path) -> None:
    for purge in (False, True):
        root = debian(tmp_path / str(purge))
        before = listing(root)
        installer = Installer(root)
        installer.doer.install(plan(wanted(root), facts()))
        installer.doer.install(plan(wanted(root), facts(has_user=True)))
        (root / "var/lib/evokd/cases/one").mkdir()
        (root / "etc/evokd/evokd.conf").write_text("EVOKD_EDGE=--source pi\n")
        installer.doer.remove(purge)
        left = {name: what for name, what in listing(root).items() if before.get(name) != what}
        kept = {
            "var/lib/evokd": "folder",
            "var/lib/evokd/cases": "folder",
            "var/lib/evokd/cases/one": "folder",
        }
        assert left == ({} if purge else kept)
        assert before.keys() <= listing(root).keys()
        assert ("userdel", "--prefix", str(root), "evokd") in installer.programs.ran
        assert ("chown" in installer.names()) is not purge


def test_an_uninstalled_box_without_cases_leaves_nothing(tmp_path: Path) -> None:
    before = listing(debian(tmp_path))
    installer = Installer(tmp_path)
    installer.doer.install(plan(wanted(tmp_path), facts()))
    installer.doer.remove(purge=False)
    assert listing(tmp_path) == before


def test_every_file_below_the_root_is_in_the_manifest_or_in_a_folder_of_ours(tmp_path: Path) -> None:
    before = listing(debian(tmp_path))
    Installer(tmp_path).doer.install(plan(wanted(tmp_path), facts()))
    said = json.loads((tmp_path / "etc/evokd/manifest.json").read_text())
    new = [f"/{name}" for name in listing(tmp_path) if name not in before]
    ours = (*said["trees"], places.STATE)
    unknown = [p for p in new if p not in said["files"] + said["folders"] and not p.startswith(ours)]
    assert unknown == [] and said["users"] == ["evokd"]


def test_a_user_that_was_there_before_stays(tmp_path: Path) -> None:
    installer = Installer(debian(tmp_path))
    installer.doer.install(plan(wanted(tmp_path), facts(has_user=True)))
    installer.doer.remove(purge=True)
    assert "userdel" not in installer.names()


def test_what_a_person_wrote_into_the_configuration_stays_and_units_are_renewed(tmp_path: Path) -> None:
    Installer(debian(tmp_path)).doer.install(plan(wanted(tmp_path), facts()))
    config, unit = tmp_path / "etc/evokd/evokd.conf", tmp_path / "etc/systemd/system/evokd-web.service"
    config.write_text("EVOKD_EDGE=--source pi\n")
    unit.write_text("[Service]\n")
    assert Installer(tmp_path).doer.install(plan(wanted(tmp_path), facts())) == 1
    assert config.read_text() == "EVOKD_EDGE=--source pi\n"
    assert "WatchdogSec" in unit.read_text()


def test_another_source_is_compiled_anew_and_units_of_the_old_one_go(tmp_path: Path) -> None:
    Installer(debian(tmp_path)).doer.install(plan(wanted(tmp_path), facts()))
    (tmp_path / "opt/evokd/compiled/stale.nbi").write_text("of the old source")
    again = Installer(tmp_path)
    again.doer.install(plan(wanted(tmp_path, source="serial:/dev/evokd-pico"), facts("two\n")))
    assert "python" in again.names()
    assert not (tmp_path / "opt/evokd/compiled/stale.nbi").exists()
    assert not (tmp_path / "etc/systemd/system/evokd-edge.service").exists()
    assert (tmp_path / "etc/systemd/system/evokd-host.service").exists()


def test_a_file_of_somebody_else_is_never_overwritten_and_nothing_is_begun(tmp_path: Path) -> None:
    (debian(tmp_path) / "usr/local/bin/evokd").write_text("theirs")
    before = listing(tmp_path)
    with pytest.raises(UsageError, match="/usr/local/bin/evokd is there and not evokd's"):
        Installer(tmp_path).doer.install(plan(wanted(tmp_path), facts()))
    assert listing(tmp_path) == before


def test_an_installation_that_broke_off_goes_on(tmp_path: Path) -> None:
    broken = Installer(debian(tmp_path))
    broken.programs.broken["systemd-sysusers"] = "no room"
    with pytest.raises(EvokdError, match="systemd-sysusers: no room; cure that"):
        broken.doer.install(plan(wanted(tmp_path), facts()))
    assert not (tmp_path / "opt/evokd/installed").exists()
    again = Installer(tmp_path)
    again.doer.install(plan(wanted(tmp_path), facts()))
    assert again.names()[0] == "python", "nothing says that the environment is whole"
    broken = Installer(debian(tmp_path / "b"))
    before = listing(tmp_path / "b")
    broken.programs.broken["python"] = "no room"
    with pytest.raises(EvokdError, match="no room"):
        broken.doer.install(plan(wanted(tmp_path / "b"), facts()))
    Installer(tmp_path / "b").doer.remove(purge=False)
    assert listing(tmp_path / "b") == before


def test_only_a_running_systemd_is_told_and_what_it_refuses_to_do_is_a_note(tmp_path: Path) -> None:
    quiet, live = Installer(debian(tmp_path / "a")), Installer(debian(tmp_path / "b"), live=True)
    live.programs.broken["udevadm"] = "no udev"
    for installer, name in ((quiet, "a"), (live, "b")):
        installer.doer.install(plan(wanted(tmp_path / name), facts()))
    assert not {"systemctl", "udevadm"} & set(quiet.names())
    assert ("systemctl", "start", "evokd.target") in live.programs.ran
    assert "note   udevadm: no udev" in live.said


def test_an_environment_of_its_own_is_made_from_the_tree_with_exact_versions() -> None:
    steps = plan(Wanted(Path("/src"), source="pi"), facts()).steps
    runs = [step.argv for step in steps if isinstance(step, Run)]
    assert runs[0] == ("/usr/bin/python3", "-m", "venv", "{root}/opt/evokd/venv")
    assert runs[1][-3:] == ("-c", "/src/constraints.txt", "/src[pi]")
    assert runs[2][0] == "/opt/evokd/venv/bin/python" and "dsp.kernels" in runs[2][3]
    (edge,) = (step for step in steps if isinstance(step, File) and step.path.endswith("edge.service"))
    assert (
        "ExecStart=/opt/evokd/venv/bin/python -P -m firmware.update.launch --state /var/lib/evokd "
        in edge.text
    )


def test_an_image_is_not_compiled_for_and_says_so(tmp_path: Path) -> None:
    found = plan(wanted(tmp_path, environment=None, tree=Path("/src")), facts())
    assert not [step for step in found.steps if isinstance(step, Run) and "dsp" in step.argv[-1]]
    assert any("first start" in note for note in found.notes)


@pytest.mark.parametrize("keeper", TIME_SYNC)
def test_who_keeps_the_time_is_said(keeper: str, tmp_path: Path) -> None:
    assert TIME_SYNC[keeper] in plan(wanted(tmp_path), facts(time_sync=keeper)).notes


def test_a_wiring_file_is_installed_and_its_devices_waited_for(tmp_path: Path) -> None:
    made = plan(wanted(tmp_path, source="pi", wiring='spi = ["0.0", "0.1"]\n'), facts())
    texts = {step.path: step.text for step in made.steps if isinstance(step, File)}
    assert texts[places.WIRING] == 'spi = ["0.0", "0.1"]\n'
    assert "After=dev-spidev0.0.device dev-spidev0.1.device" in texts[f"{places.UNITS}/evokd-edge.service"]
    assert f"EVOKD_EDGE=--source pi --wiring {places.WIRING}\n" in texts[places.CONFIG]


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"source": "tcp:1.2.3.4:5"}, "is not pi, simulated, serial"),
        ({"source": "serial:ttyACM0"}, "is not pi, simulated, serial"),
        ({"wiring": ""}, "belongs to --source pi"),
        ({"wiring": "spi = [", "source": "pi"}, "--wiring: "),
        ({"wiring": "spi = ['0.0\\nExecStart=x']", "source": "pi"}, "is no list of BUS.SELECT"),
        ({"wiring": "spi = '0.0'", "source": "pi"}, "is no list of BUS.SELECT"),
        ({"environment": None}, "give --tree"),
        (
            {"allow": ("10.0.0.5/24",)},
            "--allow 10.0.0.5/24: 10.0.0.5/24 has host bits set; write an address or a",
        ),
        ({"allow": ("ward",)}, "--allow ward: "),
        ({"source": "mirror:"}, "is not a bus; write mirror:tcp://HOST:PORT"),
        ({"source": "mirror:tcp://10.0.0.5:5750 $(id)"}, "is not a bus"),
        ({"source": "mirror:tcp://10.0.0.5:5750"}, "say where that is: --allow 10.0.0.5$"),
        ({"source": "mirror:tcp://10.0.0.5:5750", "allow": ("10.0.1.0/24",)}, "--allow 10.0.0.5$"),
        ({"source": "mirror:tcp://box-1:5750"}, "say where that is: --allow box-1$"),
    ],
)
def test_what_cannot_be_installed_is_one_line(over: dict[str, object], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        plan(wanted(tmp_path, **over), facts())


@pytest.mark.parametrize(
    ("bus", "allow"),
    [
        ("tcp://10.0.0.5:5750", ("10.0.0.0/24",)),
        ("tcp://[fd00::5]:5750", ("192.168.0.0/16", "fd00::/8")),
        ("tcp://box-1:5750", ("10.0.0.0/24",)),
        ("tcp://127.0.0.1:5850", ()),
        ("tcp://localhost:5850", ()),
    ],
)
def test_a_mirror_of_another_box_is_installed(bus: str, allow: tuple[str, ...], tmp_path: Path) -> None:
    made = plan(wanted(tmp_path, source=f"mirror:{bus}", allow=allow), facts())
    texts = {step.path: step.text for step in made.steps if isinstance(step, File)}
    assert f"{places.UNITS}/evokd-edge.service" not in texts
    host = texts[f"{places.UNITS}/evokd-host.service"]
    assert f" --mirror {bus} --data " in host
    assert f"IPAddressAllow={' '.join(('localhost', *allow))}\n" in host
    assert any(note.startswith(f"a mirror of the box at {bus}") for note in made.notes)


def test_a_box_that_others_may_reach_is_told_what_else_that_takes(tmp_path: Path) -> None:
    notes = plan(wanted(tmp_path, allow=("10.0.0.0/24",)), facts()).notes
    assert any("10.0.0.0/24 may reach what listens" in note and "--keys DIR" in note for note in notes)


@pytest.mark.parametrize("path", ["/home/pi/.venv", "/root/.pyenv/bin/python3", "/run/user/1/x"])
def test_what_services_cannot_see_is_not_installed(path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is in a home, which services do not see; use the system's Python"):
        plan(wanted(tmp_path), facts(needed=(Path("/usr/bin/python3"), Path(path))))
    plan(wanted(tmp_path), facts(needed=(Path("/usr/bin/python3"), Path("/homes/x"))))


@pytest.mark.parametrize("text", ["{}", "no json", '{"version": 2}', '{"version": 1, "files": 3}', "[]"])
def test_a_manifest_that_is_not_ours_stops_everything(text: str, tmp_path: Path) -> None:
    (debian(tmp_path) / "etc/evokd").mkdir()
    (tmp_path / "etc/evokd/manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest.json cannot be read"):
        Installer(tmp_path).doer.remove(purge=True)
    with pytest.raises(UsageError, match=r"manifest.json cannot be read"):
        Installer(tmp_path).doer.install(plan(wanted(tmp_path), facts()))


def test_what_the_file_system_refuses_is_one_line(tmp_path: Path) -> None:
    (debian(tmp_path) / "opt").write_text("a file in the way")
    with pytest.raises(EvokdError, match="Not a directory; nothing else was done"):
        Installer(tmp_path).doer.install(plan(wanted(tmp_path), facts()))


def test_the_source_is_known_by_its_content(tmp_path: Path) -> None:
    for name in (*command.PACKAGES, "hw/__pycache__"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", "constraints.txt", "hw/a.py", "hw/__pycache__/a.pyc"):
        (tmp_path / name).write_text("1")
    first = command.fingerprint(tmp_path, "pi")
    (tmp_path / "hw/__pycache__/a.pyc").write_text("2")
    assert command.fingerprint(tmp_path, "pi") == first != command.fingerprint(tmp_path, "simulated")
    (tmp_path / "hw/a.py").write_text("2")
    assert command.fingerprint(tmp_path, "pi") != first


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["install", "--purge"], "--purge belongs to --remove"),
        (["install", "--root", "{tmp}/none"], "is no folder"),
        (["install", "--root", "{tmp}", "--tree", "{tmp}"], "is not evokd's source"),
        (["install", "--root", "{tmp}", "--environment", "{tmp}"], "has no bin/python"),
        (["install", "--root", "{tmp}", "--source", "pi", "--wiring", "{tmp}/w"], "No such file"),
        (["uninstall", "--root", "{tmp}"], "nothing is installed"),
        (["install", "--remove", "--root", "{tmp}"], "nothing is installed"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(
    words: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("{tmp}", str(tmp_path)) for word in words]) == 2
    said = capsys.readouterr()
    assert why in said.err and said.err.count("\n") == 1 and said.out == ""


def test_without_root_nothing_is_touched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hostd.appliance.command.os.geteuid", lambda: 1000)
    assert main(["uninstall"]) == 2
    assert "run it as root" in capsys.readouterr().err


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(root := debian(tmp_path / "root"))
    words = ["install", "--dry-run", "--root", str(root), "--environment", own_environment(tmp_path)]
    assert main(words) == 0
    assert listing(root) == before
    said = capsys.readouterr().out
    assert "file   /etc/systemd/system/evokd-edge.service\n" in said and "SIMULATED PATIENT" in said


def own_environment(folder: Path) -> str:
    """An environment where services may see it; the tests' own may be in somebody's home."""
    (folder / "venv/bin").mkdir(parents=True)
    (folder / "venv/bin/python").write_text("")
    (folder / "venv/bin/python").chmod(0o755)
    return str(folder / "venv")


def test_a_running_case_is_not_pulled_the_ground_from_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_live", lambda root: True)
    monkeypatch.setattr(command, "_runs", lambda: True)
    monkeypatch.setattr(command, "_installed", lambda: "another\n")
    words = ["install", "--root", str(tmp_path), "--environment", own_environment(tmp_path)]
    assert main(words) == 2
    assert "monitoring runs; stop it when no case does" in capsys.readouterr().err
