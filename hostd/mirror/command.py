"""`evokd host --mirror BUS`: options, and a mirror to its end."""

import argparse
from typing import TYPE_CHECKING

from hostd import options
from hostd.endpoints import must_have_keys, parse_bus
from hostd.errors import UsageError
from hostd.keys import KeyRing, client_secret
from hostd.signals import stop_event

if TYPE_CHECKING:
    from hostd.mirror.serve import MirrorOptions

STAGE_S = 5.0
_THE_BOX_S = {"case": None, "procedure": None, "scenario": None, "wiring": None, "seconds": None} | {
    "source": "simulated",
    "speed": "1",
}
"""Options of a box, and what they are when they are not given."""


def mirror_options(args: argparse.Namespace) -> "MirrorOptions":
    """What a mirror needs. Raises UsageError."""
    from hostd.mirror.serve import MirrorOptions

    try:
        parse_bus(args.mirror)
    except UsageError:
        raise UsageError(f"--mirror {args.mirror!r} is not a bus; write tcp://HOST:PORT") from None
    if args.mirror == args.bus:
        raise UsageError(f"--mirror {args.mirror} is --bus itself; give this mirror a --bus of its own")
    for name, usual in _THE_BOX_S.items():
        if getattr(args, name, usual) != usual:
            what = "a case file" if name == "case" else f"--{name}"
            raise UsageError(f"{what} is the box's to choose; a mirror (--mirror) takes the case from there")
    if args.keys is None:
        must_have_keys(args.bus)
        if args.as_name is not None:
            raise UsageError("--as names a key of --keys DIR; give that too")
        key = ring = None
    else:
        # The box's own folder of keys: our clients know that box by its key, and we have to prove it too.
        ring, key = KeyRing(args.keys), client_secret(args.keys, args.as_name or "mirror")
        if key.role == "observer":
            cure = "make it with: evokd keys new mirror --role technologist"
            raise UsageError(f"the key {key.name!r} is an observer's; a mirror hears raw samples; {cure}")
        if key.server != ring.server.public:
            cure = f"copy the whole folder of keys from the box at {args.mirror}"
            raise UsageError(f"{args.keys}: the key {key.name!r} is for another box; {cure}")
    data = options.data_folder(args.data)
    return MirrorOptions(args.mirror, key, args.bus, ring, options.most_peers(args.peers), data)


def mirror(args: argparse.Namespace) -> int:
    """Serve until stopped. Raises EvokdError."""
    from hostd.mirror.serve import Mirror
    from hostd.notify import Supervisor
    from hw.stages import Stages

    of = mirror_options(args)
    supervisor = Supervisor(Stages(STAGE_S))
    stop = stop_event(args.supervised)
    serving = Mirror(of, stop, supervisor.beat, supervisor.says)
    serving.run(lambda: supervisor.ready(f"mirrors {of.of} at {of.bus}"))
    supervisor.stopping()
    return 0
