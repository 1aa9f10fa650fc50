"""The program of system calls, run as the kernel runs it, for every number there could be."""

import errno
import os
import struct

import pytest

from bastide.jobs import seccomp

pytest.importorskip("pyseccomp")
X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ENOSYS, EPERM = ERRNO | errno.ENOSYS, ERRNO | errno.EPERM
TAKEN = {
    0x15: lambda a, k: a == k, 0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k, 0x45: lambda a, k: a & k,
}  # fmt: skip


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """What the program says of a call."""
    machine = os.uname().machine
    if machine not in ("x86_64", "aarch64"):
        pytest.skip("the numbers are of others")
    path = tmp_path_factory.mktemp("program") / "seccomp.bpf"
    seccomp.write_filter(path)
    program = list(struct.iter_unpack("=HBBI", path.read_bytes()))
    native = X86_64 if machine == "x86_64" else AARCH64

    def run(number, arch=native):
        told, a, at = struct.pack("=IIQ6Q", number, arch, 0, *[0] * 6), 0, 0
        while True:
            code, yes, no, value = program[at]
            at += 1
            if code == 0x06:
                return value
            if code == 0x20:
                (a,) = struct.unpack_from("=I", told, value)
            elif code == 0x54:
                a &= value
            elif code == 0x05:
                at += value
            else:
                at += yes if TAKEN[code](a, value) else no

    return run


def test_what_is_newer_than_what_we_know_is_no_call(answer):
    """statmount, listmount, mseal, open_tree_attr, file_getattr, listns, and what will come."""
    newer = [*range(seccomp.NEWEST + 1, 5000), seccomp.OTHER_ABI - 1]
    assert {answer(number) for number in newer} == {ENOSYS}


def test_numbers_between_an_architectures_own_and_the_shared_ones_are_no_calls(answer):
    gap = range(seccomp.OWN_LAST[os.uname().machine] + 1, seccomp.SHARED_FIRST)
    assert {answer(number) for number in gap} == {ENOSYS}


def test_those_of_shared_numbers_are_denied_whatever_the_library_knows(answer):
    shared = range(seccomp.SHARED_FIRST, seccomp.NEWEST + 1)
    denied = {number for number in shared if answer(number) == EPERM}
    assert denied == set(seccomp.DENIED_SHARED.values())
    assert answer(seccomp.CLONE3) == ENOSYS
    assert {answer(n) for n in shared if n not in denied | {seccomp.CLONE3}} == {ALLOW}


def test_another_architectures_calls_end_the_process_still(answer):
    x32 = KILL if os.uname().machine == "x86_64" else ENOSYS
    assert answer(seccomp.OTHER_ABI | 39) == x32
    assert answer(20, 0x40000003) == KILL  # i386
