"""
Lets a test decide over another process's system calls one by one: pass it on, fail it, or look at it (Linux, no root).

The process installs a seccomp filter on itself and hands the listener over; from then on each call in the filter
waits until the supervisor has answered. See seccomp_unotify(2).
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct
from pathlib import Path
from typing import Final

import msgspec

# pwrite64, write, fsync, fdatasync, ftruncate, fallocate, unlink(at); and seccomp itself
_NUMBERS: Final = {
    "x86_64": ({18: "pwrite", 1: "write", 74: "fsync", 75: "fdatasync", 77: "ftruncate", 285: "fallocate"}, 317),
    "aarch64": ({68: "pwrite", 64: "write", 82: "fsync", 83: "fdatasync", 46: "ftruncate", 47: "fallocate"}, 277),
}
SYNCS: Final = ("fsync", "fdatasync")
_NO_NEW_PRIVILEGES: Final = 38  # prctl
_SET_FILTER, _NEW_LISTENER = 1, 8
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls
_CONTINUE: Final = 1
_RECEIVED: Final = struct.Struct("=QII iIQ 6Q")
_ANSWER: Final = struct.Struct("=Qq iI")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def listen() -> int:
    """Install the filter on this thread and those it starts; return the listener, which another process must answer."""
    calls, seccomp = _NUMBERS[platform.machine()]
    code = [struct.pack("=HBBI", _LOAD_NUMBER, 0, 0, 0)]
    for at, number in enumerate(calls):
        code.append(struct.pack("=HBBI", _JUMP_IF_EQUAL, len(calls) - at, 0, number))
    code += [struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW), struct.pack("=HBBI", _RETURN, 0, 0, _NOTIFY)]
    program = b"".join(code)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    holder = _Program(len(code), program)
    listener: int = libc.syscall(seccomp, _SET_FILTER, _NEW_LISTENER, ctypes.byref(holder))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


class Call(msgspec.Struct, frozen=True):
    """One call that waits for an answer."""

    id: int
    name: str
    path: Path  # of the file that its first argument is


class Supervisor:
    """Answers the calls of a process that has called `listen`."""

    def __init__(self, listener: int) -> None:
        self._listener = listener
        self._names = _NUMBERS[platform.machine()][0]

    def fileno(self) -> int:
        return self._listener

    def receive(self) -> Call | None:
        """Return the next call, None when its process is gone."""
        buffer = bytearray(_RECEIVED.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        id_, pid, _, number, _, _, descriptor, *_ = _RECEIVED.unpack(buffer)
        try:
            path = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
        except OSError:
            path = Path()
        return Call(id_, self._names[number], path)

    def pass_on(self, call: Call) -> None:
        self._answer(call, 0, _CONTINUE)

    def fail(self, call: Call, number: int) -> None:
        """Let the call fail with an errno, without its effect."""
        self._answer(call, -number, 0)

    def _answer(self, call: Call, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self._listener, _SEND, bytearray(_ANSWER.pack(call.id, 0, error, flags)))
        except OSError as gone:
            if gone.errno != errno.ENOENT:
                raise

    def close(self) -> None:
        os.close(self._listener)
