"""Leads while recording: impedance inside the running stream, rails, open leads, a board's currents.

`monitor` is the one door for a source; the others are its parts. Decides nothing about samples or stimuli.
"""
