"""What an edge takes as an update: signed by whom it trusts, newer, whole, when nothing else is going on."""

import random
from pathlib import Path

import pytest

from firmware.update.incoming import SPARE_BYTES
from firmware.update.launched import Launched
from firmware.update.selector import INSTALLED
from firmware.update.slots import SELECTOR
from firmware.update.talk import ACQUIRING, NO_LAUNCHER, Updates
from hw.bundle import MAGIC
from hw.link_update import UpdateAsk, UpdateInstall, UpdateOffer, UpdatePart
from tests.support.cut_disk import CutDisk
from tests.support.updates import Box, Made, files, keys, unsigned


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """One that runs build 5."""
    box = Box(CutDisk(), tmp_path)
    box.power_up()
    assert box.update(Made(tmp_path, 5, files(5))) == ""
    box.power_up()
    return box


def refused(box: Box, made: Made) -> str:
    """Why; what runs stays the same."""
    before = box.runs()
    why = box.update(made)
    assert why
    assert "\n" not in why
    box.power_up()
    assert box.runs() == before
    return why


@pytest.mark.control("H17.4")
def test_who_is_not_trusted_is_refused_by_name(box: Box, tmp_path: Path) -> None:
    why = refused(box, Made(tmp_path, 6, files(6), key="other/other.key"))
    assert "does not trust (it trusts: release)" in why


@pytest.mark.control("H17.4")
def test_a_bundle_without_signature_is_refused(box: Box, tmp_path: Path) -> None:
    made = Made(tmp_path, 6, files(6))
    made.head = unsigned(made)
    assert "is not signed" in refused(box, made)


@pytest.mark.control("H17.4")
def test_a_signature_of_another_manifest_is_refused(box: Box, tmp_path: Path) -> None:
    made, other = Made(tmp_path, 6, files(6)), Made(tmp_path, 7, files(7))
    made.head = other.head[:-64] + made.head[-64:]
    assert "signature is not its manifest's" in refused(box, made)


@pytest.mark.control("H17.4")
def test_an_older_build_is_refused_and_so_is_the_one_that_runs(box: Box, tmp_path: Path) -> None:
    assert "not newer than build 5" in refused(box, Made(tmp_path, 4, files(4)))
    assert "not newer than build 5" in refused(box, Made(tmp_path, 5, files(6)))
    assert "runs here already" in refused(box, Made(tmp_path, 5, files(5)))


def test_an_older_build_is_taken_where_its_signer_allowed_it_and_not_later(box: Box, tmp_path: Path) -> None:
    older = Made(tmp_path, 4, files(4), may_replace=5)
    assert box.update(older) == ""
    box.power_up()
    assert box.runs() == files(4)
    assert "not newer than build 5" in refused(box, Made(tmp_path, 5, files(6)))
    assert box.update(Made(tmp_path, 6, files(6))) == ""
    box.power_up()
    assert "not newer than build 6" in refused(box, older)


def test_a_build_that_was_never_good_does_not_raise_the_floor(box: Box, tmp_path: Path) -> None:
    box.ill = {9}
    assert box.update(Made(tmp_path, 9, files(9))) == ""
    box.power_up()
    assert box.update(Made(tmp_path, 6, files(6))) == ""
    box.power_up()
    assert box.runs() == files(6)


@pytest.mark.parametrize("seed", range(40))
def test_a_bundle_with_a_flipped_bit_is_refused(box: Box, tmp_path: Path, seed: int) -> None:
    made = Made(tmp_path, 6, files(6))
    rng = random.Random(seed)
    data = bytearray(made.file)
    in_head = seed % 2
    at = rng.randrange(len(made.head)) if in_head else rng.randrange(len(made.head), len(data))
    data[at] ^= 1 << rng.randrange(8)
    made.head, made.payload = bytes(data[: len(made.head)]), bytes(data[len(made.head) :])
    refused(box, made)


@pytest.mark.parametrize("head", [b"", MAGIC, b"x" * 400, MAGIC + b"\xff\xff\xff\xff" + bytes(200)])
def test_what_is_no_bundle_is_refused(box: Box, tmp_path: Path, head: bytes) -> None:
    made = Made(tmp_path, 6, files(6))
    made.head = head
    assert "not a bundle" in refused(box, made)


def test_nothing_is_installed_before_all_of_it_is_there(box: Box, tmp_path: Path) -> None:
    made = Made(tmp_path, 6, files(6))
    made.payload = made.payload[:-1]
    updates = box.updates()
    updates.hear(UpdateOffer(1, made.head), False)
    updates.hear(UpdatePart(0, made.payload), False)
    state = updates.hear(UpdateInstall(2), False)
    assert state is not None
    assert (state.stage, updates.installed) == ("refused", False)
    assert "1 bytes of the update are missing" in state.text
    assert box.power_up() == "a"


def test_more_bytes_than_the_manifest_lists_are_refused(box: Box, tmp_path: Path) -> None:
    made = Made(tmp_path, 6, files(6))
    updates = box.updates()
    updates.hear(UpdateOffer(1, made.head), False)
    state = updates.hear(UpdatePart(0, made.payload + b"!"), False)
    assert state is not None
    assert "more bytes came" in state.text


def test_a_disk_without_room_is_said_before_anything_is_sent(box: Box, tmp_path: Path) -> None:
    box.disk.free = SPARE_BYTES  # type: ignore[attr-defined]
    why = refused(box, Made(tmp_path, 6, files(6)))
    assert "16 MiB free" in why
    assert why.endswith("make room")


