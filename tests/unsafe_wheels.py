"""Wheels and sources that are not what they seem, each made here by code."""

import base64
import csv
import gzip
import io
import stat
import struct
import tarfile
import zipfile
from hashlib import sha256

INFO = "one-1.0.dist-info"
PLAIN = {
    "one/__init__.py": b"ONE = 1\n",
    "one/data.bin": bytes(range(256)) * 40,
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: one\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
}
RECORD = f"{INFO}/RECORD"
SCRIPT = "one-1.0.data/scripts/one"


def recorded(files) -> bytes:
    rows = io.StringIO()
    for name, data in files.items():
        raw = base64.urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()
        csv.writer(rows).writerow([name, f"sha256={raw}", len(data)])
    csv.writer(rows).writerow([RECORD, "", ""])
    return rows.getvalue().encode()


def zipped(files, modes=(), method=zipfile.ZIP_DEFLATED, comment=b"") -> bytes:
    """`files`: pairs, so that a name may stand twice."""
    held, modes = io.BytesIO(), dict(modes)
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = modes.get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
        archive.comment = comment
    return held.getvalue()


def wheel(more=(), record=None, **how) -> bytes:
    files = {**PLAIN, **dict(more)}
    record = recorded(files) if record is None else record
    return zipped([*files.items(), (RECORD, record)], **how)


def end_of(data: bytes) -> int:
    return data.rindex(b"PK\x05\x06")


def directory_of(data: bytes) -> int:
    return struct.unpack_from("<L", data, end_of(data) + 16)[0]


def swapped(data: bytes, old: bytes, new: bytes, count=-1) -> bytes:
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new, count)


def at_directory(data: bytes, offset: int, new: bytes) -> bytes:
    """The first member's entry, changed in the directory alone."""
    at = directory_of(data) + offset
    return data[:at] + new + data[at + len(new) :]


def in_both(data: bytes, local: int, central: int, new: bytes) -> bytes:
    return at_directory(data[:local] + new + data[local + len(new) :], central, new)


def with_gap() -> bytes:
    """Something lies between the last file and the directory."""
    data = wheel()
    at, end = directory_of(data), end_of(data)
    moved = data[:at] + b"\x7fELF hidden" + data[at:]
    end += 11
    return moved[: end + 16] + struct.pack("<L", at + 11) + moved[end + 20 :]


def overlapping() -> bytes:
    """Every entry of the directory is the same file: a bomb that no ratio of one file shows."""
    data = zipped([("a.py", b"A" * 5000), ("b.py", b"A" * 5000)])
    second = data.index(b"PK\x01\x02", directory_of(data) + 4)
    return data[: second + 42] + struct.pack("<L", 0) + data[second + 46 :]


def with_extra() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in {**PLAIN, RECORD: recorded(PLAIN)}.items():
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<2H", 0x7075, 4) + b"evil"
            archive.writestr(info, data)
    return held.getvalue()


def tarred(*members, form=tarfile.PAX_FORMAT, headers=None) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=form) as tar:
        for name, data, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.pax_headers = kind, len(data), headers or {}
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()


def sdist(*members, **how) -> bytes:
    plain = (("one-1.0/setup.py", b"x = 1\n", tarfile.REGTYPE), *members)
    return gzip.compress(tarred(*plain, **how), mtime=0)


def script(data: bytes) -> bytes:
    return wheel({SCRIPT: data})


