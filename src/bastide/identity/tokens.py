"""Session tokens: everything about a session, sealed under the region's key, stored nowhere."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bastide.identity.model import Entity, Kind
from bastide.identity.ports import Sealer
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.ids import Ids

PURPOSE = "session-token"
TOKEN_SIZE_MAX = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a token says. `entity_id` is of the user or role: a new one of that name is another.
    `clearance` and `label` are a role session's: what its makers may see, and what it works at.
    `behind`: the side door that it is good at, and nowhere else."""

    access_key_id: str
    secret: str
    account: str
    kind: Kind
    name: str
    entity_id: str
    session_name: str
    expires_ms: int
    issued_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: Sequence[str] = ()
    policy: str | None = None
    policy_arns: Sequence[str] = ()
    source_identity: str = ""
    clearance: str = ""
    label: str = ""
    behind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokens:
    """Makes and opens them."""

    sealer: Sealer
    clock: Clock
    ids: Ids

    def new(self, entity: Entity, session_name: str, duration_s: int, **asked: Any) -> Session:
        """`asked`: the fields of a session that its maker may choose."""
        now = self.clock.now()
        return Session(
            access_key_id="ASIA" + self.ids.word(16),
            secret=base64.b64encode(self.ids.token(30)).decode(),
            account=entity.account,
            kind=entity.kind,
            name=entity.name,
            entity_id=entity.id,
            session_name=session_name,
            issued_ms=epoch_ms(now),
            expires_ms=epoch_ms(now + timedelta(seconds=duration_s)),
            **asked,
        )

    def sealed(self, session: Session) -> str:
        plain = json.dumps(asdict(session)).encode()
        sealed = self.sealer.seal(PURPOSE, plain, session.access_key_id.encode())
        return base64.b64encode(sealed).decode()

    def opened(self, access_key_id: str, token: str) -> Session | None:
        """None when the token was not made here, or for another key."""
        if len(token) > TOKEN_SIZE_MAX:
            return None
        try:
            sealed = base64.b64decode(token, validate=True)
            plain = self.sealer.open(PURPOSE, sealed, access_key_id.encode())
        except (binascii.Error, ValueError):
            return None
        fields: dict[str, Any] = json.loads(plain)
        return Session(**fields | {"kind": Kind(fields["kind"])})

    def credentials(self, session: Session) -> dict[str, str | datetime]:
        """As STS answers them."""
        return {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret,
            "SessionToken": self.sealed(session),
            "Expiration": moment(session.expires_ms),
        }
