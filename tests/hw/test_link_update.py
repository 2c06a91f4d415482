"""The messages of an update: frozen to the byte, and outside of what a handshake compares."""

import zlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw import link
from hw.link import Message, Receiver, Sender, same
from hw.link_update import (
    PART_BYTES,
    UpdateAsk,
    UpdateInstall,
    UpdateMessage,
    UpdateOffer,
    UpdatePart,
    UpdateState,
)
from tests.support.links import frame_by_hand, messages_of

# Never to be changed: boxes in the field understand these bytes and no others.
GOLDEN: list[tuple[Message, bytes]] = [
    (UpdateAsk(1), bytes.fromhex("01000000")),
    (UpdateOffer(2, b"head"), bytes.fromhex("02000000 04000000") + b"head"),
    (UpdatePart(0x0102030405, b"xyz"), bytes.fromhex("0504030201000000 03000000") + b"xyz"),
    (UpdateInstall(3), bytes.fromhex("03000000")),
    (
        UpdateState(4, "again", 5, "why", "0.2.0", 6, "a", 1),
        bytes.fromhex("04000000 0500")
        + b"again"
        + bytes.fromhex("0500000000000000 0300")
        + b"why"
        + bytes.fromhex("0500")
        + b"0.2.0"
        + bytes.fromhex("0600000000000000 0100")
        + b"a"
        + b"\1",
    ),
]
CODES = {UpdateAsk: 240, UpdateOffer: 241, UpdatePart: 242, UpdateInstall: 243, UpdateState: 244}


@pytest.mark.parametrize(("message", "payload"), GOLDEN)
def test_an_update_is_spoken_in_these_bytes_for_good(message: Message, payload: bytes) -> None:
    frame = frame_by_hand(CODES[type(message)], 0, payload)
    assert Sender().frame(message) == frame
    assert Receiver().feed(frame) == [message]


def test_they_are_all_frozen_and_none_is_in_the_table() -> None:
    assert {type(message) for message, _ in GOLDEN} == set(get_args(UpdateMessage)) == set(CODES)
    assert not set(get_args(UpdateMessage)) & set(link.KINDS)
    assert set(link.KINDS) | set(get_args(UpdateMessage)) == set(get_args(Message))
    assert "Update" not in link.table_text()
    assert zlib.crc32(link.table_text().encode()) == link.TABLE


def test_a_part_fits_a_frame_with_room_to_spare() -> None:
    frame = Sender().frame(UpdatePart(0, bytes(range(256)) * (PART_BYTES // 256)))
    assert len(frame) < 2 * PART_BYTES < link.MAX_FRAME_BYTES


@given(st.one_of(*(messages_of(kind) for kind in get_args(UpdateMessage))))
def test_whatever_they_hold_crosses_the_link(message: Message) -> None:
    (there,) = Receiver().feed(Sender().frame(message))
    assert same(there, message)
