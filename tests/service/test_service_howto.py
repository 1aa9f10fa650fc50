"""The walk of docs/howto, block by block as it stands."""

import codeop
import re
import subprocess

from tests.clients import client_python
from tests.live import ROOT
from tests.service.test_service_agents import traced

WALK = ROOT / "docs" / "howto" / "documents-functions-agents.md"


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


def test_blocks_can_be_pasted_into_a_python_that_is_open():
    """There, what is indented ends with an empty line."""
    for block in [*blocks_of(WALK), *blocks_of(ROOT / "README.md")]:
        typed: list[str] = []
        for line in [*block.split("\n"), ""]:
            typed.append(line)
            if codeop.compile_command("\n".join(typed), symbol="single") is not None:
                typed = []
        assert not any(typed)


def test_the_walk_runs_as_it_stands(region, tmp_path):
    for model in ("minilm-l6-v2", "qwen2.5-coder-1.5b"):
        region.cli("models", "pull", model)
    env = {**region.agency("walk"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    done = subprocess.run(
        [client_python("sagemaker-v2"), "-c", "\n".join(blocks_of(WALK))],
        env=env, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "s3://walk/notes/broken.pdf: It is a broken PDF" in done.stdout
    assert "['s3://walk/notes/owls.md']" in done.stdout, "an exact span, and what it rests on"
    assert "guardrail_intervened That is not answered here." in done.stdout
    request = re.search(r"^[0-9a-f-]{36}$", done.stdout, re.MULTILINE)[0]
    assert done.stdout.endswith('b\'{"heard": "Hello"}\'\n')
    assert "was shipped on Monday" in done.stdout
    assert "execute_tool orders/get_order_status" in traced(region, "walk", request).stdout
