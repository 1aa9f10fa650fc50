"""A live region that holds up to TOP SECRET, and people of one agency at several labels."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bastide.kernel.statements import Verdict
from tests.live import NAME, LiveRegion, toml_for
from tests.officers_live import Desk

OPEN = {"Effect": "Allow", "Action": "*", "Resource": "*"}
PATH = {"Version": "2012-10-17", "Statement": [OPEN]}
CEILING = "TS//SI/TK"


def walled(folder: Path, *, settings: str = "", **more: Any) -> LiveRegion:
    """A region with that ceiling, where what has no label is U; `settings` are more of its file."""
    toml = toml_for(name=NAME).replace("port = 0\n", f'port = 0\nceiling = "{CEILING}"\n', 1)
    return LiveRegion(folder, toml=toml + settings, **more).start()


@dataclass
class People:
    """Sessions of one role of one agency, each at its label. `role` is cleared for all of them, up
    to `most`."""

    region: LiveRegion
    desk: Desk
    agency: str = "bureau"
    role: str = "analyst"
    most: str = CEILING

    def begin(self) -> None:
        """Two officers, and the people."""
        self.desk.enrol("olga", "security-officer")
        self.desk.enrol("oscar", "security-officer")
        self.join()

    def join(self) -> None:
        """A role that everybody of the agency may assume, and its clearance."""
        iam = self.region.client("iam", self.agency)
        account = self.region.account(self.agency)["account_id"]
        root = f"arn:aws-us-gov:iam::{account}:root"
        trusting = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": root},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                }
            ],
        }
        iam.create_role(RoleName=self.role, AssumeRolePolicyDocument=json.dumps(trusting))
        iam.put_role_policy(RoleName=self.role, PolicyName="all", PolicyDocument=json.dumps(PATH))
        for who in (f"role/{self.role}", "user/administrator"):
            self.clear(who, self.most)

    def clear(self, who: str, label: str) -> None:
        """Grant a clearance, as two officers sign for it."""
        self.signed("clearance", "grant", who, label, "--agency", self.agency)

    def signed(self, *words: str) -> str:
        """What a command prints once both officers have signed for it."""
        self.desk.say(self.desk.waits(*words), Verdict.APPROVE, "olga", "oscar")
        return self.region.cli(*words).stdout

    @property
    def role_arn(self) -> str:
        account = self.region.account(self.agency)["account_id"]
        return f"arn:aws-us-gov:iam::{account}:role/{self.role}"

    def assume(self, label: str, source: Any = None) -> dict[str, str]:
        """The credentials of a session at `label`."""
        sts = source or self.region.client("sts", self.agency)
        tags = [{"Key": "bastide:label", "Value": label}]
        answer = sts.assume_role(
            RoleArn=self.role_arn, RoleSessionName=f"at-{label}".replace("/", "-"), Tags=tags
        )
        return answer["Credentials"]

    def at(self, label: str, service: str = "s3", **config: Any) -> Any:
        """A boto3 client of a session at `label`."""
        return self.with_keys(self.assume(label), service, **config)

    def with_keys(self, keys: dict[str, str], service: str, **config: Any) -> Any:
        env = self.region.agency(self.agency)
        return boto3.client(
            service,
            endpoint_url=self.region.status["endpoint"],
            verify=env.get("AWS_CA_BUNDLE"),
            region_name=self.region.name,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(retries={"max_attempts": 1}, **config),
        )
