"""What the doctor tries on this very machine: figures that add up, and everything put back."""

import contextlib
import errno
import gc
import json
import os
import resource
import subprocess
import sys
import types
from pathlib import Path

import pytest

from firmware.doctor import machine as machines
from firmware.doctor import probes, wakeup, writing
from firmware.doctor.inventory import requirement_name, take
from firmware.doctor.machine import Ran, read_chip_label, run_program, this_machine


def test_lateness_becomes_figures() -> None:
    late_ns = [*range(1_000, 100_000, 1_000), 1_000_000]  # 1 to 99 us, and one a whole period late
    assert wakeup.latency_of(late_ns) == wakeup.Latency(100, 1, 50.0, 1000.0, 1000.0)
    assert wakeup.latency_of(late_ns[::-1] * 2).p99_us == 1000.0
    assert wakeup.latency_of([999_999, 5, 7]) == wakeup.Latency(3, 0, 0.007, 999.999, 999.999)
    with pytest.raises(ValueError, match="no wake-up"):
        wakeup.latency_of([])


def open_timers() -> int:
    """Timer descriptors of this process."""
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += "timerfd" in str(fd.readlink())
    return found


def test_wakeups_are_measured_and_all_is_put_back() -> None:
    gc.collect()  # descriptors that earlier tests left to the collector are not ours
    policy, before = os.sched_getscheduler(0), open_timers()
    latency = wakeup.measure_wakeup(False, n_wakes=20)
    assert latency.n_wakes == 20
    assert 0 < latency.p50_us <= latency.p99_us <= latency.max_us
    if not probes.try_realtime():
        assert wakeup.measure_wakeup(True, n_wakes=5).n_wakes == 5
    assert os.sched_getscheduler(0) == policy
    assert gc.isenabled()
    assert open_timers() == before


def test_real_time_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert probes.try_realtime() == "Operation not permitted"
    with pytest.raises(PermissionError):
        wakeup.measure_wakeup(True, n_wakes=1)
    assert gc.isenabled()


LOCKER = """
import os, resource
from firmware.doctor.probes import try_lock_memory
def locked_kb():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmLck"))
said = try_lock_memory()
print(repr((said, locked_kb())))
"""


def test_memory_is_locked_and_unlocked() -> None:
    done = subprocess.run([sys.executable, "-c", LOCKER], capture_output=True, text=True, check=True)
    said, locked_kb = eval(done.stdout)
    assert locked_kb == 0
    assert said in ("", "Cannot allocate memory", "Operation not permitted")


def test_limits_are_the_kernels() -> None:
    rtprio, memlock = probes.read_limits()
    assert rtprio == resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    assert memlock == resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]


def test_the_clock_state_has_the_kernels_layout() -> None:
    word = 8 if sys.maxsize > 2**32 else 4  # struct timex: an int, padded, then longs (adjtimex(2))
    layout = probes._Timex
    assert [layout.offset.offset, layout.freq.offset, layout.maxerror.offset] == [word, 2 * word, 3 * word]
    assert (layout.esterror.offset, layout.status.offset) == (4 * word, 5 * word)
    try:
        state = probes.read_clock()
    except PermissionError:
        pytest.skip("a container that may not ask for the clock's state")
    assert state.max_error_us >= 0 and abs(state.frequency_ppm) <= 500


def test_space_is_the_file_systems(tmp_path: Path) -> None:
    space = probes.read_space(tmp_path)
    assert 0 < space.free_bytes < space.total_bytes


