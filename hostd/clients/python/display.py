#!/usr/bin/env python3
"""A display of an evokd bus in one file: python display.py [--report] [--key FILE.secret] [tcp://HOST:PORT]

Needs pyzmq and msgpack. Says a line for every average and every alert, and STALE when the bus is silent.
"""

import argparse
import math
import struct
import time
import tomllib

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

VERSION = 1
TOPICS = ("beat", "status", "alert", "alarms", "measure.", "average.")
TYPES = {"<f4": "f", "<f8": "d", "<i2": "h", "<i4": "i", "<i8": "q", "|u1": "B", "|b1": "?"}
STALE_S, AGAIN_S, REPORT_S = 2.0, 0.2, 0.25
ARRAY = {"dtype", "shape", "part"}


def numbers(described, parts):
    """The numbers of one array, row by row. ValueError when it is none."""
    code, shape, part = TYPES.get(described["dtype"]), described["shape"], described["part"]
    if code is None or part < 0 or any(n < 0 for n in shape):
        raise ValueError("an array of a type or shape that this display does not know")
    count = math.prod(shape)
    if len(parts[part]) != count * struct.calcsize("<" + code):
        raise ValueError("a buffer that is not as long as its shape says")
    return struct.unpack(f"<{count}{code}", parts[part])


