"""What is the box? Facts without I/O and without threads.

Chips and registers, frame bytes, limits, the link's messages, recording bytes, and the executable
datasheet (`hw.model`): everything here is pure and deterministic.
"""
