"""Venvs of real clients, each from its own lock file, kept in the cache between runs."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bastide.cli import venvs
from bastide.db import durable
from tests.live import ROOT, LiveRegion, cache_home

LOCKS = {
    **{
        name: ROOT / "requirements" / f"{name}.txt"
        for name in (
            "agentcore",
            "agentdojo",
            "anthropic",
            "awscli",
            "boto3",
            "inspect-ai",
            "langchain",
            "litellm",
            "llama-index",
            "openai",
            "pydantic-ai",
            "strands-agents",
        )
    },
    "sagemaker-v2": ROOT / "src" / "bastide" / "cli" / "tour" / "requirements.txt",
}


KEYS = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
}


def client_python(name: str) -> Path:
    """The interpreter of the venv of client `name`; made when its lock file has changed."""
    clients = cache_home() / "clients"
    clients.mkdir(exist_ok=True)
    with durable.alone_in(clients):  # another process of the suite may need it now, too
        return venvs.python_of(clients / name, LOCKS[name])


def aws(
    region: LiveRegion,
    *words: str,
    agency: str = "demo",
    check: bool = True,
    keys: Mapping[str, str] | None = None,
) -> str:
    """What `aws …` prints, with nothing set but what `bastide client-env` says. `keys`: those of
    somebody else than the agency's administrator, as the API gives them."""
    command = [str(client_python("awscli").parent / "aws"), *words]
    env = {**region.agency(agency), "PATH": "/usr/bin:/bin", "HOME": str(region.home)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    if keys is not None:
        env |= {variable: keys[name] for name, variable in KEYS.items() if name in keys}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + ("" if check else done.stderr)
