"""Images: layers, whiteouts, digests, links, and a job that runs in one."""

import contextlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.images import ARCHITECTURE, file, image, layer, link, sha, shell_entries
from tests.sources_kit import environments

from bastide.environments import oci
from bastide.environments.bench import BuildFailed
from bastide.environments.catalogue import Environments
from bastide.kernel.errors import ServiceError


def unpack(path, target):
    steps = oci.unpack(path, target)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def test_layers_whiteouts_and_links(tmp_path):
    first = layer(
        file("usr/lib/a"), file("etc/gone"), file("opt/x/1"), file("opt/y"), link("lib", "usr/lib"),
        file("bin/tool", mode=0o4755), ("dev/null", tarfile.CHRTYPE, b"", 0o666),
    )  # fmt: skip
    second = layer(
        file("lib/b"), file("etc/.wh.gone", b""), file("opt/x/.wh..wh..opq", b""),
        file("opt/x/2"), file("opt/y"), file("opt/.wh.y", b""),
        link("hard", "lib/b", tarfile.LNKTYPE),
    )  # fmt: skip
    made = unpack(
        image(
            tmp_path / "i.tar",
            first,
            second,
            config={"Env": ["A=b=c"], "WorkingDir": "/srv/app", "User": "app"},
        ),
        tmp_path / "root",
    )
    root = tmp_path / "root"
    assert (root / "usr/lib/b").exists()
    assert (root / "hard").read_bytes() == b"x"
    assert not (root / "etc/gone").exists()
    assert os.listdir(root / "opt/x") == ["2"]
    assert (root / "opt/y").exists()  # a white-out hides what lies below it, not beside it
    assert (root / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert os.listdir(root / "dev") == []
    assert made.env == {"A": "b=c"}
    assert (made.workdir, made.user) == ("/srv/app", "app")
    assert (root / "srv/app").is_dir()


def test_what_is_nested_without_end_is_hidden_and_goes_as_all_else(deep_path):
    deep = layer(file("/".join(["d"] * 1_100) + "/f"))  # more than functions may call themselves
    path = image(deep_path / "i.tar", deep, layer(file(".wh.d", b"")))
    unpack(path, deep_path / "root")
    assert not (deep_path / "root/d").exists()
    unpack(image(deep_path / "i2.tar", deep), deep_path / "root")
    unpack(image(deep_path / "i3.tar", layer(file("f"))), deep_path / "root")
    assert not (deep_path / "root/d").exists()


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
    with contextlib.suppress(oci.BadImage):
        unpack(image(tmp_path / "i.tar", layer(*entries)), inner)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("out")}
    assert all(name.startswith("deep/root/") for name in found)
    assert not (Path.home() / "out").exists()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_blob_that_was_changed(tmp_path, which):
    with pytest.raises(oci.BadImage, match="does not have the digest"):
        unpack(image(tmp_path / "i.tar", layer(file("a")), spoil=which), tmp_path / "root")


def entry(name, kind, size=0):
    """A TAR header that says what we like, and nothing behind it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("big")
        info.size = 512
        info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**40)}
        tar.addfile(info, io.BytesIO(b"x" * 512))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, 2**33), "extended header is too large"),
        (entry("PaxHeaders/x", tarfile.XHDTYPE, 2**33), "extended header is too large"),
        (sparse(), "sparse"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 600, "zstd"),
        (layer(file("zeros", bytes(70 * 2**20))), "too large"),
        (layer(file(".wh...")), "hides nothing"),
        (layer(file("cut", bytes(600)))[:700], "unexpected end of data"),
    ],
)
def test_layers_that_cannot_be(tmp_path, content, says, monkeypatch):
    monkeypatch.setattr(oci, "RATIO_FREE_BYTES", 2**20)
    packed = content if content.startswith(b"\x28\xb5") else None
    with pytest.raises(oci.BadImage, match=says):
        unpack(image(tmp_path / "i.tar", content, packed=packed), tmp_path / "root")


def test_an_image_of_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(oci, "ENTRIES_MAX", 3)
    with pytest.raises(oci.BadImage, match="too many files"):
        unpack(image(tmp_path / "i.tar", layer(*map(file, "abcd"))), tmp_path / "root")
    monkeypatch.setattr(oci, "MEMBERS_MAX", 3)
    with pytest.raises(oci.BadImage, match="more than 3 members"):
        unpack(image(tmp_path / "i.tar", layer(file("a"))), tmp_path / "root")


@pytest.mark.parametrize(
    "documents",
    [
        {},
        {"index.json": b"[]"},
        {"index.json": b"[" * 100_000},
        {"index.json": b'{"manifests": 5}'},
        {"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'},
        {"index.json": json.dumps({"manifests": [{"digest": "sha256:" + "a" * 64}]}).encode()},
        {"manifest.json": b"[]"},
        {"manifest.json": b'[{"Config": "../x", "Layers": []}]'},
        {"manifest.json": b'[{"Config": "c", "Layers": ["l"]}]', "c": b"{}"},
    ],
)
def test_documents_that_cannot_be(tmp_path, documents):
    with tarfile.open(tmp_path / "i.tar", "w") as tar:
        for name, data in documents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(oci.BadImage):
        unpack(tmp_path / "i.tar", tmp_path / "root")


def test_what_is_no_tar(tmp_path):
    (tmp_path / "i.tar").write_bytes(b"hello" * 1000)
    with pytest.raises(oci.BadImage):
        unpack(tmp_path / "i.tar", tmp_path / "root")


def test_what_docker_saves(tmp_path):
    content = layer(file("a"))
    told = {"architecture": ARCHITECTURE, "rootfs": {"diff_ids": [f"sha256:{sha(content)}"]}}
    saved = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["1/layer.tar"]}]
    parts = {"manifest.json": json.dumps(saved).encode(), "c.json": json.dumps(told).encode()}
    with tarfile.open(tmp_path / "i.tar", "w") as tar:
        for name, data in {**parts, "1/layer.tar": content}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    made = unpack(tmp_path / "i.tar", tmp_path / "root")
    assert (tmp_path / "root/a").read_bytes() == b"x"
    assert made.digest == f"sha256:{sha(parts['c.json'])}"


def test_image_names(tmp_path):
    environments = Environments(folder=tmp_path, locks={"sklearn": tmp_path / "sklearn.txt"})
    uri = "1.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    with pytest.raises(ServiceError, match="bastide env build sklearn"):
        environments.for_image(uri)
    with pytest.raises(ServiceError, match="bastide env import-oci"):
        environments.for_image("registry.example/mine:1")
    assert environments.listing()[0]["built"] is False


def test_a_job_runs_in_an_imported_image(tmp_path):
    from tests.jobs_kit import Site, local_executor

    tar = image(
        tmp_path / "i.tar",
        layer(*shell_entries(), file("marker")),
        config={"Entrypoint": ["/bin/sh"]},
    )
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


def test_a_build_without_its_installer_says_so(tmp_path):
    lock = tmp_path / "tiny.txt"
    lock.write_text("")
    made = environments(tmp_path, lock)
    made = replace(made, builder=replace(made.builder, uv=tmp_path / "not-here"))
    with pytest.raises(BuildFailed, match="tools/setup installs it"):
        list(made.build("tiny"))