def test_writing_leaves_nothing(tmp_path: Path) -> None:
    wrote = writing.measure_writing(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert wrote.n_blocks == 64 and wrote.bytes_per_s > 0
    assert 0 < wrote.p50_ms <= wrote.p99_ms <= wrote.max_ms


def test_writing_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space left"):
        writing.measure_writing(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_writing_becomes_figures() -> None:
    took_ns = [k * 1_000_000 for k in range(1, 101)]
    assert writing.writing_of(took_ns, 505_000) == writing.Writing(100, 100_000.0, 50.0, 100.0, 100.0)
    with pytest.raises(ValueError, match="no block"):
        writing.writing_of([], 0)


def test_a_slow_disk_is_not_written_to_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**12, 1_600_000_000))  # each look at the clock is 1.6 s later
    monkeypatch.setattr(writing.time, "monotonic_ns", lambda: next(clock))
    wrote = writing.measure_writing(tmp_path)
    assert (wrote.n_blocks, wrote.max_ms) == (4, 1600.0)


def test_a_chips_label_is_asked_of_the_kernel() -> None:
    size = machines._CHIP_INFO.size
    assert (2 << 30) | (size << 16) | (0xB4 << 8) | 1 == machines._GPIO_GET_CHIPINFO_IOCTL
    with pytest.raises(OSError, match="ioctl"):  # /dev/null is no GPIO chip
        read_chip_label(Path("/dev/null"))
    with pytest.raises(FileNotFoundError):
        read_chip_label(Path("/dev/gpiochip-none"))


def test_a_chips_label_ends_at_its_first_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = machines._CHIP_INFO.pack(b"gpiochip0", b"pinctrl-rp1\0old", 54)
    monkeypatch.setattr(machines.fcntl, "ioctl", lambda *_: answer)
    assert read_chip_label(Path("/dev/null")) == "pinctrl-rp1"


def test_programs_are_run_to_their_end() -> None:
    assert run_program(("sh", "-c", "echo out; echo err >&2; exit 3")) == Ran(3, "out", "err")
    assert run_program(("sh", "-c", "echo $LC_ALL")).out == "C"
    missing = run_program(("evokd-no-such-program",))
    assert missing.code is None and "No such file" in missing.err


def test_a_program_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "RUN_WITHIN_S", 0.05)
    ran = run_program(("sh", "-c", "exec cat /dev/zero > /dev/null"))
    assert ran.code is None and "timed out" in ran.err


def test_this_machine_is_ours(tmp_path: Path) -> None:
    machine = this_machine(tmp_path / "cases")
    assert machine.user.uid == os.geteuid()
    assert machine.data == tmp_path / "cases" and machine.existing(machine.data) == tmp_path
    assert (machine.package / "doctor").is_dir()
    assert machine.usable(tmp_path) and not machine.usable(tmp_path / "cases")
    assert machine.text("/proc/sys/kernel/osrelease") == os.uname().release
    assert Path("/proc/self") not in machine.glob("/proc/[0-9]*")


def test_paths_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("cpu10", "cpu2", "cpu0"):
        (tmp_path / name).mkdir()
    found = this_machine(tmp_path).glob(f"{tmp_path}/cpu*")
    assert [path.name for path in found] == ["cpu0", "cpu2", "cpu10"]


def test_the_inventory_is_this_interpreters() -> None:
    ran = run_program((sys.executable, "-m", "firmware.doctor.inventory"))
    has = json.loads(ran.out)
    assert has == take()
    assert has["python"] == sys.version.split()[0]
    assert "numpy" in has["versions"]
    assert any(line.startswith("numba>=") for line in has["requires"])


@pytest.mark.parametrize(("names", "v2"), [({"request_lines": len}, True), ({"Chip": len}, False)])
def test_gpiod_is_known_by_what_it_can(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, object], v2: bool
) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", types.SimpleNamespace(**names))
    has = take()
    assert (has["bindings"]["gpiod"], has["gpiod_v2"]) == ("", v2)


def test_a_requirement_begins_with_its_name() -> None:
    lines = ("numpy>=2.1", "RPi.GPIO>=0.7.1; platform_machine == 'armv7l'", "rpi-lgpio", "x[y]>=1")
    assert [requirement_name(line) for line in lines] == ["numpy", "RPi.GPIO", "rpi-lgpio", "x"]
