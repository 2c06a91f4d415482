"""The rig: any program on simulated /dev/spidev*, /dev/gpiochip* and /dev/gpiomem, served by the board model.

Owns the kernel's side of the device nodes: system calls, lines, edges and their pace. Refuses to know what a
chip answers (hw.model.board does) and to share code with the driver, which it is there to test.
"""
