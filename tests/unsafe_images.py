"""Trees of container images that are not what they seem, each made here by code."""

import io
import tarfile

from bastide.environments.carried import BLOCK, END, FILE, FOLDER, LINK, Entry, head

PLAIN = (
    Entry(name="bin", kind=FOLDER),
    Entry(name="bin/sh", kind=FILE, size=7, is_program=True),
    Entry(name="bin/tool", kind=LINK, link="sh"),
    Entry(name="etc", kind=FOLDER),
    Entry(name="etc/motd", kind=FILE, size=6),
    Entry(name="lib", kind=LINK, link="/usr/lib"),
    Entry(name="usr", kind=FOLDER),
    Entry(name="usr/lib", kind=FOLDER),
    Entry(name="usr/lib/" + "n" * 120, kind=FILE, size=6),
    Entry(name="usr/lib/t\u0151r", kind=FILE, size=6),
)
NEW = Entry(name="zone", kind=FILE, size=6)
ZONE = Entry(name="zone", kind=FOLDER)


def body(entry: Entry, content: bytes = b"") -> bytes:
    content = content or b"words " * (entry.size // 6 + 1)
    return content[: entry.size] + bytes(-entry.size % BLOCK)


def chained(*entries: Entry, content: bytes = b"") -> bytes:
    return b"".join(head(one) + body(one, content) for one in entries) + END


def tree(*more: Entry, content: bytes = b"", end: bytes = END) -> bytes:
    """The plain tree, and `more` at its end, whose files hold `content`."""
    plain, added = chained(*PLAIN), chained(*more, content=content)
    return plain[: -len(END)] + added[: -len(END)] + end


def file(name: str, **how) -> bytes:
    return tree(Entry(name=name, kind=FILE, size=6, **how))


def link(name: str, to: str) -> bytes:
    return tree(Entry(name=name, kind=LINK, link=to))


def holding(name: str, content: bytes) -> bytes:
    return tree(Entry(name=name, kind=FILE, size=len(content)), content=content)


def tarred(name="zone", kind=tarfile.REGTYPE, form=tarfile.USTAR_FORMAT, size=6, **how) -> bytes:
    """The plain tree, and one more member as another program would write it."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = kind, size, 0o644, 0
    for key, value in how.items():
        setattr(info, key, value)
    held = info.tobuf(form) + b"words "[:size] + bytes(-size % BLOCK)
    return tree()[: -len(END)] + held + END


def summed(block: bytes) -> bytes:
    """A header whose sum is right."""
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def changed(at: int, new: bytes) -> bytes:
    """One more file, whose header says something else at `at`."""
    block = head(NEW)
    return tree(end=summed(block[:at] + new + block[at + len(new) :]) + body(NEW) + END)


def said(records: bytes) -> bytes:
    """One more file, before which stands an extended header of these records."""
    info = tarfile.TarInfo("more")
    info.type, info.size, info.mode = tarfile.XHDTYPE, len(records), 0o644
    more = info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % BLOCK)
    return tree(end=more + head(NEW) + body(NEW) + END)


IMAGES = {
    "a_path_that_leads_out": file("../zone"),
    "a_path_that_leads_out_later": file("usr/../../zone"),
    "a_path_from_the_root": file("/zone"),
    "a_path_with_a_dot": file("usr/./zone"),
    "a_path_with_an_empty_step": file("usr//zone"),
    "a_name_of_nothing": tarred(""),
    "a_name_with_a_line_end": file("zo\nne"),
    "a_name_with_an_escape": file("zo\x1bne"),
    "a_name_that_is_no_utf8": changed(0, b"\xff\xfe"),
    "a_name_that_is_too_long": file("z" * 256),
    "a_path_that_is_too_deep": file("/".join("z" * 80)),
    "a_file_below_a_link": tree(
        Entry(name="zone", kind=LINK, link="etc"), Entry(name="zone/file", kind=FILE)
    ),
    "a_file_below_a_file": tree(NEW, Entry(name="zone/file", kind=FILE)),
    "a_file_in_no_folder": file("zone/file"),
    "a_name_twice": file("usr/lib/t\u0151r"),
    "names_out_of_order": file("usr/a"),
    "a_link_that_leads_out": link("zone", "../etc/passwd"),
    "a_link_that_leads_out_later": link("zone", "usr/../../etc"),
    "a_link_from_the_root_that_leads_out": link("zone", "/../etc"),
    "a_link_to_nothing": link("zone", ""),
    "a_link_with_a_line_end": link("zone", "e\ntc"),
    "a_hard_link": tarred(kind=tarfile.LNKTYPE, size=0, linkname="etc/motd"),
    "a_hard_link_out": tarred(kind=tarfile.LNKTYPE, size=0, linkname="../../etc/shadow"),
    "a_device": tarred(kind=tarfile.CHRTYPE, size=0, devmajor=1, devminor=3),
    "a_disk": tarred(kind=tarfile.BLKTYPE, size=0, devmajor=8),
    "a_fifo": tarred(kind=tarfile.FIFOTYPE, size=0),
    "a_sparse_file": tarred(kind=tarfile.GNUTYPE_SPARSE),
    "a_contiguous_file": tarred(kind=tarfile.CONTTYPE),
    "a_file_of_an_old_tar": tarred(kind=tarfile.AREGTYPE),
    "a_long_name_of_gnu": tarred("z" * 120, form=tarfile.GNU_FORMAT),
    "a_setuid_file": tarred(mode=0o4755),
    "a_setgid_file": tarred(mode=0o2755),
    "a_sticky_file": tarred(mode=0o1755),
    "a_file_that_all_may_write": tarred(mode=0o666),
    "an_owner": tarred(uid=1000),
    "an_owner_s_name": tarred(uname="root"),
    "a_time": tarred(mtime=1),
    "a_folder_with_content": tarred(kind=tarfile.DIRTYPE),
    "a_link_with_content": tarred(kind=tarfile.SYMTYPE, linkname="etc"),
    "a_file_with_a_link": tarred(linkname="etc"),
    "a_prefix": changed(345, b"etc"),
    "bytes_behind_a_header": changed(505, b"#!"),
    "bytes_in_a_name_behind_its_end": changed(10, b"hidden"),
    "a_sum_that_is_wrong": tree(end=head(NEW)[:150] + b"7" + head(NEW)[151:] + body(NEW) + END),
    "a_size_that_is_negative": changed(124, b"-0000000006"),
    "a_size_in_base_256": changed(124, b"\x80" + bytes(10) + b"\x06"),
    "a_size_that_is_too_large": changed(124, b"77777777777"),
    "a_name_that_a_header_changes": said(b"12 path=etc\n"),
    "a_size_that_a_header_changes": said(b"9 size=1\n"),
    "an_attribute_of_a_file": said(b"30 SCHILY.xattr.user.x=hello\n"),
    "a_sparse_file_of_pax": said(b"22 GNU.sparse.major=1\n"),
    "a_header_for_all": tarred(kind=tarfile.XGLTYPE, size=0),
    "a_header_that_is_too_long": said(b"20000 path=" + b"z" * 19988 + b"\n"),
    "something_behind_a_file": tree(end=head(NEW) + b"words " + b"#!".ljust(506, b"\0") + END),
    "something_behind_its_end": tree() + b"#!/bin/sh\n".ljust(BLOCK, b"\0"),
    "more_zeros_behind_its_end": tree() + bytes(BLOCK),
    "half_an_end": tree(end=bytes(BLOCK)),
    "no_end": tree(end=b""),
    "half_of_it": tree()[: len(tree()) // 2],
    "a_white_out": tree(ZONE, Entry(name="zone/.wh.x", kind=FILE)),
    "a_white_out_of_all": tree(ZONE, Entry(name="zone/.wh..wh..opq", kind=FILE)),
    "what_every_program_would_load": chained(
        Entry(name="etc", kind=FOLDER), Entry(name="etc/ld.so.preload", kind=FILE, size=6)
    ),
    "a_virus": holding("zone", b"X5O!P%@AP[4" + b"\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS"
                       b"-TEST-FILE!$H+H*"),
    "a_private_key": holding("zone", b"-----BEGIN RSA " + b"PRIVATE KEY-----\n"),
    "a_person_s_number": holding("zone", b"her number is 078-05-1120\n"),
    "a_marking_above": holding("zone", b"TOP SECRET//SI//NOFORN\n"),
    "a_dirty_word_in_a_file": holding("zone", b"about project aurora\n"),
    "a_dirty_word_in_a_name": file("zone of project aurora"),
    "a_dirty_word_in_a_link": link("zone", "project aurora"),
    "a_program_that_calls_itself_an_image": b"\x7fELF" + bytes(2000),
    "a_zip_that_calls_itself_an_image": b"PK\x03\x04" + bytes(2000),
    "an_image_that_is_packed": b"\x1f\x8b\x08" + bytes(2000),
    "an_image_of_nothing": END,
    "an_empty_file": b"",
}  # fmt: skip


def as_tar(entries) -> bytes:
    """What Python's writer makes of the same: not our form."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in entries:
            info = tarfile.TarInfo(one.name)
            info.type, info.size, info.linkname = one.kind, one.size, one.link
            tar.addfile(info, io.BytesIO(body(one)[: one.size]) if one.size else None)
    return held.getvalue()


IMAGES["an_image_as_python_writes_it"] = as_tar(PLAIN)
