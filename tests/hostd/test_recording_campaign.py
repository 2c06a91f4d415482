"""A slice of the campaign of killed hosts (`python -m tests.recording`): one kill within a segment."""

from pathlib import Path

from tests.recording.kills import kill


def test_a_killed_host_loses_next_to_nothing_and_every_segment_opens_everywhere(tmp_path: Path) -> None:
    # A quarter of a second behind the beginning of the third, which is there when its header is on the disk.
    killed = kill(tmp_path / "case", 156, 8, 4000.0, speed=3.0, segment_s=0.4)
    assert killed.segments >= 3 and killed.unclosed <= 1
    assert killed.lost_s <= 2.0
