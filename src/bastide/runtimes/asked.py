"""What an agent runtime may be asked to be here."""

import re
from collections.abc import Mapping
from typing import Any

from bastide.kernel.errors import invalid, unsupported
from bastide.runtimes.model import IDLE_DEFAULT_S, LIFETIME_DEFAULT_S, Params

CODE = "agentRuntimeArtifact.codeConfiguration"
MEMBERS = (
    f"{CODE}.code.s3", f"{CODE}.runtime", f"{CODE}.entryPoint",
    "roleArn", "networkConfiguration.networkMode", "description",
    "protocolConfiguration.serverProtocol", "lifecycleConfiguration", "environmentVariables",
)  # fmt: skip
_KEPT = tuple({member.partition(".")[0]: None for member in MEMBERS})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OURS = frozenset((
    "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_EC2_METADATA_DISABLED", "PYTHONPATH",
))  # fmt: skip


def code_of(asked: Mapping[str, Any]) -> Params:
    found: Params = asked["agentRuntimeArtifact"]["codeConfiguration"]
    return found


def kept(req: Mapping[str, Any]) -> Params:
    return {name: req[name] for name in _KEPT if req.get(name)}


def check(operation: str, req: Mapping[str, Any], runtime: str) -> None:
    """`runtime`: the one that there is. Raises ServiceError."""
    code = (req["agentRuntimeArtifact"] or {}).get("codeConfiguration")
    if not code or not (code.get("code") or {}).get("s3"):
        raise invalid("agentRuntimeArtifact.codeConfiguration.code.s3 must be specified.")
    if code["runtime"] != runtime:
        raise unsupported(operation, f"runtime={code['runtime']}: there is {runtime}, and it")
    _check_entry(operation, code["entryPoint"])
    mode = (req.get("networkConfiguration") or {}).get("networkMode", "PUBLIC")
    if mode != "PUBLIC":
        raise unsupported(operation, f"networkMode={mode}")
    protocol = (req.get("protocolConfiguration") or {}).get("serverProtocol", "HTTP")
    if protocol != "HTTP":
        raise unsupported(operation, f"serverProtocol={protocol}")
    lifecycle = req.get("lifecycleConfiguration") or {}
    idle = lifecycle.get("idleRuntimeSessionTimeout") or IDLE_DEFAULT_S
    if idle > (lifecycle.get("maxLifetime") or LIFETIME_DEFAULT_S):
        raise invalid("idleRuntimeSessionTimeout must not be more than maxLifetime.")
    for name, value in (req.get("environmentVariables") or {}).items():
        if not _NAME.match(name) or "\0" in value:
            raise invalid("The name of an environment variable has letters, digits and _ alone.")
        if name in OURS:
            raise invalid(f"The environment variable {name} is set by the region.")


def _check_entry(operation: str, words: list[str]) -> None:
    if len(words) > 1:
        raise unsupported(operation, f"entryPoint with the launcher {words[0][:100]}")
    if not words[0].endswith(".py"):
        raise invalid("entryPoint must name a .py file of the archive.")
