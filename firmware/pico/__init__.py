"""The coprocessor: what runs on a Raspberry Pi Pico, and what makes that out of the sources it shares."""
