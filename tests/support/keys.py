"""A box's keys for tests: one client of each role."""

from pathlib import Path

from hostd import keys
from hostd.keys import Secret
from hostd.peers import KEY_ROLES

NAMES = {"observer": "olli", "technologist": "anna", "engineer": "eva"}


def made(folder: Path) -> dict[str, Secret]:
    """The box's own pair and a client's of each role, in `folder`; the clients' by role."""
    keys.new_server(folder)
    return {role: keys.client_secret(keys.new_client(folder, NAMES[role], role)) for role in KEY_ROLES}
