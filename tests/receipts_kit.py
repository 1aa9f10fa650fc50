"""A log with a trail and receipts over it, and calls to write into it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bastide.audit.log import MerkleLog
from bastide.audit.proofs import Proofs
from bastide.audit.receipts import Draft, Model, Receipts
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.receipts import Transfer, conversation
from bastide.kernel.regions import Region
from tests.labels_kit import UNCLASSIFIED, in_use

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ACCOUNT = "123456789012"
START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = Model(name="test.tiny-v1:0", digest="sha256:" + "5a" * 32, cores=2)
ASKED = {"modelId": "test.tiny-v1:0", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
ANSWER = b"hello there"
RECEIPTS = Receipts(
    label_of=lambda call: "U", policy_of=lambda principal: "sha256:00", watts_per_core=10.0
)


def call(operation: str = "bedrock-runtime.Converse", account: str = ACCOUNT) -> Call:
    arn = f"arn:aws-us-gov:iam::{account}:user/ann"
    principal = Principal(
        account=account, arn=arn, user_id="AIDAX", kind=PrincipalKind.USER, issuer_arn=arn,
        name="ann", access_key_id="AKIAEXAMPLE", **UNCLASSIFIED,
    )  # fmt: skip
    return Call(operation=operation, region=REGION, principal=principal, request_id="r", time=START)


MOVED = Transfer(
    bundle="5a" * 32, sender="us-gov-west-1", receiver="us-iso-east-1", direction="up",
    agency="demo", label="U", items=2, size=7, filters=("types sha256:00",),
    filter_versions=("00",), officers=("ann", "bob"), approval="11" * 32,
    place="123456789012/kept/in/",
)  # fmt: skip


class Ledger:
    """A real log in a folder. No checkpoint is signed by time: only where one is asked for."""

    def __init__(self, database: Database, folder: Path, **log: Any) -> None:
        self.database, self.clock = database, ManualClock(START)
        self.signer = load_signer(folder / "audit", "bastide/test")
        self.log = MerkleLog(database, self.signer, self.clock, checkpoint_s=3600.0, **log)
        self.log.start()
        self.labels = in_use(database)
        self.trail = AuditTrail(self.log, self.clock, SystemIds(), self.labels.use)
        self.proofs = Proofs(database=database, log=self.log)

    @property
    def key(self) -> str:
        return self.signer.verifier.text()

    def infer(self, made: Call | None = None, status: int = 200, code: str = "") -> Call:
        """A whole inference; it is durable when this returns."""
        made = made or call()
        self.trail.opened(made, {"modelId": "test.tiny-v1:0"}).result(30)
        draft: Draft = RECEIPTS.begin(made, MODEL, conversation(ASKED))
        draft.promise()
        draft.add(ANSWER)
        draft.end(1.5, (3, 2))
        self.trail.closed(made, status, code)
        self.settle()
        return made

    def move(self, transfer: Transfer = MOVED) -> str:
        """An act at the gate; the id of its receipt."""
        receipt, done = self.trail.transfer("TransferReleased", {"account": ACCOUNT}, transfer)
        done.result(30)
        return receipt

    def settle(self) -> None:
        """Patient records go with the next that is waited for."""
        self.trail.operator("Nothing", {}).result(30)
