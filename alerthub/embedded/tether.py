"""Ties a child process to its parent: `python tether.py SIGNAL PARENT USER NICENESS COMMAND...` becomes
COMMAND.

The kernel sends SIGNAL to it when the parent dies, however the parent dies, so `kill -9` of the hub leaves
nothing behind. A program of its own, since running Python code between fork and exec is unsafe where
threads exist.

USER `-` keeps the user. `uid:gid` becomes that user and keeps one right of root, to walk through folders
that the user could not enter (CAP_DAC_READ_SEARCH): PostgreSQL refuses to run as root, and making the
folders above the data readable for everybody would be worse. Imports nothing of ours: it starts in 20 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_READ_SEARCH = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    signal_number, parent, user, niceness, *command = sys.argv[1:]
    os.nice(int(niceness))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if user != "-":
            _become(libc, *(int(part) for part in user.split(":")))
        libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before the line above
            raise SystemExit("the parent process is gone")
    elif user != "-":
        uid, gid = (int(part) for part in user.split(":"))
        os.setgid(gid)
        os.setuid(uid)
    os.execv(command[0], command)  # noqa: S606 - a program of the hub, never a shell


def _become(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    # Keeps rights over the change of user, and lets access(2), with which PostgreSQL looks at its own
    # programs, use them.
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    rights = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    # Where root itself lacks the right (a container), this fails and the folders must be open to the user.
    if libc.capset(header, rights) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)


if __name__ == "__main__":
    main()
