"""Impedance inside the running stream, as arithmetic and order of things: the same on edge and host.

No register is written here: `impedance.Current` is who does that. Rails are told from the samples alone.
"""
