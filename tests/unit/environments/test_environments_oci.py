"""Images: layers, whiteouts, digests, links, and a job that runs in one."""

import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from pathlib import Path

import pytest

from bastide.environments import oci
from bastide.environments.catalogue import Environments
from bastide.environments.rootfs import OutOfBounds
from bastide.kernel.errors import ServiceError

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


def image(path, *layers, config=None, spoil=None):
    """An OCI layout in a TAR; layers are gzipped, as registries store them."""
    import gzip

    packed = [gzip.compress(each, mtime=0) for each in layers]
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


def unpack(path, target):
    steps = oci.unpack(path, target)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def test_layers_whiteouts_and_links(tmp_path):
    first = layer(
        file("usr/lib/a"), file("etc/gone"), file("opt/x/1"), link("lib", "usr/lib"),
        file("bin/tool", mode=0o4755), ("dev/null", tarfile.CHRTYPE, b"", 0o666),
    )  # fmt: skip
    second = layer(
        file("lib/b"), file("etc/.wh.gone", b""), file("opt/x/.wh..wh..opq", b""),
        file("opt/x/2"), link("hard", "lib/b", tarfile.LNKTYPE),
    )  # fmt: skip
    made = unpack(
        image(tmp_path / "i.tar", first, second, config={"Env": ["A=b=c"], "Cmd": ["x"]}),
        tmp_path / "root",
    )
    root = tmp_path / "root"
    assert (root / "usr/lib/b").exists()
    assert (root / "hard").read_bytes() == b"x"
    assert not (root / "etc/gone").exists()
    assert os.listdir(root / "opt/x") == ["2"]
    assert (root / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert os.listdir(root / "dev") == []
    assert made.env == {"A": "b=c"}
    assert made.command == ("x",)


@pytest.mark.parametrize(
    "entries",
    [
        [file("../out")],
        [link("a", "../.."), file("a/out")],
        [link("a", "/"), link("a/b", "/../../.."), file("a/b/out")],
        [link("hard", "../../../etc/passwd", tarfile.LNKTYPE)],
        [link("a", "a"), file("a/x")],
        [link("a", str(Path.home())), file("a/out")],
    ],
)
def test_nothing_leaves_the_root(tmp_path, entries):
    inner = tmp_path / "deep" / "root"
    inner.parent.mkdir()
    with contextlib.suppress(OutOfBounds, OSError):
        unpack(image(tmp_path / "i.tar", layer(*entries)), inner)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("out")}
    assert all(name.startswith("deep/root/") for name in found)
    assert not (Path.home() / "out").exists()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_blob_that_was_changed(tmp_path, which):
    with pytest.raises((oci.BadImage, ValueError, OSError)):
        unpack(image(tmp_path / "i.tar", layer(file("a")), spoil=which), tmp_path / "root")


def test_image_names(tmp_path):
    environments = Environments(folder=tmp_path, locks={"sklearn": tmp_path / "sklearn.txt"})
    uri = "1.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    with pytest.raises(ServiceError, match="bastide env build sklearn"):
        environments.for_image(uri)
    with pytest.raises(ServiceError, match="bastide env import-oci"):
        environments.for_image("registry.example/mine:1")
    assert environments.listing()[0]["built"] is False


def shell_layer():
    """/bin/sh of this machine with the libraries that it needs."""
    shell = os.path.realpath("/bin/sh")
    listed = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    paths = [word for word in listed.split() if word.startswith("/")]
    entries = [file("bin/sh", Path(shell).read_bytes(), 0o755)]
    entries += [file(path.lstrip("/"), Path(path).read_bytes(), 0o755) for path in paths]
    return layer(*entries, file("marker"))


def test_a_job_runs_in_an_imported_image(tmp_path):
    from tests.jobs_kit import Site, local_executor

    tar = image(tmp_path / "i.tar", shell_layer(), config={"Entrypoint": ["/bin/sh"]})
    environments = Environments(folder=tmp_path / "envs", locks={})
    assert list(environments.import_oci(tar, "registry.example/mine:1"))
    made = environments.for_image("registry.example/mine:1")
    assert made.entrypoint == ("/bin/sh",)
    site = Site(tmp_path, local_executor(tmp_path))
    try:
        job, lines = site.run(
            "/bin/sh", "-c", "echo /*; echo x > /opt/ml/out && echo x > /marker || echo readonly",
            root=str(made.rootfs),
        )  # fmt: skip
    finally:
        site.close()
    assert job.status == "Completed", job
    assert "/marker" in lines[0]
    assert "/usr" not in lines[0].split()
    assert "readonly" in lines