WHEELS = {
    "a_path_that_leads_out": wheel({"../evil.py": b"x"}),
    "a_path_that_leads_out_later": wheel({"one/../../evil.py": b"x"}),
    "a_path_from_the_root": wheel({"/etc/cron.d/evil": b"x"}),
    "a_path_with_a_backslash": wheel({"one\\..\\evil.py": b"x"}),
    "a_path_of_a_drive": wheel({"C:/evil.py": b"x"}),
    "a_path_with_a_dot": wheel({"one/./evil.py": b"x"}),
    "a_path_with_an_empty_step": wheel({"one//evil.py": b"x"}),
    "a_name_with_a_zero": swapped(wheel({"one/e_vil.py": b"x"}), b"one/e_vil", b"one/e\0vil"),
    "a_name_with_a_line_end": wheel({"one/e\nvil.py": b"x"}),
    "a_name_that_is_no_utf8": swapped(wheel({"one/\u00e9.py": b"x"}), b"\xc3\xa9", b"\xff\xfe"),
    "a_symlink": wheel({"one/l": b"/etc/passwd"}, modes={"one/l": stat.S_IFLNK | 0o777}),
    "a_fifo": wheel({"one/f": b""}, modes={"one/f": stat.S_IFIFO | 0o644}),
    "a_device": wheel({"one/d": b""}, modes={"one/d": stat.S_IFCHR | 0o644}),
    "a_setuid_file": wheel({"one/s": b"x"}, modes={"one/s": stat.S_IFREG | 0o4755}),
    "a_folder_with_content": wheel({"one/sub/": b"x"}, modes={"one/sub/": stat.S_IFDIR | 0o755}),
    "a_folder_that_says_it_is_a_file": wheel({"one/sub/": b""}),
    "names_that_differ_in_case": wheel({"one/__INIT__.py": b"x"}),
    "a_file_that_is_a_folder_too": wheel({"two": b"x", "two/three": b"y"}),
    "a_program_before_it": b"\x7fELF" + b"\0" * 60 + wheel(),
    "something_behind_it": wheel() + b"#!/bin/sh\n",
    "a_comment": wheel(comment=b"#!/bin/sh"),
    "something_between": with_gap(),
    "files_that_overlap": overlapping(),
    "a_bomb": wheel({"one/zeros": bytes(8 << 20)}),
    "a_size_that_is_too_small": in_both(wheel(), 22, 24, struct.pack("<L", 1)),
    "a_size_that_is_too_large": in_both(wheel(), 22, 24, struct.pack("<L", 4096)),
    "a_wrong_sum": in_both(wheel(), 14, 16, b"\0\0\0\0"),
    "a_sum_that_only_the_directory_says": at_directory(wheel(), 16, b"\0\0\0\0"),
    "a_name_that_only_the_directory_says": at_directory(wheel(), 46, b"two"),
    "a_file_that_is_encrypted": in_both(wheel(), 6, 8, struct.pack("<H", 1)),
    "sizes_that_come_behind": in_both(wheel(), 6, 8, struct.pack("<H", 8)),
    "another_way_to_pack": wheel(method=zipfile.ZIP_BZIP2),
    "a_third_way_to_pack": wheel(method=zipfile.ZIP_LZMA),
    "a_stored_file_with_two_sizes": in_both(
        wheel(method=zipfile.ZIP_STORED), 22, 24, struct.pack("<L", 3)
    ),
    "more_said_of_a_file": with_extra(),
    "more_files_than_it_says": wheel()[:-14] + struct.pack("<2H", 3, 3) + wheel()[-10:],
    "a_directory_that_is_elsewhere": wheel()[:-6] + struct.pack("<L", 7) + wheel()[-2:],
    "no_record": zipped(PLAIN.items()),
    "a_record_of_other_bytes": wheel(record=recorded({**PLAIN, "one/__init__.py": b"ONE = 2\n"})),
    "a_file_that_no_record_names": wheel({"one/evil.py": b"x"}, record=recorded(PLAIN)),
    "a_record_of_what_is_not_there": wheel(record=recorded({**PLAIN, "one/gone.py": b"x"})),
    "a_record_that_says_nothing": wheel(record=b""),
    "a_record_that_is_no_table": wheel(record=b'"\xff'),
    "two_records": wheel({"two-1.0.dist-info/RECORD": b""}),
    "a_line_that_python_runs": wheel({"evil.pth": b"import os; os.system('id')\n"}),
    "a_line_further_down": wheel({"one/evil.pth": b"import os\n"}),
    "a_customised_python": wheel({"sitecustomize.py": b"import os\n"}),
    "a_customised_user": wheel({"usercustomize.py": b"import os\n"}),
    "a_shell_script": script(b"#!/bin/sh\nid\n"),
    "a_program_as_script": script(b"\x7fELF" + b"\0" * 60),
    "files_for_the_prefix": wheel({"one-1.0.data/data/etc/evil": b"x"}),
    "a_source_that_calls_itself_a_wheel": sdist(),
    "a_program_that_calls_itself_a_wheel": b"\x7fELF" + b"\0" * 2000,
    "a_pickle_that_calls_itself_a_wheel": b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00idq\x00\x85R.",
    "half_a_wheel": wheel()[: len(wheel()) // 2],
    "an_empty_file": b"",
}
OUT = ("../evil.py", b"x", tarfile.REGTYPE)
SDISTS = {
    "a_path_that_leads_out": sdist(OUT),
    "a_path_from_the_root": sdist(("/evil.py", b"x", tarfile.REGTYPE)),
    "a_symlink": sdist(("one-1.0/l", b"", tarfile.SYMTYPE)),
    "a_hard_link": sdist(("one-1.0/l", b"", tarfile.LNKTYPE)),
    "a_device": sdist(("one-1.0/d", b"", tarfile.CHRTYPE)),
    "a_name_twice": sdist(("one-1.0/setup.py", b"y", tarfile.REGTYPE)),
    "a_name_that_a_header_changes": sdist(headers={"path": "evil.py"}),
    "a_name_that_is_too_long": sdist(("n" * 200, b"x", tarfile.REGTYPE), form=tarfile.GNU_FORMAT),
    "two_of_them": sdist() + sdist(),
    "something_behind_it": sdist() + b"#!/bin/sh\n",
    "something_behind_its_files": gzip.compress(
        tarred(("a", b"", tarfile.REGTYPE))[:-512] + b"#!/bin/sh".ljust(512, b"\n")
    ),
    "a_header_that_does_not_add_up": gzip.compress(
        swapped(tarred(("abc", b"", tarfile.REGTYPE)), b"abc", b"abd")
    ),
    "a_bomb": gzip.compress(bytes(65 << 20)),
    "half_of_it": sdist()[:60],
    "a_wheel_that_calls_itself_a_source": wheel(),
    "an_empty_file": b"",
}
