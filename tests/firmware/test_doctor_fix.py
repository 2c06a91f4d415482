"""`evokd doctor --fix`: boot files get what an edge needs, keep what people wrote, and are the same twice."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.doctor import __main__ as doctor
from firmware.doctor.boot import on_in, settings_in
from firmware.doctor.boot_edits import cmdline_edited, config_edited, overlays
from firmware.errors import ConfigError
from hostd.cli import main as evokd
from tests.support.machines import laptop, stock_pi4

ONE = ("0.0",)
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=1-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
BOOT = "boot/firmware"
LINES = (
    *("", "# mine", "[all]", "[pi4]", "[pi5]", "dtparam=spi=off", "dtparam=i2c_arm=on,spi=on", "camera=1"),
    *("dtoverlay=spi0-2cs", "dtoverlay=vc4-kms-v3d", "core_freq_fixed=1", "dtparam=watchdog=on"),
    "force_turbo=1",
)


def test_a_stock_file_gets_all_of_it_below_what_is_there() -> None:
    edited = config_edited("# mine\n[pi5]\narm_boost=1", "bcm2711", ONE)
    lines = "dtparam=spi=on\ndtparam=watchdog=on\ndtoverlay=spi0-1cs\ncore_freq_fixed=1\n"
    assert edited.text == f"# mine\n[pi5]\narm_boost=1\n\n[all]\n# evokd doctor --fix\n{lines}"
    assert edited.notes == ()


@given(
    st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from(["bcm2711", "bcm2712", ""]), st.booleans()
)
def test_any_file_is_kept_has_what_it_needs_and_is_the_same_twice(
    lines: list[str], soc: str, ends: bool
) -> None:
    before = "\n".join(lines) + ("\n" if ends else "")
    edited = config_edited(before, soc, ("0.0", "0.1"))
    assert edited.text.startswith(before)
    held = settings_in(edited.text, soc)
    assert on_in(held, "spi") and on_in(held, "watchdog") and ("dtoverlay", "spi0-2cs") in held
    assert ("core_freq_fixed", "1") in held or ("force_turbo", "1") in held
    assert config_edited(edited.text, soc, ("0.0", "0.1")).text == edited.text


def test_what_contradicts_is_left_to_its_owner_and_told() -> None:
    text = "dtoverlay=spi0-1cs,cs0_pin=8\ncore_freq_fixed=0\n"
    edited = config_edited(text, "bcm2711", ("0.0", "0.1"))
    assert edited.added == ("dtparam=spi=on", "dtparam=watchdog=on")
    overlay, clock = edited.notes
    assert overlay.endswith("change that line") and clock.endswith("remove that line")
    assert config_edited("dtoverlay=spi0-2cs\n", "bcm2711", ONE).notes == (), "more selects do no harm"


@pytest.mark.parametrize(
    ("spi", "wanted"),
    [(ONE, ("spi0-1cs",)), (("0.1", "0.0"), ("spi0-2cs",)), (("1.2", "0.0"), ("spi0-1cs", "spi1-3cs"))],
)
def test_the_overlays_have_the_selects_of_the_wiring(spi: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert overlays(spi) == wanted


@pytest.mark.parametrize("spi", [("0.2",), ("1.3",), ("5.0",)])
def test_selects_that_no_overlay_has_are_refused(spi: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="no overlay has it"):
        overlays(spi)


def test_the_command_line_stays_one_line_and_gives_the_last_processor_away() -> None:
    edited = cmdline_edited(CMDLINE, 4)
    words = "isolcpus=3 nohz_full=3 rcu_nocbs=3 irqaffinity=0-2 cpufreq.default_governor=performance"
    assert edited.text == f"{CMDLINE.strip()} {words} spidev.bufsiz=4096\n"
    assert cmdline_edited(edited.text, 4).text == edited.text and not cmdline_edited(edited.text, 4).added


def test_words_of_others_stay_and_no_processor_is_taken_from_two() -> None:
    own = "isolcpus=2 cpufreq.default_governor=ondemand"
    edited = cmdline_edited(own, 4)
    assert edited.text == f"{own} spidev.bufsiz=4096\n"
    assert "default_governor=ondemand is there" in edited.notes[0]
    assert "isolcpus" not in cmdline_edited("", 2).text
    assert cmdline_edited("", 2).text == "cpufreq.default_governor=performance spidev.bufsiz=4096\n"
    assert cmdline_edited("a=1\nsecond line\n", 2).text.endswith(" spidev.bufsiz=4096\nsecond line\n")


def _pi(tmp_path: Path) -> Any:
    return stock_pi4().but(files={f"/{BOOT}/cmdline.txt": CMDLINE}).build(tmp_path)


def test_files_are_written_once_with_a_copy_of_the_first_state(tmp_path: Path, capsys: Any) -> None:
    machine, boot = _pi(tmp_path), tmp_path / BOOT
    before = {name: (boot / name).read_bytes() for name in ("config.txt", "cmdline.txt")}
    assert doctor.main(["--fix", "--dry-run"], machine) == 0
    proposed = capsys.readouterr().out
    assert {p.name for p in boot.iterdir()} == set(before)
    assert doctor.main(["--fix"], machine) == 0
    said = capsys.readouterr().out
    assert said.startswith(proposed) and "sudo reboot" in said
    assert "/boot/firmware/config.txt: + dtparam=spi=on\n" in said and "cmdline.txt: + isolcpus=3\n" in said
    after = {p.name: p.read_bytes() for p in boot.iterdir()}
    assert {name: after[f"{name}.before-evokd"] for name in before} == before
    assert doctor.main(["--fix"], machine) == 0
    assert "nothing to write" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in boot.iterdir()} == after
    (boot / "config.txt").write_text("")
    assert doctor.main(["--fix"], machine) == 0
    assert (boot / "config.txt.before-evokd").read_bytes() == before["config.txt"], "the first is kept"


def test_an_image_elsewhere_is_written_below_its_root(tmp_path: Path, capfd: Any) -> None:
    boot = tmp_path / BOOT
    boot.mkdir(parents=True)
    (boot / "config.txt").write_text("")
    (boot / "cmdline.txt").write_text(CMDLINE)
    wiring = tmp_path / "wiring.toml"
    wiring.write_text('spi = ["0.0", "0.1"]\n')
    assert evokd(["doctor", "--fix", "--root", str(tmp_path), "--wiring", str(wiring)]) == 0
    assert "dtoverlay=spi0-2cs" in (boot / "config.txt").read_text()
    assert "isolcpus=3 " in (boot / "cmdline.txt").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--dry-run"], "--dry-run belongs to --fix"),
        (["--root", "."], "--root belongs to --fix"),
        (["--wiring", "w"], "--wiring belongs to --fix"),
        (["--fix", "--root", "/nowhere"], "is no folder"),
        (["--fix", "--wiring", "/nowhere"], "No such file"),
    ],
)
def test_bad_words_are_one_line(words: list[str], why: str, tmp_path: Path, capsys: Any) -> None:
    assert doctor.main(words, _pi(tmp_path)) == 2
    said = capsys.readouterr()
    assert why in said.err and said.err.count("\n") == 1 and said.out == ""


def test_a_machine_without_boot_files_is_told_so(tmp_path: Path, capsys: Any) -> None:
    assert doctor.main(["--fix"], laptop().build(tmp_path)) == 2
    assert "config.txt cannot be read: is this a Raspberry Pi?" in capsys.readouterr().err


def test_a_boot_folder_that_refuses_is_one_line(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _pi(tmp_path)

    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("firmware.doctor.fix._replaced", refuse)
    assert doctor.main(["--fix"], machine) == 1
    assert "config.txt: Permission denied; run it as root" in capsys.readouterr().err
