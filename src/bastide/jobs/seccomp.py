"""The system calls that no job may make, as the BPF program that bwrap loads.

What is denied and why: docs/decisions/0011-sandbox.md. Sources: Docker's default profile, the
kernel's tables of numbers. What is newer than what we looked at is no call at all. The native
architecture only: a call of any other ends its process, not its thread alone, whose others would
wait for it.
"""

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

DENIED = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module",
    "fanotify_init", "finit_module", "init_module", "ioperm", "iopl", "kcmp", "kexec_file_load",
    "kexec_load", "keyctl", "lookup_dcookie", "migrate_pages", "mount", "move_pages",
    "name_to_handle_at", "nfsservctl", "open_by_handle_at", "perf_event_open", "pivot_root",
    "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key",
    "setdomainname", "sethostname", "setns", "settimeofday", "stime", "swapoff", "swapon", "syslog",
    "umount", "umount2", "unshare", "uselib", "userfaultfd", "vhangup", "vmsplice",
)  # fmt: skip
SHARED_FIRST = 424  # from here on a call has one number on every architecture
DENIED_SHARED = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip
CLONE3 = 435
NEWEST = 452  # fchmodat2: the last that was looked at
OWN_LAST = {"x86_64": 334, "aarch64": 294}  # of the architecture's own numbers
OTHER_ABI = 0x40000000  # x32's numbers: a call of another architecture
SENDING = ("connect", "sendmmsg", "sendmsg", "sendto", "socket", "socketpair")
FAMILY_MAX = 46  # AF_MCTP and what comes after are denied by the rule for greater numbers
FAMILIES = frozenset({1, 2, 10})  # AF_UNIX, AF_INET, AF_INET6
CLONE_NEW = (0x10000000, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000)
TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into somebody else's terminal
LOW_32 = 0xFFFFFFFF


def write_filter(path: Path, *, mute: bool = False) -> None:
    """Put the compiled program at `path`. `mute`: with no way to send on a socket that is not
    connected, nor to connect or make one."""
    # Imported here: it loads libseccomp.so.2, which host.py reports on when it is missing.
    import pyseccomp as seccomp

    program = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    program.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    refuse = seccomp.ERRNO(errno.EPERM)
    for name in (*DENIED, *(SENDING if mute else ())):
        try:
            program.add_rule(refuse, name)
        except (OSError, RuntimeError, ValueError):
            continue  # this architecture has no such call
    for number in DENIED_SHARED.values():  # whether this libseccomp knows it or not
        program.add_rule(refuse, number)
    # Without clone3 (its flags are out of a filter's sight) libc falls back to clone.
    program.add_rule(seccomp.ERRNO(errno.ENOSYS), CLONE3)
    for flag in CLONE_NEW:
        program.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for request in TERMINAL_INPUT:
        program.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, LOW_32, request))
    unknown = seccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in range(0 if mute else FAMILY_MAX):
        if family not in FAMILIES:
            program.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.EQ, family))
    if not mute:
        program.add_rule(unknown, "socket", seccomp.Arg(0, seccomp.GE, FAMILY_MAX))
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(b"".join(_bound(seccomp.ERRNO(errno.ENOSYS))))
        file.flush()
        program.export_bpf(file)
    new.replace(path)  # a shim of before the start may be reading it


def _bound(answer: int) -> Iterator[bytes]:
    """What comes before the program, whose jumps are relative: `answer` for each number that is
    none of those that we know. libseccomp has rules for the calls that it knows alone."""
    load, at_least, above, give = 0x20, 0x35, 0x25, 0x06
    machine = os.uname().machine
    own_last = OWN_LAST.get(machine, SHARED_FIRST - 1)
    other_abi = OTHER_ABI if machine == "x86_64" else LOW_32
    for code, yes, no, value in (
        (load, 0, 0, 0),  # the number is the first of what the program is told
        (at_least, 4, 0, other_abi),  # the program ends it
        (above, 2, 0, NEWEST),
        (at_least, 2, 0, SHARED_FIRST),
        (above, 0, 1, own_last),
        (give, 0, 0, answer),
    ):
        yield struct.pack("=HBBI", code, yes, no, value)
