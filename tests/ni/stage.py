"""A real region with labels, and agencies in it: each has a low session and two high ones."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.live import NAME, LiveRegion
from tests.walls_live import CEILING, PATH

HIGH = ("S", "TS//SI")
# Beside memory for reserved throughput, each label its own part, a model that says a digest of all
# that it was shown: what reaches it from above is seen in that.
DIGESTS = "site.digests-v1:0"
ENGINES = f"""
[regions.{NAME}.engines]
memory_budget_mib = 8192
reservable_mib = {{{{ U = 2048, S = 1024, "TS//SI" = 1024 }}}}
urls = {{{{ "{DIGESTS}" = {{{{ url = "{{url}}", model = "digests" }}}} }}}}
"""
_ANYBODY = {"Effect": "Allow", "Action": "*", "Principal": {"AWS": "*"}}
TRUST = {"Version": "2012-10-17", "Statement": [_ANYBODY]}
FENCE = re.compile(r"(</?data )\w+>")  # drawn anew for each session (agents/spotlight.py)


def digest(body: dict[str, Any]) -> str:
    """In one sentence, where it is asked for sentences with their sources."""
    shown = FENCE.sub(r"\1>", json.dumps(body["messages"], ensure_ascii=False))
    told = hashlib.sha256(shown.encode()).hexdigest()[:16]
    if "response_format" not in body:
        return told
    return json.dumps({"sentences": [{"text": f"Seen: {told}.", "sources": [1]}]})


class Clients(dict[str, Any]):
    """Of one session, by service; each is made when it is asked for."""

    def __init__(self, made: Callable[[str], Any]) -> None:
        self._made = made

    def __missing__(self, service: str) -> Any:
        return self.setdefault(service, self._made(service))


@dataclass
class Agency:
    """`low` and `high[label]` are clients by service."""

    account: str
    role_arn: str  # its jobs work as this
    low: dict[str, Any]
    high: Mapping[str, dict[str, Any]]


@dataclass
class Stage:
    region: LiveRegion
    made: int = 0

    def agency(self) -> Agency:
        """A new one, whose history is empty."""
        self.made += 1
        name = f"agency-{self.made}"
        row = self.region.control.post("/agencies", {"name": name, "account_id": None})
        env = self.region.control.post(
            f"/agencies/{name}/client-env", {"keys": True, "bearer": False, "officer": ""}
        )
        keys = (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], None)
        account = row["account_id"]
        self._clear(account)  # before its first call: what a user may see is kept in memory
        iam, sts = self._client("iam", keys), self._client("sts", keys)
        role = iam.create_role(RoleName="High", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        iam.put_role_policy(RoleName="High", PolicyName="all", PolicyDocument=json.dumps(PATH))
        self._clear(account)
        high = {label: self._session(sts, role["Arn"], label) for label in HIGH}
        return Agency(account, row["role_arn"], self._clients(keys), high)

    def _clear(self, account: str) -> None:
        """All of an agency's people may see all that the region holds. Straight into the database:
        officers who sign for each of a hundred agencies would take longer than all the pairs."""
        with sqlite3.connect(self.region.folder / "region.db", timeout=30) as database:
            database.execute(
                "INSERT OR IGNORE INTO identity_clearances "
                "SELECT account, id, ?, 0 FROM identity_entities "
                "WHERE account = ? AND kind IN ('user', 'role')",
                (CEILING, account),
            )
        database.close()

    def _session(self, sts: Any, role_arn: str, label: str) -> dict[str, Any]:
        tags = [{"Key": "bastide:label", "Value": label}]
        given = sts.assume_role(RoleArn=role_arn, RoleSessionName="high", Tags=tags)["Credentials"]
        keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return self._clients(keys)

    def _clients(self, keys: tuple[str, str, str | None]) -> "Clients":
        return Clients(lambda service: self._client(service, keys))

    def _client(self, service: str, keys: tuple[str, str, str | None]) -> Any:
        return _SESSION.client(
            service,
            endpoint_url=self.region.status["endpoint"],
            verify=str(self.region.folder / "tls" / "ca.pem"),
            region_name=self.region.name,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            aws_session_token=keys[2],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


_SESSION = boto3.Session()
