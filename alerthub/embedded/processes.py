"""Child processes that cannot outlive the hub, and free ports for them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from alerthub.domain.errors import Retry

_TETHER = Path(__file__).with_name("tether.py")
_LOG_ROTATION_BYTES = 16 * 1_024 * 1_024


def spawn(
    command: Sequence[str],
    *,
    log_file: Path,
    environment: Mapping[str, str],
    at_parent_death: signal.Signals = signal.SIGKILL,
    user: tuple[int, int] | None = None,
    folder: Path | None = None,
    niceness: int = 0,
) -> subprocess.Popen[bytes]:
    """Starts a child with its output in `log_file`, in a process group of its own (Ctrl-C reaches the hub
    alone). Not in a session of its own: Linux divides processor time between sessions first, and a niceness
    counts within one only (sched(7), autogroup).

    When this process dies, however it does, the kernel sends the child `at_parent_death`. To be called on a
    thread that lives as long as the process. `user` is a (uid, gid) to become; only root can.
    """
    rotate(log_file)
    with log_file.open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-E",
                str(_TETHER),
                str(int(at_parent_death)),
                str(os.getpid()),
                "-" if user is None else f"{user[0]}:{user[1]}",
                str(niceness),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environment),
            cwd=folder,
            process_group=0,
        )


def rotate(log_file: Path) -> None:
    """Keeps one older log beside the current one, so a folder does not grow with every start."""
    if log_file.exists() and log_file.stat().st_size > _LOG_ROTATION_BYTES:
        log_file.replace(log_file.with_suffix(".1.log"))


def stop(process: subprocess.Popen[bytes], *, with_signal: signal.Signals, grace_seconds: float) -> bool:
    """Asks the process to end and waits; kills its whole group when it does not. True: it ended by itself."""
    if process.poll() is None:
        process.send_signal(with_signal)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            kill_group(process)
            return False
    return True


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of the process and what it started. Returns when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def children(pid: int) -> list[int]:
    """The process ids of the direct children of a process (Linux; elsewhere none are known)."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()] if listing.exists() else []


def kill_each(pids: Sequence[int]) -> None:
    """kill -9 of each, and waits until none of them runs any more (5 s at most)."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def wait_until(
    condition: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes],
    what: str,
    log_file: Path,
    timeout_seconds: float,
) -> None:
    """Returns when the condition holds. Raises `Retry` when the process ended or the time is over, naming
    its log."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if process.poll() is not None:
            raise Retry(f"{what} ended with code {process.returncode} while starting; see {log_file}")
        if time.monotonic() > deadline:
            raise Retry(f"{what} was not ready after {timeout_seconds:.0f} s; see {log_file}")
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    """Whether something on the loopback accepts connections at the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody uses at this moment.

    Below the kernel's range for outgoing connections where possible, so that no client takes one in the
    meantime.
    """
    chosen: list[int] = []
    first = 20_000 + (os.getpid() * 37) % 10_000
    for candidate in (*range(first, 32_000), *range(20_000, first)):
        if len(chosen) == count:
            return chosen
        if can_bind(candidate):
            chosen.append(candidate)
    raise Retry("no free ports between 20000 and 32000")


def can_bind(port: int) -> bool:
    """Whether a server could listen at the port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
