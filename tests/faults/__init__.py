"""The fault campaign: one list of faults with what is promised of each, injected into the running system.

`python -m tests.faults` or `make faults`; the ordinary suite runs a slice of the same list.
"""
