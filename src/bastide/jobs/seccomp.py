"""The system calls that no job may make, as the BPF program that bwrap loads.

What is denied and why: docs/decisions/0011-sandbox.md. Source: Docker's default profile. The native
architecture only: a call of any other ends its process, not its thread alone, whose others would
wait for it.
"""

import errno
from pathlib import Path

DENIED = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module",
    "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "migrate_pages", "mount",
    "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl",
    "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root",
    "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl",
    "quotactl_fd", "reboot", "request_key", "setdomainname", "sethostname", "setns", "settimeofday",
    "stime", "swapoff", "swapon", "syslog", "umount", "umount2", "unshare", "uselib",
    "userfaultfd", "vhangup", "vmsplice",
)  # fmt: skip
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
            continue  # this architecture, or this libseccomp, has no such call
    # Without clone3 (its flags are out of a filter's sight) libc falls back to clone.
    program.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
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
        program.export_bpf(file)
    new.replace(path)  # a shim of before the start may be reading it
