"""evokd on the coprocessor."""
