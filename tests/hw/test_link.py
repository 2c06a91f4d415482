"""The link's frames: golden bytes that third parties rely on, round trips, nothing wrong ever let through."""

import math
import struct
from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hw import link
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    NOT_SEEN,
    Block,
    Configure,
    Description,
    Ended,
    Excite,
    Excited,
    Fault,
    Heartbeat,
    Hello,
    Impedance,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Lockout,
    Message,
    Receiver,
    Reply,
    Rows,
    Sender,
    Start,
    StimArm,
    StimLimits,
    StimPlan,
    StimState,
    StimStop,
    Stimulus,
    Timebase,
    Unfired,
    check_hello,
    hello,
    same,
)
from hw.link_fields import layout
from hw.samples import Gap
from tests.support.links import ANY_MESSAGE, frame_by_hand, other_version

BLOCK = Block(
    first_index=1000,
    t_ns=-2,
    channels=2,
    samples=bytes.fromhex("000001 ffffff 7fffff 800000"),
    bits=b"\0\1",
    gaps=(Gap(990, 8, "missed"), Gap(998, 2, "torn")),
)

# Frames 0 to 25 of a sender, made with struct and zlib.crc32 alone. To change one is to change VERSION.
TABLE_V3 = 0x9BB9914B
GOLDEN: list[tuple[Message, str]] = [
    (
        Hello(3, TABLE_V3, 0x0123456789ABCDEF, "host"),
        "020101010102030e4b91b99befcdab89674523010409686f73741484382f00",
    ),
    (
        Configure(
            4000.0,
            24,
            ("CP3", "Fpz"),
            ("median-left", ""),
            ("", "EEG Fpz"),
            "Stim",
            0.5,
            ("click=1",),
            monitors=("Fpz", ""),
            monitor_scales=(0.1,),
        ),
        "030201010101010101010640af401802020305435033030546707a02020b0c6d656469616e2d6c65667401020201010207094545"
        "472046707a04055374696d010101010104e03f01020709636c69636b3d310202030446707a0102010d9a9999999999b93fd01a19"
        "fa00",
    ),
    (
        Description("simulated", 4000.0, ("CP3", "Fpz"), (0.5, 0.25), (0.0, -1.0), -0.5, 4),
        "030302010102090a73696d756c61746564010101010540af4002020305435033030546707a0201010101010103e03f01010101"
        "0104d03f02010101010101010101010101010103f0bf010101010105e0bf0401010507faca9b00",
    ),
    (Start(7), "03040301010207010105f87abda800"),
    (
        BLOCK,
        "030504010103e80301010101010bfeffffffffffffff020c010101010901ffffff7fffff8001020201010103010203de03010101"
        "0101020801010103e6030101010101020201010601a3487d7200",
    ),
    (
        StimPlan(
            command=8,
            plan=2,
            line=3,
            period=8510,
            phase=100,
            hold=4,
            count=300,
            alternate=4,
            pulses=5,
            interval=16,
            trains=2,
            gap=60,
            guard=70,
            kind=2,
            current_ua=200_000,
            width_us=50,
            area_cm2=1.5,
        ),
        "030605010102080101020204033e2101026401010204032c01010304050210010103023c0101024601010502400d030232010101"
        "010101010107f83f5f3e0a9800",
    ),
    (StimStop(9, ALL_PLANS), "03070601010209010107ffff1f978bd600"),
    (
        Stimulus(plan=2, command=8, number=1, line=3, commanded=951, seen=952, pulse=4),
        "0308070101020202080101020101010403b703010101010103b8030101010101020405f8789dad00",
    ),
    (
        Reply(8, "plan 2 exceeds the rate limit"),
        "030908010102080101021d22706c616e20322065786365656473207468652072617465206c696d6974a439234500",
    ),
    (
        Fault("missing", "pulse 1 on line 3 never came back", 0, index=955, line=3),
        "030a0901010207096d697373696e67212270756c73652031206f6e206c696e652033206e657665722063616d65206261636b03bb"
        "03010101010106035af693c100",
    ),
    (Ended(4000), "030b0a010103a00f01010101010525868f5e00"),
    (Heartbeat(123456789), "030c0b01010515cd5b070101010557bea4a900"),
    (
        Timebase(3999, 1234567890123, 250312.5, -1248.4, 3.25, 2100.0, 17, 1),
        "030d0c0101039f0f010101010107cb04fb711f0101010101010d448e0e419a999999998193c00101010101030a40010101010568"
        "a0401101010601ae41e71d00",
    ),
    (ImpedanceStart(10, 6, 31.25, 0, 0), "030e0d0101020a010102060101010101010104403f4001059f777f0700"),
    (ImpedanceStop(11), "030f0e0101020b0101054c4e3bfb00"),
    (LeadWatch(12, 6), "03100f0101020c01010206010105ba3523bb00"),
    (Excited(10, 4000, NOT_SEEN), "0311100101020a010103a00f01010101010dffffffffffffffff8d33016700"),
    (
        Impedance(
            command=10,
            first_index=4000,
            end_index=13500,
            frequency_hz=31.25,
            current_na=6,
            board="SN7",
            leads=("CP3+", "Fpz+"),
            ohm=(5000.0, 0.0),
            low_ohm=(4900.0, 0.0),
            high_ohm=(5100.0, 0.0),
            phase_deg=(-2.5, 0.0),
            drift_deg=(0.25, 0.0),
            notes=("", "no tone"),
        ),
        "0312110101020a010103a00f010101010103bc340101010101010101010105403f40060101020305534e37020204064350332b04"
        "0646707a2b0201010101010488b34001010101010101020201010101010424b340010101010101010202010101010104ecb34001"
        "01010101010102020101010101010304c001010101010101020201010101010103d03f010101010101010202010102070c6e6f20"
        "746f6e656b849d4f00",
    ),
    (
        Leads(5000, off_p=1, off_n=0, railed=2, watched=1),
        "031312010103881301010101010201010101010101020201010601c8c1e7b700",
    ),
    (
        StimArm(13, 2, 4000),
        "0314130101020d0101020203a00f0105ff941ffd00",
    ),
    (
        StimLimits(14, 3, (2.0, 0.5)),
        "0315140101020e0101030302010101010101010240010101010107e03fe06e03de00",
    ),
    (
        Lockout(15, LOCK_ELECTROSURGERY, 1),
        "0316150101020f01010702010915245800",
    ),
    (
        Unfired(plan=2, command=8, index=1802, other=1, reason="electrosurgery is on"),
        "0317160101020202080101030a0701010101010201021419656c656374726f73757267657279206973206f6e482cbaee00",
    ),
    (
        StimState(
            index=5000,
            locks=LOCK_ELECTROSURGERY,
            owner=1,
            until=5100,
            plans=(1.0,),
            fired=(7.0,),
            unfired=(2.0,),
            armed=(1.0,),
            armed_until=(9000.0,),
            pulses=(7.0, 0.0),
            charge_uc=(2.8, 0.0),
            energy_mj=(0.5, 0.0),
        ),
        "0318170101038813010101010103020103ec130101010101020101010101010104f03f01010101010101041c4001010101010101"
        "0103400101010101010104f03f0101010101010594c14002010101010101031c4001010101010101020209666666666666064001"
        "010101010101020201010101010103e03f0101010101010105f4b67cd800",
    ),
    (
        Excite(9, 6, 31.25, 0x81, 0, 1),
        "03191801010209010102060101010101010105403f40810101010101010601769a353000",
    ),
    (
        Rows(7, -3, 2, 1, 9, bytes.fromhex("c00001000001fffffe"), (Gap(5, 2, "torn"),)),
        "031a19010102070101010101010dfdffffffffffffff02010909010102c00201010601fffffe01020501010101010102020101060165a4ceec00",
    ),
]


