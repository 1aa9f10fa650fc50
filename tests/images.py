"""Container images for tests, made of files of this machine: an OCI layout in a TAR."""

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def layer(*entries):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, content, mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def file(name, content=b"x", mode=0o644):
    return (name, tarfile.REGTYPE, content, mode)


def link(name, target, kind=tarfile.SYMTYPE):
    return (name, kind, target, 0o777)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def image(path, *layers, config=None, spoil=None, packed=None):
    """An OCI layout in a TAR; layers are gzipped, as registries store them."""
    packed = [packed] if packed else [gzip.compress(each, 1, mtime=0) for each in layers]
    told = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(each)}" for each in layers]},
    }
    config_text = json.dumps(told).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {"digest": f"sha256:{sha(config_text)}"},
            "layers": [{"digest": f"sha256:{sha(each)}"} for each in packed],
        }
    ).encode()
    blobs = {f"blobs/sha256/{sha(each)}": each for each in (config_text, manifest, *packed)}
    if spoil is not None:
        name = f"blobs/sha256/{sha((config_text, manifest, *packed)[spoil])}"
        blobs[name] = blobs[name][:-1] + bytes([blobs[name][-1] ^ 1])
    index = json.dumps({"manifests": [{"digest": f"sha256:{sha(manifest)}"}]}).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in {"index.json": index, **blobs}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def shell_entries():
    """/bin/sh of this machine with the libraries that it needs."""
    return [file("bin/sh", Path("/bin/sh").resolve().read_bytes(), 0o755), *libraries("/bin/sh")]


def libraries(*programs):
    """What they are linked with: the system's where it is, others in /usr/local/lib."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    paths = {word for word in listed.split() if word.startswith("/") and ":" not in word}
    where = {path: path.lstrip("/") if path.startswith(("/lib", "/usr/lib")) else
             f"usr/local/lib/{Path(path).name}" for path in sorted(paths)}  # fmt: skip
    return [file(inside, Path(path).read_bytes(), 0o755) for path, inside in where.items()]


def python_entries():
    """This interpreter and its standard library, below /usr/local."""
    home = Path(sysconfig.get_path("stdlib"))
    version = f"python3.{sys.version_info.minor}"
    skipped = (
        "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "unittest", "asyncio",
        "distutils", "turtledemo", "__pycache__", "site-packages",
    )  # fmt: skip
    entries = [
        file(f"usr/local/bin/{version}", Path(sys.executable).resolve().read_bytes(), 0o755),
        link("usr/local/bin/python3", version),
        link("usr/bin", "local/bin"),
    ]
    compiled = (
        "_socket", "select", "math", "_struct", "_json", "array", "binascii", "zlib", "_datetime",
        "_random", "_bisect", "_sha512", "fcntl", "_contextvars", "_heapq", "_opcode", "_queue",
        "unicodedata",
    )  # fmt: skip
    modules = []
    for folder, folders, files in os.walk(home):
        folders[:] = [name for name in folders if name not in skipped and "config-" not in name]
        for name in files:
            path = Path(folder, name)
            is_compiled = name.endswith(".so") and name.split(".")[0] in compiled
            modules += [str(path)] if is_compiled else []
            if name.endswith(".py") or is_compiled:
                inside = f"usr/local/lib/{version}/{path.relative_to(home)}"
                entries.append(file(inside, path.read_bytes()))
    return [*entries, *libraries(str(Path(sys.executable).resolve()), *modules)]