class Display:
    """What is known of the bus. One thread: ZeroMQ sockets are not to be shared."""

    def __init__(self, bus, key):
        host, _, port = bus.rpartition(":")
        context, self.poller = zmq.Context.instance(), zmq.Poller()
        self.monitors = []
        self.control = self.connect(context.socket(zmq.DEALER), f"{host}:{int(port) + 1}", key)
        for offset in (0, 2):  # events and traces
            socket = context.socket(zmq.SUB)
            socket.rcvhwm = 10_000  # room for a burst; never CONFLATE, which aborts on multipart messages
            for topic in TOPICS:
                socket.subscribe(topic)
            self.monitors.append(socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED))
            self.poller.register(self.monitors[-1], zmq.POLLIN)
            self.connect(socket, f"{host}:{int(port) + offset}", key)
        self.boot, self.old_boots, self.latest, self.shown = "", set(), {}, {}
        self.holes, self.ask, self.asked_s, self.shaken = 0, False, -math.inf, set()
        self.heard_s, self.stale, self.reported_s = time.monotonic(), False, -math.inf

    def connect(self, socket, address, key):
        socket.linger, socket.immediate = 0, True
        if key:
            socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = key
        socket.connect(address)
        self.poller.register(socket, zmq.POLLIN)
        return socket

    def run(self, report):
        while True:
            for socket, _ in self.poller.poll(50):
                if socket in self.monitors:  # subscribed anew: what was said before is in the snapshot
                    recv_monitor_message(socket)
                    self.shaken.add(socket)
                    self.ask = len(self.shaken) == len(self.monitors)
                elif socket is self.control:
                    self.answered(socket.recv_multipart()[-1])
                else:
                    self.received(socket.recv_multipart())
            self.tick(time.monotonic(), report)

    def tick(self, now_s, report):
        if not self.stale and now_s - self.heard_s > STALE_S:
            self.stale = True
            print(f"STALE: nothing for {STALE_S:g} s; what stands above is old", flush=True)
        if self.ask and now_s - self.asked_s > AGAIN_S and self.request("snapshot", {}):
            self.ask, self.asked_s = False, now_s
        if report and now_s - self.reported_s > REPORT_S:
            self.reported_s = now_s
            state = {"boot": self.boot, "stale": self.stale, "holes": self.holes}
            self.request("client.report", state | {"latest": self.shown, "topics": TOPICS})

    def request(self, command, args):
        try:
            asked = msgpack.packb({"id": command, "command": command, "args": args})
            self.control.send_multipart([b"", asked], zmq.NOBLOCK)
            return True
        except zmq.Again:  # nobody is there
            return False

    def answered(self, body):
        try:
            reply = msgpack.unpackb(body)
            if reply["id"] != "snapshot":
                return
            messages = reply["result"]["messages"]
        except (ValueError, TypeError, KeyError):
            self.ask = True  # it was busy
            return
        for m in messages:
            self.received([m["topic"].encode(), msgpack.packb(m["header"]), *m["parts"]], live=False)

    def received(self, frames, live=True):
        try:
            topic, header, parts = frames[0].decode(), msgpack.unpackb(frames[1]), frames[2:]
            if header["v"] != VERSION:
                print(f"{topic}: schema version {header['v']}, this display reads {VERSION}", flush=True)
                return
            boot, seq = header["boot"], header["seq"]
            if not isinstance(boot, str) or not isinstance(seq, int):
                raise TypeError("boot and seq")
            described = {k: v for k, v in header.items() if isinstance(v, dict) and v.keys() == ARRAY}
            arrays = {k: (numbers(v, parts), v["shape"]) for k, v in described.items()}
            if boot not in self.old_boots and self.is_new(topic, boot, seq):
                self.show(topic, header, arrays)
                self.shown[topic] = [seq, digest(arrays.values())]
            if live and boot == self.boot:
                self.heard_s = time.monotonic()
                self.stale = False
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            print(f"a message that is none: {error!r}", flush=True)

    def is_new(self, topic, boot, seq):
        """Whether it is newer than what is shown; a hole or another boot asks for the snapshot again."""
        if boot != self.boot:  # the box was started anew: everything known is of another case
            self.ask = self.ask or self.boot != ""
            self.old_boots.add(self.boot)
            self.boot = boot
            self.latest.clear()
            self.shown.clear()
        before = self.latest.get(topic, seq - 1)
        if seq <= before:
            return False
        if seq > before + 1:
            self.holes += seq - before - 1
            self.ask = True
        self.latest[topic] = seq
        return True

    def show(self, topic, h, arrays):
        if topic == "alert":
            print(f"ALERT {h['state']} {h['priority']}: {h['text']}", flush=True)
        elif topic.startswith("measure."):
            lead = [p for p in h["peaks"] if p["name"] == h["leading"]][:1]
            print(topic[8:], h["n_sweeps"], "sweeps", *map(peak, lead), flush=True)
        elif topic.startswith("average.") and arrays["mean_uv"][0]:
            uv, (_, columns) = arrays["mean_uv"]
            first = [x for x in uv[::columns] if math.isfinite(x)]  # rows are times, columns derivations
            size_uv = max(first, default=0.0) - min(first, default=0.0)
            print(f"{topic[8:]} {h['n_sweeps']} sweeps, {size_uv:.2f} uV from top to bottom", flush=True)


def peak(p):
    if not p["present"]:
        return f"{p['name']} absent"
    return f"{p['name']} present at {p['latency_ms']:.2f} ms, {p['amplitude_uv']:.2f} uV"


def digest(arrays):
    """For --report: every finite number times its column (from 1), summed."""
    every = ((x, k % shape[-1] + 1) for xs, shape in arrays for k, x in enumerate(xs))
    return math.fsum(x * column for x, column in every if math.isfinite(x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("bus", nargs="?", default="tcp://127.0.0.1:5750")
    parser.add_argument("--key", help="a .secret file of evokd keys")
    parser.add_argument("--report", action="store_true", help="tell evokd client-check what is shown")
    args = parser.parse_args()
    if not args.bus.rpartition(":")[2].isdecimal():
        parser.error(f"{args.bus}: write tcp://HOST:PORT")
    secret = None
    if args.key:
        with open(args.key, "rb") as file:
            known = tomllib.load(file)
        secret = [known[name].encode() for name in ("public", "secret", "server")]
    try:
        Display(args.bus, secret).run(args.report)
    except KeyboardInterrupt:
        pass
