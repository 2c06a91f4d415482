"""`python -m firmware.doctor`: is this machine fit to be an edge?

Owns what is looked at on the machine (board, kernel, buses, software, storage, time), the state of each check
with its cure, and the verdict. Puts back whatever it changes, opens no SPI or GPIO line, and repairs nothing.
"""
