"""Bridges: what the bus says, in the words of tools that others already run.

Each is a bus client in its own process and reads only. None has a private door into the daemon, and none
carries a request back to it.
"""

NAMES = {
    "lsl": "streams of the Lab Streaming Layer, for research; no access control, see hostd/bridges/README.md",
    "prometheus": "metrics of the box's health, for a fleet; never waveforms",
}
"""Bridges, and what each is."""
