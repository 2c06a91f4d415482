"""The files that browsers may have, read once: our pages and scripts, and the one library that they use.

Refuses everything else: a name that is not in this table has no path to a file.
"""

from pathlib import Path

STATIC = Path(__file__).with_name("static")
LIBRARY = Path(__file__).with_name("npm") / "node_modules" / "uplot" / "dist"
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
SHORT = {"wall": "wall.html", "reader": "reader.html"}
LIBRARY_FILES = {"uplot.js": "uPlot.iife.min.js", "uplot.css": "uPlot.min.css"}
"""Plots of trends; installed with us (`make setup`). Without it pages say so where the trends would be."""


def pages() -> dict[str, tuple[bytes, str]]:
    """Name -> (content, type) of every file that may be served."""
    files = {
        path.name: (path.read_bytes(), CONTENT_TYPES[path.suffix])
        for path in STATIC.iterdir()
        if path.suffix in CONTENT_TYPES
    }
    for name, source in LIBRARY_FILES.items():
        path = LIBRARY / source
        files[name] = (path.read_bytes() if path.exists() else b"", CONTENT_TYPES[path.suffix])
    return files | {short: files[name] for short, name in SHORT.items() if name in files}