def test_golden_bytes_of_one_frame_of_each_message() -> None:
    assert [type(message) for message, _ in GOLDEN] == list(link.KINDS)
    sender, receiver = Sender(), Receiver()
    for message, golden in GOLDEN:
        assert sender.frame(message).hex() == golden, type(message).__name__
        assert receiver.feed(bytes.fromhex(golden)) == [message]
    assert (receiver.frames, receiver.bad_frames, receiver.lost_frames) == (len(GOLDEN), 0, 0)
    assert link.TABLE == TABLE_V3


def test_a_frame_is_what_the_first_lines_of_the_module_say() -> None:
    payload = struct.pack("<HIIBQQH", 2, 8, 1, 3, 951, NOT_SEEN, 4)
    sender = Sender()
    sender.frame(Heartbeat(0))
    assert sender.frame(Stimulus(2, 8, 1, 3, 951, NOT_SEEN, 4)) == frame_by_hand(Stimulus.CODE, 1, payload)


@given(st.lists(ANY_MESSAGE, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_every_message_survives_whatever_the_pieces_it_arrives_in(
    messages: list[Message], sizes: list[int]
) -> None:
    sender, receiver = Sender(), Receiver()
    stream = b"".join(map(sender.frame, messages))
    got, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += receiver.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == messages
    assert (receiver.frames, receiver.bad_frames, receiver.lost_frames) == (len(messages), 0, 0)


def test_not_a_number_is_the_same_as_itself_after_the_link() -> None:
    wanted = Configure(250.0, 1, ("A",), (), ("",), "", math.nan, ())
    (got,) = Receiver().feed(Sender().frame(wanted))
    assert got != wanted  # as floats go
    assert same(got, wanted)
    assert not same(got, Configure(250.0, 2, ("A",), (), ("",), "", math.nan, ()))
    assert not same(Start(1), Heartbeat(1))


def test_text_that_is_no_unicode_is_carried_with_question_marks() -> None:
    (got,) = Receiver().feed(Sender().frame(Fault("port", "no device /dev/\udcff", 1)))
    assert got == Fault("port", "no device /dev/?", 1)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (Start(1 << 32), "Start.command = 4294967296"),
        (Start(-1), "Start.command = -1"),
        (StimStop(0, 1 << 16), "StimStop.plan"),
        (Reply(0, "x" * 65536), "Reply.refusal"),
        (Block(0, 0, 1, b"", b"", (Gap(0, 1 << 32, "missed"),)), "Block.gaps"),
        (Block(0, 0, 1, b"", b"", (Gap(0, 1, "missed"),) * 65536), "Block.gaps"),
        (Block(0, 0, 1, b"\1" * link.MAX_FRAME_BYTES, b"", ()), "Block of"),
    ],
)
def test_what_a_frame_cannot_hold_is_refused_and_leaves_no_hole(message: Message, where: str) -> None:
    sender, receiver = Sender(), Receiver()
    first = sender.frame(Heartbeat(1))
    with pytest.raises(ValueError, match=where):
        sender.frame(message)
    assert len(receiver.feed(first + sender.frame(Heartbeat(2)))) == 2
    assert receiver.lost_frames == 0


