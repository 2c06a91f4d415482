"""Power failing while a board is flashed: wherever it does, what runs afterwards is one set, whole, or nothing."""
