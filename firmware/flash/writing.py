"""Writing to a board's flash: into a slot that does not run, read back; single files by rename."""

from collections.abc import Callable, Mapping

from firmware.errors import PortError
from firmware.flash.contents import Contents, Plan, missing_blocks, unlike
from firmware.flash.repl import Repl


def check_room(found: Contents, steps: Plan) -> None:
    """Raises PortError when the flash has no room for the plan."""
    lacking = missing_blocks(found, steps)
    if lacking > 0:
        raise PortError(
            f"the board's flash lacks {-(-lacking * found.block // 1024)} KiB for this set; "
            "remove files of your own from it, or erase it and begin anew"
        )


def write(repl: Repl, steps: Plan, progress: Callable[[int], None]) -> None:
    """Do what the plan says to its slot; `progress` is told the bytes that are there. Raises EdgeError."""
    for path in steps.remove:
        repl.run(f"import os\nos.remove({path!r})", f"removing {path}")
    for folder in steps.make:
        repl.run(f"import os\nos.mkdir({folder!r})", f"making {folder}")
    done = 0
    for path, content in steps.send.items():
        repl.write(path, content, lambda here, before=done: progress(before + here))  # type: ignore[misc]
        done += len(content)


def verify(found: Contents, slot: str, image: Mapping[str, bytes]) -> None:
    """Raises PortError unless the slot, as the board now reads it, holds `image` and nothing else."""
    wrong = unlike(found, slot, image)
    if wrong:
        raise PortError(
            f"{wrong[0]} on the board is not as sent; repeat the command; if it stays, replace the board"
        )


def name_slot(repl: Repl, path: str, slot: str) -> None:
    """Let the file at `path` name `slot`. Raises EdgeError."""
    put_whole(repl, path, f"{slot}\n".encode())


def put_whole(repl: Repl, path: str, content: bytes) -> None:
    """A file that is as before or new, never in between: another name, read back, renamed. EdgeError."""
    new = f"{path}.new"
    repl.write(new, content, lambda _done: None)
    code = f"f = open({new!r}, 'rb')\nprint(int(f.read() == {content!r}))\nf.close()"
    if repl.ask(code, f"reading {new}") != 1:
        raise PortError(f"{new} on the board is not what was sent; repeat the command")
    repl.run(f"import os\nos.rename({new!r}, {path!r})", f"renaming {new}")
