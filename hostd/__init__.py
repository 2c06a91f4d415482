"""Who runs, who is told? The host: case file, record, pipeline, bus, control, command line."""
