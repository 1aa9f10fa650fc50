"""An engine that is not the region's own, by its URL in bastide.toml: a llama.cpp server apart."""

import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from tests.live import NAME, LiveRegion, cache_home
from tests.service.test_service_bedrock import COUNT, ask, joined, said, stream_of, text_of

from bastide.inference.walls import ENVIRONMENT
from bastide.jobs import proctree

APART = "site.apart-v1:0"
DOWN = "http://127.0.0.1:1/v1"
SERVER = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.api_keys = sys.argv[1], ["sesame"]
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 2, 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


@contextmanager
def serving():
    """A llama.cpp server that is not ours, and its address."""
    weights = cache_home() / "models" / "smollm2-135m" / "model.gguf"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(weights)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=ENVIRONMENT, text=True,
    )  # fmt: skip
    yield server, server.stdout.readline().strip()
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def apart(trained_region):
    with serving() as found:
        yield found


@pytest.fixture
def beside(apart):
    """A second one of the same model."""
    with serving() as found:
        yield found


def with_engine(home, url, first=DOWN):
    """A region whose bastide.toml names two servers of one model; the first of them is down, if no
    other is said."""
    engine = f'url = "{first}", model = "smol", key_file = "{home}/engine.key"'
    engine += f', further_urls = ["{url}/v1"], tokens_at_once = 4096'
    toml = f"""
[regions.{NAME}]
port = 0
[regions.{NAME}.engines]
urls = {{ "{APART}" = {{ {engine} }} }}
"""
    return LiveRegion(home, toml=toml)


def test_an_engine_by_its_url(tmp_path, apart):
    server, url = apart
    (tmp_path / "engine.key").write_text("sesame\n")
    live = with_engine(tmp_path, url).start()
    runtime = live.client("bedrock-runtime", read_timeout=120)
    answer = ask(runtime, APART)
    assert text_of(answer).startswith("1, 2, 3")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == APART
    events = list(stream_of(runtime, APART))
    assert joined(events) == text_of(answer)
    assert events[-1]["metadata"]["usage"] == answer["usage"]
    counted = runtime.count_tokens(modelId=APART, input={"converse": {"messages": said(COUNT)}})
    assert counted["inputTokens"] == answer["usage"]["inputTokens"]
    with pytest.raises(runtime.exceptions.ValidationException, match="Input is too long"):
        ask(runtime, APART, text="word " * 3000)
    listed = live.client("bedrock").list_foundation_models()["modelSummaries"]
    assert APART in {row["modelId"] for row in listed}
    server.kill()
    with pytest.raises(runtime.exceptions.ServiceUnavailableException):
        ask(runtime, APART)
    live.stop()


def test_two_servers_share_a_model_and_one_that_dies_leaves_the_other_at_work(
    tmp_path, apart, beside
):
    (one, first), (other, second) = apart, beside
    (tmp_path / "engine.key").write_text("sesame")
    live = with_engine(tmp_path, second, first=f"{first}/v1").start()
    runtime = live.client("bedrock-runtime", read_timeout=120)
    before = [proctree.cpu_ticks(server.pid) for server in (one, other)]
    stream = stream_of(runtime, APART, text="Tell a long story.", config={"maxTokens": 300})
    next(iter(stream))
    assert text_of(ask(runtime, APART)).startswith("1, 2, 3"), "beside the one that is busy"
    stream.close()
    after = [proctree.cpu_ticks(server.pid) for server in (one, other)]
    assert all(now > then for now, then in zip(after, before, strict=True)), "both have worked"
    one.kill()
    one.wait()
    answers = []
    for _ in range(6):  # who finds it dead hears so once; after it, the other one has them all
        with suppress(runtime.exceptions.ServiceUnavailableException):
            answers.append(text_of(ask(runtime, APART)))
    assert len(answers) >= 4
    assert all(answer.startswith("1, 2, 3") for answer in answers)
    live.stop()


def test_an_engine_whose_key_is_wrong_or_missing(tmp_path, apart):
    _, url = apart
    live = with_engine(tmp_path, url)
    with pytest.raises(AssertionError, match=r"engine\.key"):
        live.start()
    (tmp_path / "engine.key").write_text("guess")
    runtime = live.start().client("bedrock-runtime")
    with pytest.raises(runtime.exceptions.ServiceUnavailableException):
        ask(runtime, APART)
    live.stop()