@pytest.mark.control("H1.8")
def test_every_flipped_bit_of_a_block_is_caught() -> None:
    sender = Sender()
    before, block, next_one, last = (
        sender.frame(m) for m in (Heartbeat(1), BLOCK, Heartbeat(2), Heartbeat(3))
    )
    for bit in range(8 * len(block)):
        flipped = bytearray(block)
        flipped[bit // 8] ^= 1 << bit % 8
        receiver = Receiver()
        got = receiver.feed(before + bytes(flipped) + next_one + last)
        delimiter = bit // 8 == len(block) - 1  # the frame runs into the next one, which is lost with it
        assert got == [Heartbeat(1), *([] if delimiter else [Heartbeat(2)]), Heartbeat(3)], bit
        assert receiver.lost_frames == 1 + delimiter
        assert 1 <= receiver.bad_frames <= 2  # a byte that became zero splits the frame


@pytest.mark.control("H1.8")
@given(st.lists(st.binary(max_size=100), max_size=10))
@example([b"\0\0\0", b"\x01\x01\x01\0"])
def test_random_bytes_never_raise_and_never_say_anything(pieces: list[bytes]) -> None:
    receiver = Receiver()
    for piece in pieces:
        assert receiver.feed(piece) == []
    receiver.feed(b"\0")
    assert receiver.feed(Sender().frame(BLOCK)) == [BLOCK]


@given(st.integers(0, 255), st.binary(max_size=120))
@example(Hello.CODE, b"")
@example(Hello.CODE, b"\1")
@example(Reply.CODE, b"\0\0\0\0\1\0\xff")  # text that is no UTF-8
@example(Block.CODE, bytes(8 + 8 + 1 + 4 + 4) + b"\1\0" + bytes(12) + b"\5")  # a gap for an unknown reason
@example(Block.CODE, bytes(17) + b"\xff\xff\xff\xff")
@example(Configure.CODE, bytes(9) + b"\xff\xff")
def test_a_whole_frame_of_any_content_never_raises(code: int, payload: bytes) -> None:
    body = struct.pack("<BI", code, 5) + payload
    receiver = Receiver()
    got = receiver.feed(frame_by_hand(code, 5, payload))
    assert receiver.frames + receiver.bad_frames == 1, body
    assert len(got) == receiver.frames
    if got and not (isinstance(got[0], Hello) and got[0].version != link.VERSION):
        again = Sender()
        for _ in range(5):
            again.frame(Heartbeat(0))
        assert again.frame(got[0]) == frame_by_hand(code, 5, payload)  # read exactly as it was written


def test_holes_in_the_sequence_are_counted_also_where_the_count_wraps() -> None:
    receiver = Receiver()
    for seq, lost in ((7, 0), (8, 0), (11, 2), (12, 2)):
        receiver.feed(frame_by_hand(Start.CODE, seq, bytes(4)))
        assert receiver.lost_frames == lost
    receiver = Receiver()
    for seq, lost in ((0xFFFFFFFE, 0), (0xFFFFFFFF, 0), (0, 0), (3, 2)):
        receiver.feed(frame_by_hand(Start.CODE, seq, bytes(4)))
        assert receiver.lost_frames == lost
    assert receiver.frames == 4


def test_a_senders_count_wraps() -> None:
    sender, receiver = Sender(), Receiver()
    sender._seq = 0xFFFFFFFF
    assert len(receiver.feed(sender.frame(Start(1)) + sender.frame(Start(2)))) == 2
    assert receiver.lost_frames == 0


def test_a_sender_that_begins_anew_has_lost_nothing() -> None:
    receiver = Receiver()
    for seq in (100, 101, 0, 1, 3):  # the peer was started again on the same wire
        receiver.feed(frame_by_hand(Start.CODE, seq, bytes(4)))
    assert (receiver.frames, receiver.lost_frames) == (5, 1)


@pytest.mark.control("H16.2")
@pytest.mark.parametrize("piece", [1 << 12, 1 << 16, 1 << 22])
def test_an_over_long_frame_is_one_bad_frame_and_forgotten(piece: int) -> None:
    receiver, sender = Receiver(), Sender()
    assert receiver.feed(sender.frame(Start(1))) == [Start(1)]
    noise = b"\x55" * (3 * link.MAX_FRAME_BYTES) + b"\0"
    for at in range(0, len(noise), piece):
        assert receiver.feed(noise[at : at + piece]) == []
    assert receiver.bad_frames == 1
    assert receiver.feed(sender.frame(Start(2)) + sender.frame(Start(3))) == [Start(2), Start(3)]
    assert (receiver.frames, receiver.bad_frames, receiver.lost_frames) == (3, 1, 0)


@pytest.mark.parametrize("extra", [b"", b"\x01", b"a longer payload than ours, with \0 in it"])
def test_another_versions_hello_is_read_only_for_its_version(extra: bytes) -> None:
    receiver = Receiver()
    (peer,) = receiver.feed(other_version(extra))
    assert peer == Hello(link.VERSION + 1, 0, 0, "peer")
    assert receiver.bad_frames == 0
    assert check_hello(peer) == "peer speaks link version 4, this side 3; update the older one"


def test_our_own_hello_is_welcome_and_another_table_is_not() -> None:
    assert check_hello(hello("edge", 1)) == ""
    text = check_hello(Hello(link.VERSION, link.TABLE ^ 1, 0, "edge"))
    assert (
        text
        == f"edge has message table {link.TABLE ^ 1:08x}, this side {link.TABLE:08x}; update the older one"
    )
    longer = frame_by_hand(Hello.CODE, 0, struct.pack("<HIQH", link.VERSION, 0, 0, 0) + b"x")
    assert len(Receiver().feed(longer)) == 0


def test_the_table_hash_changes_with_every_name_type_order_and_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {link.table_text()}
    for kind in link.KINDS:
        rows = layout(kind)
        variants = [rows[:-1], (*rows, ("more", "B"))]
        for at, (name, code) in enumerate(rows):
            other = "H" if code != "H" else "I"
            variants.append((*rows[:at], (name + "_", code), *rows[at + 1 :]))
            variants.append((*rows[:at], (name, other), *rows[at + 1 :]))
        if len(rows) > 1:
            variants.append((rows[1], rows[0], *rows[2:]))
        for variant in variants:
            with monkeypatch.context() as patch:
                patch.setitem(link._LAYOUTS, kind, variant)
                changed = link.table_text()
            assert changed not in texts, (kind, variant)
            texts.add(changed)
    with monkeypatch.context() as patch:
        patch.setattr(Start, "CODE", 99)
        assert link.table_text() not in texts
    assert len({link.zlib.crc32(t.encode()) for t in texts}) == len(texts)


@given(st.sampled_from(link.KINDS))
def test_codes_are_unique_and_every_field_is_declared_for_the_link(kind: type[Message]) -> None:
    assert sum(other.CODE == kind.CODE for other in link.KINDS) == 1
    assert [name for name, _ in layout(kind)] == [field.name for field in fields(kind)]
