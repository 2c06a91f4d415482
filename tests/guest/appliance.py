"""`python -m tests.guest.appliance [--qemu] [--mirror] [--log]`: the installed box boots and is disturbed.

The installer's own plan is carried out into a folder, which is laid over this machine's root before systemd
becomes the first process: of a container on this kernel (systemd-nspawn, the default), or of a QEMU guest,
which has a kernel of its own and is slow. With `--mirror` what is installed mirrors a box that runs beside
it. The interpreter is the tests' own, where services may see it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hostd.appliance.doer import Doer, run_program
from hostd.appliance.places import COMPILED
from hostd.appliance.plan import Facts, Wanted, plan
from tests.guest import debian, machine
from tests.guest.__main__ import COMPILED_FOR, ROOT

INIT: Final = Path(__file__).with_name("systemd.sh")
CONTAINER: Final = Path(__file__).with_name("container.sh")
WITHIN_S: Final = 900
CHECKS: Final = Path(__file__).with_name("appliance_checks.py")
ENVIRONMENT: Final = "/opt/evokd-venv"
SLOW: Final = """\
[Service]
# The guest's processor is another one than the host's, which compiled; and it takes minutes to compile.
Environment=NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= LD_LIBRARY_PATH=/opt/python/lib
"""
RIG: Final = f"""\
[Unit]
Description=what is tried on the appliance
[Service]
Environment=PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/opt/python/lib
ExecStart=/opt/python/bin/python3 {CHECKS} ARGUMENTS
"""
BOX: Final = "tcp://127.0.0.1:6750"
BOX_UNIT: Final = f"""\
[Unit]
Description=the box that is mirrored
[Service]
DynamicUser=yes
PrivateTmp=yes
Environment=NUMBA_CACHE_DIR=/tmp/compiled PYTHONDONTWRITEBYTECODE=1 HOME=/tmp OPENBLAS_NUM_THREADS=1
ExecStartPre=/bin/cp -r {COMPILED} /tmp/compiled
ExecStart={ENVIRONMENT}/bin/python -m hostd run --bus {BOX} --http off --data /tmp/cases
"""
MASKED: Final = (
    "serial-getty@ttyS0.service",
    "getty.target",
    "console-getty.service",
    "systemd-firstboot.service",
    "systemd-binfmt.service",
)
FAST: Final = ("clocksource=tsc", "tsc=reliable", "tsc_early_khz=8000000")
"""Eight instructions a nanosecond, by the guest's own clock: its kernel takes the counter of instructions,
one a nanosecond to QEMU, for eight. At one a nanosecond the host was ready after 32 s."""
PACKAGES: Final = (
    *(
        "numpy",
        "numba",
        "llvmlite",
        "zmq",
        "msgspec",
        "msgpack",
        "aiohttp",
        "multidict",
        "yarl",
        "frozenlist",
    ),
    *("propcache", "aiosignal", "serial", "pybase64", "prometheus_client", "rich", "attr", "idna"),
    *("numpy.libs", "pyzmq.libs", "_cffi_backend*"),
)


def main(argv: list[str]) -> int:
    """Exit code: 0 when every promise was kept."""
    try:
        results = debian.cache_folder() / "appliance"
        if "--qemu" not in argv:
            return container(results, argv)
        debian.need_packages()
        version = debian.kernel_version()
        tree = debian.kernel_tree(version)
        stage(results / "stage", argv, "StandardOutput=tty\nTTYPath=/dev/ttyS0\n")
        words = ["systemd.show_status=false", f"guest.python={sys.base_prefix}", *FAST]
        words += [f"systemd.mask={unit}" for unit in MASKED]
        return machine.run(tree, version, None, results, INIT, words)
    except debian.GuestError as error:
        sys.stderr.write(f"guest: {error}\n")
        return 1


def container(results: Path, argv: list[str]) -> int:
    """Boot it in a container; the exit code. Raises GuestError where there can be none."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        raise debian.GuestError(
            "a container needs root and systemd-nspawn: apt-get install systemd-container"
        )
    said = results / "said"
    said.mkdir(parents=True, exist_ok=True)
    (report := said / "report").write_text("")
    stage(results / "stage", argv, "StandardOutput=append:/results/report\n")
    words = ["unshare", "--mount", "sh", str(CONTAINER), str(results / "stage"), sys.base_prefix, str(said)]
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        raise debian.GuestError(f"the container did not end within {WITHIN_S} s") from None
    finally:
        sys.stdout.write(text := report.read_text())
    ended = re.search(r"^guest: ended with (\d+)", text, re.MULTILINE)
    if ended is None:
        raise debian.GuestError("the container ended before what is tried in it; run with --log")
    return int(ended[1])


