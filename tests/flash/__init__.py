"""Power fails while a board is flashed: wherever it does, what runs then is one set, whole, or nothing."""
