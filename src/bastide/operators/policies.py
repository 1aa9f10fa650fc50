"""Agencies' own policies, as operators see them: stored, tried out, explained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bastide.identity.agencies import Agencies
from bastide.identity.clearances import Clearances
from bastide.identity.directory import Directory
from bastide.identity.model import Entity, Kind
from bastide.identity.sessions import session_arn
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.clock import moment
from bastide.kernel.errors import invalid
from bastide.kernel.labels.label import Label
from bastide.policy.cedar.agency import AgencyPolicies
from bastide.policy.cedar.slices import Slice
from bastide.policy.explaining import Explainer

CASES_MAX = 1_000
_TRIED = "why"  # the name of a session that nobody has
_FIELDS = {"principal", "action", "resource"}
_OPTIONAL = {"session", "label", "expect", "name", "guardrail"}
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRoom:
    """What `bastide policy …` asks for."""

    agencies: Agencies
    directory: Directory
    clearances: Clearances
    policies: AgencyPolicies
    explainer: Explainer

    def rows(self, agency: str) -> list[dict[str, Any]]:
        return [_row(each) for each in self.policies.rows(self.agencies.account_of(agency))]

    def put(self, agency: str, name: str, text: str) -> dict[str, Any]:
        return _row(self.policies.put(self.agencies.account_of(agency), name, text))

    def remove(self, agency: str, name: str) -> None:
        self.policies.remove(self.agencies.account_of(agency), name)

    def why(self, agency: str, asked: Fields) -> dict[str, Any]:
        """One decision, with what is stored."""
        return self._explained(self.agencies.account_of(agency), asked)

    def test(self, agency: str, name: str, text: str, cases: Any) -> list[dict[str, Any]]:
        """Cases, decided as if the text were stored. Without a case the text is checked."""
        account = self.agencies.account_of(agency)
        candidate = self.policies.candidate(account, name, text)
        if not isinstance(cases, list) or len(cases) > CASES_MAX:
            raise invalid(f"Cases are a list of at most {CASES_MAX}.")
        return [self._case(account, number, each, candidate) for number, each in enumerate(cases)]

    def _case(self, account: str, number: int, case: Any, candidate: Slice) -> dict[str, Any]:
        if not isinstance(case, dict) or case.get("expect") not in ("allow", "deny"):
            raise invalid(f'Case {number} has no "expect": "allow" or "deny".')
        found = self._explained(account, case, (candidate,))
        got = "allow" if found["allowed"] else "deny"
        name, expected = str(case.get("name", number)), case["expect"]
        return {"case": name, "expected": expected, "got": got, "met": got == expected, **found}

    def _explained(
        self, account: str, asked: Fields, slices: Sequence[Slice] = ()
    ) -> dict[str, Any]:
        given = {name: value for name, value in asked.items() if value is not None}
        if _FIELDS - given.keys() or given.keys() - _FIELDS - _OPTIONAL:
            raise invalid("Send principal, action and resource; session and label if they matter.")
        if not all(isinstance(value, str) for value in given.values()):
            raise invalid("Each field is a text.")
        principal = self._principal(account, given["principal"], given.get("session"))
        label = self._label(given["label"]) if "label" in given else None
        action, resource = given["action"], given["resource"]
        try:
            found = self.explainer.why(
                principal, action, resource, label, slices, guardrail=given.get("guardrail", "")
            )
        except KeyError as error:
            raise invalid(f"{action[:128]!r} is no action of this region's.") from error
        return asdict(found) | {"policies": list(found.policies)}

    def _principal(self, account: str, named: str, session: str | None) -> Principal:
        """Who `user/NAME` or `role/NAME` is when it works at a label, its floor if not given."""
        entity = self.directory.named(account, named)
        clearance = self.clearances.of(entity)
        floor = self.clearances.floor(clearance, account)
        return self._working(entity, clearance, self._label(session) if session else floor)

    def _working(self, entity: Entity, clearance: Label, session: Label) -> Principal:
        user = entity.kind is Kind.USER
        partition = self.directory.region.partition
        assumed = session_arn(partition, entity.account, entity.name, _TRIED)
        return Principal(
            account=entity.account,
            arn=entity.arn if user else assumed,
            user_id=entity.id if user else f"{entity.id}:{_TRIED}",
            kind=PrincipalKind.USER if user else PrincipalKind.SESSION,
            issuer_arn=entity.arn,
            name=entity.name if user else _TRIED,
            access_key_id="",
            clearance=clearance,
            session=session,
            duty=entity.duty,
            tags=entity.tags,
        )

    def _label(self, marking: str) -> Label:
        return self.clearances.labelling.parse(marking, "ValidationException")


def _row(policy: dict[str, Any]) -> dict[str, Any]:
    changed = moment(policy["changed_ms"]).isoformat(timespec="seconds")
    return {"name": policy["name"], "changed": changed, "text": policy["text"]}
