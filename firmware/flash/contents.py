"""What lies on a board, and what must change there: values only, besides the code that asks the board.

/main.py starts the slot that /active names: /a or /b, each a set of files with its manifest. A set is written
to the slot that does not run; one small file makes it the one to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware.errors import PortError
from firmware.flash.interpreter import OLDEST, version_text
from firmware.pico.image import MANIFEST, Manifest, read_manifest, sha256

MAIN, ACTIVE, TRIAL = "/main.py", "/active", "/trial"
SLOTS = ("a", "b")
MARK = "# evokd:"
"""How our main.py begins, in every version."""
SPARE_BLOCKS = 6
"""For folders and the file system's own copies."""

WHO = """import json, sys
i = sys.implementation
print(json.dumps([i.name, list(i.version)[:3], sys.platform, getattr(i, "_machine", "")]))"""

SURVEY = """import binascii, hashlib, json, os
def sha(path):
 h = hashlib.sha256()
 b = bytearray(1024)
 with open(path, "rb") as f:
  n = f.readinto(b)
  while n:
   h.update(memoryview(b)[:n])
   n = f.readinto(b)
 return binascii.hexlify(h.digest()).decode()
def walk(folder, files, folders):
 for e in os.ilistdir(folder):
  path = folder + "/" + e[0]
  if e[1] & 0x4000:
   folders.append(path)
   walk(path, files, folders)
  else:
   files[path] = [os.stat(path)[6], sha(path)]
def text(path, n):
 try:
  with open(path) as f:
   return f.read(n)
 except (OSError, ValueError):
  return None
files = {}
folders = []
for e in os.ilistdir("/"):
 if e[0] in ("a", "b") and e[1] & 0x4000:
  folders.append("/" + e[0])
  walk("/" + e[0], files, folders)
 elif e[0] in ("main.py", "boot.py"):
  files["/" + e[0]] = [os.stat("/" + e[0])[6], sha("/" + e[0])]
s = os.statvfs("/")
heads = {p: text(p, 8) for p in ("/active", "/main.py")}
heads.update({p: text(p, -1) for p in ("/a/manifest.json", "/b/manifest.json")})
print(json.dumps({"files": files, "folders": folders, "texts": heads, "block": s[0], "free": s[3]}))"""


@dataclass(frozen=True, slots=True)
class Who:
    """The interpreter on a board."""

    version: tuple[int, ...]
    machine: str

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.machine}, MicroPython {version_text(self.version)}"


def read_who(told: Any, where: str) -> Who:
    """What `WHO` printed. Raises PortError for another board or an interpreter that will not do."""
    name, version, platform, machine = told
    if name != "micropython":
        raise PortError(
            f"{where} runs {name}, not MicroPython; give --interpreter with the board in BOOTSEL mode"
        )
    if platform != "rp2":
        raise PortError(
            f"{where} is no Raspberry Pi Pico ({platform}: {machine or 'unknown'}); choose with --port"
        )
    found = tuple(int(part) for part in version)
    if found < OLDEST:
        raise PortError(
            f"{where} has MicroPython {version_text(found)}; "
            f"give --interpreter with {version_text(OLDEST)} or newer"
        )
    return Who(found, machine)