def stage(folder: Path, arguments: list[str], output: str) -> None:
    """Install into `folder`, and add what the guest needs besides."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "etc").mkdir(parents=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        shutil.copy(f"/etc/{name}", folder / "etc" / name)

    def run(argv: Sequence[str], environ: Mapping[str, str]) -> str:
        if not argv[0].startswith(ENVIRONMENT):
            return run_program(argv, environ)
        kept = folder.with_name("compiled")  # so that the next time is quick
        why = run_program([sys.executable, *argv[1:]], COMPILED_FOR | {"NUMBA_CACHE_DIR": str(kept)})
        shutil.copytree(kept, environ["NUMBA_CACHE_DIR"], dirs_exist_ok=True)
        return why

    source = f"mirror:{BOX}" if "--mirror" in arguments else "simulated"
    wanted = Wanted(None, str(folder), Path(ENVIRONMENT), source)
    Doer(str(folder), False, print, run).install(plan(wanted, Facts(sys.executable, "guest\n")))
    (folder / "etc" / "machine-id").write_text("0" * 31 + "1\n")
    units = folder / "etc" / "systemd" / "system"
    ours = {"rig": RIG.replace("ARGUMENTS", " ".join(arguments)) + output}
    if "--mirror" in arguments:
        ours["box"] = BOX_UNIT
    for name, text in ours.items():
        (units / f"{name}.service").write_text(text)
        (units / "multi-user.target.wants" / f"{name}.service").symlink_to(f"../{name}.service")
    for name in [*ours, *(f"evokd-{one}" for one in ("edge", "host", "web"))]:
        if (units / f"{name}.service").exists():
            (units / f"{name}.service.d").mkdir()
            (units / f"{name}.service.d" / "guest.conf").write_text(SLOW)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    _environment(folder / ENVIRONMENT.lstrip("/"))
    (folder / "read-first.sh").write_text(_read_first())


def _environment(folder: Path) -> None:
    """This environment under another path, with its interpreter at /opt/python."""
    (folder / "bin").mkdir(parents=True)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin" / "python").symlink_to(f"/opt/python/bin/{python}")
    (folder / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")


def _read_first() -> str:
    """Code into the guest's memory: its clock runs on while it waits for a page of the host's."""
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    places = [path for name in PACKAGES for path in packages.glob(name)]
    places += [ROOT / name for name in ("hw", "firmware", "dsp", "hostd")]
    places += [next(Path(sys.base_prefix).glob("lib/python3.*")), Path("/opt/evokd/compiled")]
    names = "-name '*.py' -o -name '*.pyc' -o -name '*.so*' -o -name '*.nb?' -o -name '*.toml'"
    skip = "-path '*/test*' -prune -o -path '*/site-packages' -prune -o -path '*/node_modules' -prune -o"
    inside = " ".join(f"'{path}'" for path in places)
    root = "/lib/systemd/systemd /lib/systemd/systemd-executor /lib/x86_64-linux-gnu/systemd/*.so"
    libraries = "/lib/x86_64-linux-gnu/lib[cmsbg]*.so*"
    found = f"find {inside} -maxdepth 4 {skip} -type f \\( {names} \\) -exec cat {{}} + > /dev/null 2>&1"
    return f"{found}\ncat {root} {libraries} /usr/bin/systemctl > /dev/null 2>&1\ntrue\n"


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