def test_a_disk_that_fills_up_on_the_way_gets_its_room_back(box: Box, tmp_path: Path) -> None:
    disk = box.disk
    assert isinstance(disk, CutDisk)
    disk.full_after = disk.spent + 1800
    assert "No space left on device; make room" in refused(box, Made(tmp_path, 6, files(6)))
    assert disk.names("slots/b") == []
    disk.full_after = None
    assert box.update(Made(tmp_path, 6, files(6))) == ""
    box.power_up()
    assert box.runs() == files(6)


def test_a_transfer_goes_on_at_the_file_where_it_broke(box: Box, tmp_path: Path) -> None:
    made = Made(tmp_path, 6, files(6))
    talk = box.talk(made)
    ats = [next(talk).at for _ in range(5)]
    assert ats == [0, 400, 800, 1200, 1600]
    talk.close()
    again = box.updates().hear(UpdateOffer(1, made.head), False)
    assert again is not None
    assert again.at == 730  # two files and one without bytes are whole
    other = box.updates().hear(UpdateOffer(1, Made(tmp_path, 7, files(7)).head), False)
    assert other is not None
    assert other.at == 0
    assert box.update(made) == ""
    box.power_up()
    assert box.runs() == files(6)


def test_a_part_that_was_lost_is_asked_for_once(box: Box, tmp_path: Path) -> None:
    made = Made(tmp_path, 6, files(6))
    updates = box.updates()
    updates.hear(UpdateOffer(1, made.head), False)
    lost = [updates.hear(UpdatePart(at, made.payload[at : at + 400]), False) for at in (400, 800)]
    assert [state and (state.stage, state.at) for state in lost] == [("again", 0), None]
    right = updates.hear(UpdatePart(0, made.payload[:400]), False)
    assert right is not None
    assert (right.stage, right.at) == ("receiving", 400)
    twice = updates.hear(UpdatePart(0, made.payload[:400]), False)
    assert twice is not None
    assert (twice.stage, twice.at) == ("receiving", 400)


@pytest.mark.control("H17.6")
def test_nothing_is_taken_while_samples_are_acquired(box: Box, tmp_path: Path) -> None:
    made, updates = Made(tmp_path, 6, files(6)), box.updates()
    state = updates.hear(UpdateOffer(1, made.head), True)
    assert state is not None
    assert (state.stage, state.text) == ("refused", ACQUIRING)
    assert not updates.busy
    state = updates.hear(UpdateInstall(2), True)
    assert state is not None
    assert state.stage == "refused"
    asked = updates.hear(UpdateAsk(3), True)
    assert asked is not None
    assert (asked.stage, asked.version, asked.build, asked.slot) == ("idle", "0.5.0", 5, "a")


def test_an_edge_is_busy_from_the_offer_until_the_host_is_gone(box: Box, tmp_path: Path) -> None:
    updates = box.updates()
    assert not updates.busy
    updates.hear(UpdateOffer(1, Made(tmp_path, 6, files(6)).head), False)
    assert updates.busy
    updates.hang_up()
    assert not updates.busy
    assert updates.hear(UpdatePart(0, b"late"), False) is None
    nothing = updates.hear(UpdateInstall(2), False)
    assert nothing is not None
    assert "nothing was offered" in nothing.text


def test_what_is_on_trial_is_not_written_over_and_what_was_installed_waits_for_its_start(
    box: Box, tmp_path: Path
) -> None:
    updates = box.updates()
    made = Made(tmp_path, 6, files(6))
    updates.hear(UpdateOffer(1, made.head), False)
    updates.hear(UpdatePart(0, made.payload), False)
    state = updates.hear(UpdateInstall(2), False)
    assert state is not None
    assert (state.stage, updates.installed, updates.busy) == ("installed", True, True)
    state = updates.hear(UpdateOffer(3, Made(tmp_path, 7, files(7)).head), False)
    assert state is not None
    assert "about to start" in state.text
    assert box.power_up(comes_up=False) == "b"
    assert "on trial; wait until it stays" in refused_on_trial(box, tmp_path)


def refused_on_trial(box: Box, tmp_path: Path) -> str:
    asked = box.updates().hear(UpdateAsk(1), False)
    assert asked is not None
    assert (asked.trial, asked.slot) == (1, "b")
    return box.update(Made(tmp_path, 7, files(7)))


def test_an_edge_that_is_not_what_was_selected_writes_nothing(box: Box, tmp_path: Path) -> None:
    box.slot = INSTALLED
    assert "which slot runs is not what was selected" in box.update(Made(tmp_path, 6, files(6)))


def test_an_edge_without_launcher_says_how_it_could(tmp_path: Path) -> None:
    state = Updates(None).hear(UpdateOffer(1, b""), False)
    assert state is not None
    assert state.text == NO_LAUNCHER
    asked = Updates(None).hear(UpdateAsk(2), False)
    assert asked is not None
    assert (asked.stage, asked.build, asked.slot) == ("idle", 0, "")


def test_a_key_of_the_box_that_cannot_be_read_is_named(box: Box, tmp_path: Path) -> None:
    (keys(tmp_path) / "bad.pub").write_text("nonsense\n")
    assert "bad.pub is not one line" in refused(box, Made(tmp_path, 6, files(6)))


def test_the_selection_failing_leaves_what_runs(box: Box, tmp_path: Path) -> None:
    made, updates = Made(tmp_path, 6, files(6)), box.updates()
    updates.hear(UpdateOffer(1, made.head), False)
    updates.hear(UpdatePart(0, made.payload), False)
    disk = box.disk
    assert isinstance(disk, CutDisk)
    before = disk.read(SELECTOR)
    disk.full_after = disk.spent - 1
    state = updates.hear(UpdateInstall(2), False)
    assert state is not None
    assert "cannot select slot b" in state.text
    assert (disk.read(SELECTOR), updates.installed) == (before, False)
    assert Launched(Path(), Path(), "a", ("x",)).slot == box.power_up()