@dataclass(frozen=True, slots=True)
class Contents:
    """What `SURVEY` printed: size and hash by path below the slots and of main.py; free space in blocks."""

    files: Mapping[str, tuple[int, str]]
    folders: tuple[str, ...] = ()
    texts: Mapping[str, str | None] = field(default_factory=dict)
    block: int = 4096
    free: int = 0

    def manifest(self, slot: str) -> Manifest | None:
        """Of a slot, None without a sound one."""
        return read_manifest(self.texts.get(f"/{slot}/{MANIFEST}") or "")

    def whole(self, slot: str) -> bool:
        """Whether the board would run the slot's set."""
        told = self.manifest(slot)
        return told is not None and all(
            self.files.get(f"/{slot}/{path}", (0, ""))[1] == digest for path, digest in told.files.items()
        )

    @property
    def active(self) -> str:
        """The slot that is to run, "" for none."""
        name = (self.texts.get(ACTIVE) or "").strip()
        return name if name in SLOTS else ""

    @property
    def runs(self) -> str:
        """The slot that main.py would start, "" for none."""
        if not self.active or not self.ours:
            return ""
        return next((slot for slot in (self.active, other(self.active)) if self.whole(slot)), "")

    @property
    def ours(self) -> bool:
        """Whether main.py is ours, of whatever version."""
        return (self.texts.get(MAIN) or "").startswith(MARK)

    @property
    def foreign(self) -> bool:
        """Whether somebody else's main.py is there."""
        return MAIN in self.files and not self.ours


def read_contents(told: Any) -> Contents:
    """What `SURVEY` printed. Raises PortError for anything else."""
    try:
        files = {str(path): (int(size), str(digest)) for path, (size, digest) in told["files"].items()}
        return Contents(files, tuple(told["folders"]), told["texts"], int(told["block"]), int(told["free"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PortError("the board's list of its files is garbage; erase its flash and begin anew") from None


def other(slot: str) -> str:
    """The other one."""
    return "b" if slot == "a" else "a"


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes a slot hold a set: `remove`, then `make` (folders), then `send` in order, manifest last."""

    slot: str
    remove: tuple[str, ...]
    make: tuple[str, ...]
    send: Mapping[str, bytes]
    kept: int
    main: bool
    """Whether main.py must be replaced."""

    @property
    def bytes(self) -> int:
        """To be sent."""
        return sum(len(content) for content in self.send.values())


def plan(found: Contents, image: Mapping[str, bytes], starter: bytes) -> Plan:
    """How `image` gets onto the board without touching what would run; where it runs, nothing is sent."""
    slot = other(found.runs) if found.runs else found.active or "a"
    if found.runs and not unlike(found, found.runs, image):
        slot = found.runs
    wanted = {f"/{slot}/{path}": content for path, content in image.items()}
    root = f"/{slot}/"
    right = {path for path, content in wanted.items() if found.files.get(path, ())[1:] == (sha256(content),)}
    wrong = sorted(path for path in found.files if path.startswith(root) and path not in right)
    manifest = root + MANIFEST
    if (
        wrong or right != set(wanted)
    ) and manifest in found.files:  # first, so that the slot is no set meanwhile
        right.discard(manifest)
        wrong = [manifest, *(path for path in wrong if path != manifest)]
    folders = {root.rstrip("/"), *(path.rpartition("/")[0] for path in wanted)}
    make = tuple(sorted(folders - set(found.folders)))
    send = {path: content for path, content in wanted.items() if path not in right}
    return Plan(
        slot, tuple(wrong), make, send, len(right), found.files.get(MAIN, ())[1:] != (sha256(starter),)
    )


def missing_blocks(found: Contents, steps: Plan) -> int:
    """How many blocks of flash the plan lacks; 0 or less when there is room."""

    def blocks(size: int) -> int:
        return -(-size // found.block)

    needed = sum(blocks(len(content)) for content in steps.send.values()) + len(steps.make) * 2
    freed = sum(blocks(found.files[path][0]) for path in steps.remove)
    return (needed + SPARE_BLOCKS if steps.send else 0) - found.free - freed


def unlike(found: Contents, slot: str, image: Mapping[str, bytes]) -> list[str]:
    """The paths by which a slot is not exactly `image`: missing, too many, of another size or hash."""
    there = {path: told for path, told in found.files.items() if path.startswith(f"/{slot}/")}
    wanted = {f"/{slot}/{path}": (len(content), sha256(content)) for path, content in image.items()}
    return sorted(path for path in there.keys() | wanted.keys() if there.get(path) != wanted.get(path))
