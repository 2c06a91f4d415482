"""The web display: a bus client that serves one page and forwards messages to browsers."""
