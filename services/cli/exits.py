"""The exit codes of the command line; those from 64 on are BSD's sysexits."""

from enum import IntEnum


class Exit(IntEnum):
    """What a script may rely on."""

    OK = 0
    FAILED = 1  # the command ran and its answer is no, such as a failed check of `doctor`
    USAGE = 2  # unknown command or option
    CONFIGURATION = 64  # faults in the configuration; nothing was started
    UNAVAILABLE = 69  # a port is taken or a needed service does not answer
    KEYRING = 78  # the master key is missing or wrong, or the store is no place to keep anything
    INTERRUPTED = 130  # Ctrl-C


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILED: "the answer is no (a check failed)",
    Exit.USAGE: "unknown command or option",
    Exit.CONFIGURATION: "the configuration has faults",
    Exit.UNAVAILABLE: "a port is taken, or a service does not answer",
    Exit.KEYRING: "the master key is missing or wrong, or the store cannot be used",
    Exit.INTERRUPTED: "interrupted",
}
