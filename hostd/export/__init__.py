"""Exports of a recorded case: EDF+/BDF+, BIDS, CSV, and a report as HTML and PDF. `command` is the door.

Owns reading a case back and writing it in forms that others open. Refuses to interpret: numbers, verdicts and
sentences are those on file. Nothing here runs while a case is recorded, and nothing here is on the bus.
"""
