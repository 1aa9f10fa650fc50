"""Who signs: access keys, session tokens and Bedrock API keys, from memory when hot."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bastide.identity import records
from bastide.identity.access_keys import KeyMaker, digest_of
from bastide.identity.clearances import Clearances
from bastide.identity.directory import Directory
from bastide.identity.model import AccessKey, Entity, Kind, ServiceKey
from bastide.identity.sessions import session_arn
from bastide.identity.tokens import Session, SessionTokens
from bastide.kernel.call import BEHIND, Credential, Principal, PrincipalKind
from bastide.kernel.clock import epoch_ms, moment
from bastide.kernel.labels.scheme import MarkingError


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCredentials:
    """Answers None for unknown, inactive, expired and tampered alike."""

    directory: Directory
    maker: KeyMaker
    tokens: SessionTokens
    clearances: Clearances

    def find(
        self, access_key_id: str, session_token: str | None, now: datetime
    ) -> Credential | None:
        """The credential behind an access key id. An ASIA key needs its session token."""
        if session_token is None:
            return self._long_term(access_key_id)
        held = self.directory.memory.get(
            ("token", access_key_id, session_token),
            lambda: self.tokens.opened(access_key_id, session_token),
        )
        if held is None or epoch_ms(now) >= held.expires_ms:
            return None
        entity = self.directory.by_id(held.account, held.entity_id)
        if entity is None:
            return None
        try:
            return Credential(held.secret, self._session_principal(held, entity))
        except MarkingError:  # the region's scheme is another since
            return None

    def _long_term(self, access_key_id: str) -> Credential | None:
        if access_key_id not in self.maker.known:
            return None
        found = self.directory.memory.get(access_key_id, lambda: self._read(access_key_id))
        if found is None:
            self.maker.known.drop(access_key_id)
            return None
        key, secret = found
        user = self.directory.find(key.account, Kind.USER, key.user) if key.active else None
        return Credential(secret, self._user(user, access_key_id)) if user else None

    def _read(self, access_key_id: str) -> tuple[AccessKey, str] | None:
        key = self.directory.database.read(lambda c: records.find_key(c, access_key_id))
        return (key, self.maker.opened(key)) if key else None

    def _session_principal(self, session: Session, entity: Entity) -> Principal:
        facts = {"aws:tokenissuetime": f"{moment(session.issued_ms):%Y-%m-%dT%H:%M:%SZ}"}
        if session.kind is Kind.USER:
            return replace(self._user(entity, session.access_key_id), facts=facts)
        if session.source_identity:
            facts["aws:sourceidentity"] = session.source_identity
        if session.behind:
            facts[BEHIND] = session.behind
        partition = self.directory.region.partition
        return Principal(
            account=session.account,
            arn=session_arn(partition, session.account, entity.name, session.session_name),
            user_id=f"{entity.id}:{session.session_name}",
            kind=PrincipalKind.SESSION,
            issuer_arn=entity.arn,
            name=session.session_name,
            access_key_id=session.access_key_id,
            clearance=self.clearances.of(entity).meet(self.clearances.parse(session.clearance)),
            session=self.clearances.parse(session.label),
            duty=entity.duty,
            tags=with_session_tags(entity.tags, session.tags),
            session_policies=self._policies(session),
            facts=facts,
            transitive=frozenset(session.transitive),
        )

    def _policies(self, session: Session) -> tuple[str, ...] | None:
        """A managed policy that is gone allows nothing, but narrows still."""
        if session.policy is None and not session.policy_arns:
            return None
        managed = (self.directory.managed(session.account, arn) for arn in session.policy_arns)
        own = [session.policy] if session.policy is not None else []
        return (*own, *(text for text in managed if text is not None))

    def bearer(self, token: str, now: datetime) -> Principal | None:
        """Who holds a Bedrock API key. Digests are looked up, never compared."""
        digest = digest_of(token)
        if digest not in self.maker.known:
            return None
        key = self.directory.memory.get(
            ("bearer", digest),
            lambda: self.directory.database.read(lambda c: records.find_service_key(c, digest)),
        )
        if key is None:
            self.maker.known.drop(digest)
            return None
        if not is_valid(key, now):
            return None
        user = self.directory.find(key.account, Kind.USER, key.user)
        return self._user(user, key.id) if user else None

    def _user(self, user: Entity, access_key_id: str) -> Principal:
        clearance = self.clearances.of(user)
        return Principal(
            account=user.account,
            arn=user.arn,
            user_id=user.id,
            kind=PrincipalKind.USER,
            issuer_arn=user.arn,
            name=user.name,
            access_key_id=access_key_id,
            clearance=clearance,
            session=self.clearances.floor(clearance, user.account),
            duty=user.duty,
            tags=user.tags,
        )


def is_valid(key: ServiceKey, now: datetime) -> bool:
    return key.active and (key.expires_ms is None or epoch_ms(now) < key.expires_ms)


def with_session_tags(own: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """A session's tags win over the role's, whatever the case of the key."""
    lowered = {key.lower() for key in added}
    return {**{key: v for key, v in own.items() if key.lower() not in lowered}, **added}
