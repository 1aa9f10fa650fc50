"""Tiny distributions that come as source, whose setup.py does what a test says."""

import gzip
import io
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

from bastide.environments.bench import Bench
from bastide.environments.build import Builder
from bastide.environments.catalogue import Environments
from tests.jobs_kit import local_executor

NAME = "tiny-1.0.tar.gz"
SETUP = """
from setuptools import setup
setup(name="tiny", version="1.0", py_modules=["tiny"])
"""


def sdist(folder: Path, code: str = "", setup: str = SETUP) -> Path:
    """`code` runs first, wherever the setup.py does."""
    folder.mkdir(parents=True, exist_ok=True)
    held = io.BytesIO()
    members = {"setup.py": code + setup, "tiny.py": "", "PKG-INFO": "Name: tiny\nVersion: 1.0\n"}
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(f"tiny-1.0/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    path = folder / NAME
    path.write_bytes(gzip.compress(held.getvalue(), mtime=0))
    return path


def lock_of(folder: Path, *files: Path) -> Path:
    """The lock that names them."""
    path = folder / "tiny.txt"
    digests = [sha256(file.read_bytes()).hexdigest() for file in files]
    names = [file.name.split("-")[0] for file in files]
    lines = [
        f"{name}==1.0 \\\n    --hash=sha256:{digest}\n    # via nothing\n"
        for name, digest in zip(names, digests, strict=True)
    ]
    path.write_text("".join(lines))
    return path


def environments(folder: Path, lock: Path, **bench) -> Environments:
    """Those of a region that has this lock alone."""
    builder = Builder(
        bench=Bench(folder=folder / "bench", executor=local_executor(folder), **bench),
        uv=Path(sys.executable).parent / "uv",
        interpreter=Path(sys.executable),
    )
    return Environments(folder=folder / "environments", locks={"tiny": lock}, builder=builder)
