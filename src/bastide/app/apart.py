"""How a region that root starts gives up the host. It gets user ids of its own, in a user namespace
that has no others: whatever capability it holds, the kernel refuses it the files and processes of
another region. It sees no other region's folder, and has its own /tmp and its own control group.

Source: user_namespaces(7), mount_namespaces(7), capabilities(7).
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import bastide
from bastide.db import durable
from bastide.jobs import cgroups, folders, namespaces
from bastide.settings import EngineUrl, RegionSettings, SettingsError, Site, UpstreamSettings

OWN_TMP = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - these are what others also write


def enter(site: Site, name: str) -> None:
    """Nothing on the host is ours from here on but this region's. Called while the process has one
    thread. Raises SettingsError where the host does not allow it."""
    settings, home = site.settings.region(name), site.region_home(name)
    where = Path.cwd()
    try:
        _own_home(home, settings.uid)
        cgroups.give(settings.uid)
        _see_only(_shown(site, home, settings), [home.parent], home / "tmp")
        _take_ids(settings.uid, settings.uids())
    except OSError as error:
        raise SettingsError(
            f"uid = {settings.uid}: this host does not let the region have a user id of its own "
            f"({error}). With uid = 0 it stays the user that started it."
        ) from error
    os.chdir(where if where.is_dir() else "/")  # opened anew: what it was may be hidden by now


def own_uid() -> int:
    """This process's user id, as the host sees it."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= os.getuid() < inside + count:
            return outside + os.getuid() - inside
    return os.getuid()


def _own_home(home: Path, uid: int) -> None:
    """The region's folder becomes the region's, once: what root made there. Its jobs' stays theirs,
    and later the region alone makes anything in it."""
    durable.folder(home / "tmp")
    if home.stat().st_uid == uid:
        return
    for at, inner, files in folders.walk(home):
        for name in (*inner, *files):
            if os.stat(name, dir_fd=at, follow_symlinks=False).st_uid == 0:
                os.chown(name, uid, uid, dir_fd=at, follow_symlinks=False)
            elif name in inner:
                inner.remove(name)
    os.chown(home, uid, uid)  # last: a kill before it leaves the rest to the next start


def _shown(site: Site, home: Path, settings: RegionSettings) -> list[Path]:
    """What the region needs of the host's files, wherever they are: its folder and what is linked
    there, its program, and the files that its settings name."""
    program = [Path(sys.prefix), Path(sys.base_prefix), Path(bastide.__file__).parents[1]]
    for folder in program:
        if folder.stat().st_mode & 0o005 != 0o005:
            raise SettingsError(f"uid = {settings.uid}: only its owner may read {folder}.")
    engines: list[EngineUrl | UpstreamSettings] = [
        *settings.engines.urls.values(),
        *settings.upstreams.values(),
    ]
    gate = settings.transfer
    files = [gate.dirty_words, gate.dirty_patterns, *gate.scanner[:1], *gate.scanner_reads]
    files += [file for one in engines for file in (one.key_file, one.ca_file)]
    named = [site.home / settings.scheme, *(Path(file).absolute() for file in files if file)]
    linked = [each for each in home.iterdir() if each.is_symlink()]
    wanted = [home, *program, *named, *linked]
    return sorted({path for each in wanted for path in (each, each.resolve()) if path.exists()})


def _see_only(shown: Sequence[Path], hidden: Iterable[Path], tmp: Path) -> None:
    """Cover `hidden`, and every folder on the way to `shown` that others may not pass; then show
    `shown` in what was covered. Others' temporary folders become `tmp`."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    namespaces.mount("none", "/", "", namespaces.MS_REC | namespaces.MS_PRIVATE)
    held = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in shown]
    own = os.open(tmp, os.O_PATH | os.O_CLOEXEC)  # a home below /tmp is hidden by the first mount
    closed = [above for path in shown for above in _closed_above(path)]
    covered: list[Path] = []
    for place in OWN_TMP:
        if Path(place).is_dir():
            namespaces.mount(f"/proc/self/fd/{own}", place, "", namespaces.MS_BIND)
            covered.append(Path(place))
    os.close(own)
    for folder in sorted({*hidden, *closed}):
        if not any(folder.is_relative_to(above) for above in covered):
            flags = namespaces.MS_NOSUID | namespaces.MS_NODEV
            namespaces.mount("tmpfs", str(folder), "tmpfs", flags, "mode=755,size=1m")
            covered.append(folder)
    for path, fd in held:
        if not _is_there(path, fd):
            _bind(fd, path)
        os.close(fd)


def _is_there(path: Path, fd: int) -> bool:
    """Whether a path leads to what it led to; what an earlier start mounted on is a folder too."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(fd))


def _closed_above(path: Path) -> list[Path]:
    """The folders on the way that not everybody may pass: the first of them, if there is one."""
    closed = [above for above in path.parents if not above.stat().st_mode & 0o001]
    return closed[-1:]


def _bind(fd: int, target: Path) -> None:
    source = f"/proc/self/fd/{fd}"
    if os.path.isdir(source):
        _make(target)
    else:
        _make(target.parent)
        target.touch()
        _give_as_above(target)
    namespaces.mount(source, str(target), "", namespaces.MS_BIND | namespaces.MS_REC)


def _make(folder: Path) -> None:
    """A folder to mount on, and those above it. In the region's own /tmp they are the region's."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir()
        _give_as_above(folder)


def _give_as_above(path: Path) -> None:
    above = path.parent.stat()
    os.chown(path, above.st_uid, above.st_gid)


def _take_ids(uid: int, ranges: Sequence[range]) -> None:
    """Root in here is the region's own id out there; its jobs' and gate's are the same in both."""
    same = [each for each in ranges if uid not in each]
    table = f"0 {uid} 1\n" + "".join(f"{one.start} {one.start} {len(one)}\n" for one in same)
    reading, writing = os.pipe()
    writer = _writer_of(table, reading, writing)
    try:
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        os.write(writing, b"x")
    finally:
        os.close(writing)
        os.close(reading)
        _, failed = os.waitpid(writer, 0)
    if failed:
        raise OSError("its user ids could not be mapped")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    namespaces.prctl(namespaces.PR_SET_DUMPABLE, 1)  # else /proc/self is root's, not ours


def _writer_of(table: str, reading: int, writing: int) -> int:
    """A child that stays outside: only there may several ids be mapped."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.close(writing)
            if os.read(reading, 1):
                for kind in ("gid", "uid"):
                    Path(f"/proc/{parent}/{kind}_map").write_text(table)
                os._exit(0)
        os._exit(1)
    return child
