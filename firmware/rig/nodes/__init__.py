"""The rig on a kernel's own device nodes: gpio-sim behind /dev/gpiochip*, CUSE behind /dev/spidev*.

Owns what the kernel is told and asked; the board, its wires and spidev's rules are the rig's own. Needs root
and both modules; it is there to show whether the rig's model of the GPIO character device is right.
"""
