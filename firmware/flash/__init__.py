"""`evokd flash`: an interpreter and our files on a Raspberry Pi Pico, whole or not at all."""
