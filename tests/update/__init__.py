"""Updates of an edge whose power fails anywhere."""
