"""A second box that says what a first one says, keeps its case, and has its displays when it falls silent."""
