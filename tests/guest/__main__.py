"""`python -m tests.guest [pytest options]`: the rig's tests in a guest with a real kernel's GPIO.

`--record` writes what that kernel answers to tests/rig/linux_*.json; `--shell COMMAND` runs that instead.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from tests.guest import debian, machine

ROOT: Final = Path(__file__).parents[2]
SUITE: Final = tuple(
    f"tests/rig/test_{name}.py"
    for name in (
        *("bindings", "programs", "program_faults", "program_pins"),
        *("edge_on_nodes", "bench_on_nodes", "kernel_rules"),
    )
)
"""The rules come last: they take the chip away, and this kernel then gives its number to no other."""
COMPILED_FOR: Final = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
"""Code that host and guest can both run, so that the host compiles it: the guest would take minutes."""
LIBRARIES: Final = ("numpy", "numba", "llvmlite", "gpiod", "spidev", "lgpio", "_lgpio")
SYSTEM: Final = tuple(
    f"lib{name}.so"
    for name in ("c", "m", "dl", "pthread", "rt", "util", "stdc++", "gcc_s", "z", "ffi", "lzma")
)
_WARM_UP: Final = '{"rate_hz": 1000, "samples": 200}'


def main(argv: list[str]) -> int:
    """Exit code: the tests', or 1 with one line."""
    try:
        debian.need_packages()
        version = debian.kernel_version()
        tree = debian.kernel_tree(version)
        results = debian.cache_folder() / "results"
        results.mkdir(exist_ok=True)
        environment = COMPILED_FOR | {"NUMBA_CACHE_DIR": str(debian.cache_folder() / "numba")}
        compile_first(environment)
        script = results / "command.sh"
        record = results / "record.json"
        record.unlink(missing_ok=True)
        script.write_text(_script(environment, _command(argv, record)), encoding="utf-8")
        code = machine.run(tree, version, script, results)
        if record.exists():
            kept = ROOT / "tests" / "rig" / f"linux_{'_'.join(version.split('.')[:2])}.json"
            shutil.copy(record, kept)
            print(f"guest: {kept.relative_to(ROOT)} is what Linux {version} says", flush=True)
        return code
    except debian.GuestError as error:
        sys.stderr.write(f"guest: {error}\n")
        return 1


def compile_first(environment: dict[str, str]) -> None:
    """Fill the compiler's cache by running the edge, and the bench's client, once on the host's rig."""
    rig = [sys.executable, "-m", "firmware.rig", "--body", "ramp", "--", sys.executable]
    for program in (["tests/support/edge_on_nodes.py", _WARM_UP], ["tests/bench/rig_client.py", "50"]):
        subprocess.run(
            [*rig, *program],
            cwd=ROOT,
            env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )


def _command(argv: list[str], record: Path) -> str:
    """What the guest runs, as a shell has it."""
    python = [sys.executable, "-m"]
    if argv[:1] == ["--shell"]:
        return " ".join(argv[1:])
    if argv == ["--record"]:
        rig = [*python, "firmware.rig", "--kernel", "--body", "beaker", "--stim", "-", "--"]
        return shlex.join([*rig, *python, "tests.rig.kernel_rules", "--record", str(record)]) + " > /dev/null"
    quiet = ["-p", "no:cacheprovider", "-p", "no:xdist", "-vv", "--color=no", "--tb=short"]
    return shlex.join([*python, "pytest", *quiet, *(argv or SUITE)])


def _script(environment: dict[str, str], command: str) -> str:
    """The command in its environment."""
    exports = environment | {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(ROOT),
        "HOME": "/root",
        "EVOKD_RIG_NODES": "kernel",
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    return "\n".join([*lines, _read_first(), f"cd {shlex.quote(str(ROOT))}", command, "exit $?"]) + "\n"


def _read_first() -> str:
    """Compiled code into the guest's memory: its clock runs on while it waits for a page of the host's."""
    packages = Path(sysconfig.get_path("platlib"))
    places = [str(path) for name in LIBRARIES for path in packages.glob(f"{name}*")]
    places += [str(path) for name in SYSTEM for path in Path("/lib/x86_64-linux-gnu").glob(f"{name}*")]
    places += [sysconfig.get_config_var("DESTSHARED"), str(Path(sys.executable).resolve())]
    return f"find -L {shlex.join(places)} -type f -name '*[.o]*' -size +8k -exec cat {{}} + > /dev/null 2>&1"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
