"""What a recording says beside its samples: the names of its gaps, and notes; which record says what.

Owns the order: each lost sample is named once, in the file where its filler begins and in each further one
that it reaches into, before any note. Refuses to make up time: a gap's text holds its indices, exactly.
"""

from collections import deque
from collections.abc import Callable, Sequence

from hostd.raw_header import ANNOTATION_BYTES
from hw.bdf_annotations import Annotation, encode_tal, encode_timekeeping
from hw.raw_bdf import gap_text, note_text
from hw.samples import Gap, GapReason

MAX_NOTE_BYTES = 160


class RecordNotes:
    """What waits to be said. `note` may be called from any thread, the rest from the recorder's."""

    def __init__(self) -> None:
        self._gaps: deque[Gap] = deque()
        self._notes: deque[tuple[int, str]] = deque()
        self._reaching: list[Gap] = []
        self._announced = 0

    def __bool__(self) -> bool:
        return bool(self._gaps or self._notes)

    @property
    def naming(self) -> bool:
        """Whether a gap still waits for its name."""
        return bool(self._gaps)

    def note(self, index: int, text: str) -> None:
        """Something happened at sample `index`."""
        self._notes.append((index, note_text(text, MAX_NOTE_BYTES)))

    def begin(self, first_index: int, gaps: Sequence[Gap]) -> None:
        """The recording begins; gaps before it are named."""
        self._announced = first_index
        self._gaps.extend(gap for gap in gaps if gap.index + gap.length <= first_index)

    def name(self, gap: Gap) -> None:
        """Name a gap."""
        self._gaps.append(gap)
        self._reaching.append(gap)

    def announce(self, gaps: Sequence[Gap], end: int, first_index: int, *, disk_lost: bool) -> None:
        """Name everything between the recording's `end` and `first_index`, each sample once: `gaps` by their
        reason, what they leave unexplained, up to the first of them, as lost by the disk or on the link."""
        cursor = max(end, self._announced)
        self._reaching = [gap for gap in self._reaching if gap.index + gap.length >= end]
        unexplained: GapReason = "file" if disk_lost else "link"
        for gap in sorted(gaps, key=lambda g: g.index):
            start, stop = max(gap.index, cursor), min(gap.index + gap.length, first_index)
            if start >= stop:
                continue
            if cursor < start:
                self.name(Gap(cursor, start - cursor, unexplained))
            unexplained = "link"
            self.name(Gap(start, stop - start, gap.reason))
            cursor = stop
        if cursor < first_index:
            self.name(Gap(cursor, first_index - cursor, unexplained))
        self._announced = first_index

    def go_on(self, first_index: int) -> None:
        """A new file begins at `first_index`: gaps that reach it are named there again."""
        again = [gap for gap in self._reaching if gap.index + gap.length >= first_index]
        self._gaps.extendleft(gap for gap in reversed(again) if gap not in self._gaps)

    def take(self, onset_s: float, first_index: int, seconds: Callable[[int], float]) -> list[Annotation]:
        """What fits the record that begins at `onset_s`, in a file that begins at `first_index`: gaps first,
        since without its name filler would read as samples. `seconds` tells the onset of an index."""
        room = ANNOTATION_BYTES - len(encode_timekeeping(onset_s))
        taken: list[Annotation] = []
        while self:
            if self._gaps:
                gap = self._gaps[0]
                annotation = Annotation(seconds(max(gap.index, first_index)), None, gap_text(gap))
            else:
                index, text = self._notes[0]
                annotation = Annotation(seconds(index), None, text)
            room -= len(encode_tal(annotation))
            if room < 0:
                break
            taken.append(annotation)
            (self._gaps if self._gaps else self._notes).popleft()
        return taken
