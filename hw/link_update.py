"""The link's messages for an update of the edge. Values only.

Frozen for good, and outside of the table that the handshake hashes: an edge of another version, with another
message table, has to follow them, since nothing else could bring it up to date. What must change gets a code
of its own beside these. `firmware/update/README.md` tells the talk.
"""

from dataclasses import dataclass
from typing import ClassVar

from hw.link_fields import U8, U32, U64, Blob, Text

PART_BYTES = 32768
"""Of a bundle in one `UpdatePart`."""


@dataclass(frozen=True, slots=True)
class UpdateAsk:
    """Host: what runs there, and what became of the last update?"""

    CODE: ClassVar[int] = 240
    command: U32


@dataclass(frozen=True, slots=True)
class UpdateOffer:
    """Host: take this bundle, of which `head` (manifest and signature, see hw.bundle) is all that is judged
    by. Offered again it goes on where it was."""

    CODE: ClassVar[int] = 241
    command: U32
    head: Blob


@dataclass(frozen=True, slots=True)
class UpdatePart:
    """Host: what follows the head, from byte `at` of it on."""

    CODE: ClassVar[int] = 242
    at: U64
    part: Blob


@dataclass(frozen=True, slots=True)
class UpdateInstall:
    """Host: all was sent; verify it, and start it."""

    CODE: ClassVar[int] = 243
    command: U32


@dataclass(frozen=True, slots=True)
class UpdateState:
    """Edge: the answer to each of these. `stage`: idle; receiving (the next byte wanted is `at`); again
    (bytes are missing from `at` on); installed (the edge starts anew and tries it); refused. `text` says why,
    or what became of the last update. `version`, `build` and `slot` run, `trial` 1 until they are found
    good."""

    CODE: ClassVar[int] = 244
    command: U32
    stage: Text
    at: U64
    text: Text
    version: Text
    build: U64
    slot: Text
    trial: U8


UpdateMessage = UpdateAsk | UpdateOffer | UpdatePart | UpdateInstall | UpdateState
UpdateRequest = UpdateAsk | UpdateOffer | UpdatePart | UpdateInstall
