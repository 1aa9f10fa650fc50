"""Agencies, as operators see them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.identity.agencies import EXECUTION_ROLE, Agencies
from bastide.identity.model import Agency
from bastide.kernel import arns
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvAsked:
    """`keys`: the administrator's; without, only where the region is."""

    agency: str
    keys: bool
    bearer: bool
    requester: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyRoom:
    """What `bastide agency …` and `client-env` ask for. `connection`: the environment variables
    that say where the region is (endpoint, CA bundle). `has_officers`: whether two could sign."""

    agencies: Agencies
    region: Region
    connection: Mapping[str, str]
    approvals: Approvals
    has_officers: Callable[[], bool]

    def rows(self) -> list[dict[str, Any]]:
        return [self._row(agency) for agency in self.agencies.list()]

    def create(self, name: str, account_id: str | None) -> dict[str, Any]:
        return self._row(self.agencies.create(name, account_id))

    def create_many(self, names: Sequence[str]) -> int:
        return len(self.agencies.create_many(names))

    def client_env(self, asked: EnvAsked, recorded: Callable[[], None]) -> dict[str, str]:
        agency = self.agencies.find(asked.agency)
        if agency is None:
            raise ServiceError(
                "NoSuchEntity",
                f"There is no agency {asked.agency}. Make it: bastide agency create {asked.agency}",
            )
        found = {
            **self.connection,
            "AWS_REGION": self.region.name,
            "AWS_DEFAULT_REGION": self.region.name,
        }
        if asked.keys or asked.bearer:
            self._check_handed(agency, asked)
            recorded()
            found |= self._keys(agency, bearer=asked.bearer)
        return found

    def _check_handed(self, agency: Agency, asked: EnvAsked) -> None:
        """The first time there is nothing yet to read, and somebody has to begin."""
        if self.agencies.hand_out(agency) or not self.has_officers():
            return
        action = {
            "change": "hand out administrator keys",
            "account": agency.account_id,
            "agency": agency.name,
            "bearer": asked.bearer,
        }
        self.approvals.require(Kind.ADMINISTRATOR_KEYS, action, asked.requester)

    def _keys(self, agency: Agency, *, bearer: bool) -> dict[str, str]:
        key_id, secret = self.agencies.administrator_keys(agency)
        found = {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}
        if bearer:
            found["AWS_BEARER_TOKEN_BEDROCK"] = self.agencies.issue_bearer(agency.account_id)
        return found

    def _row(self, agency: Agency) -> dict[str, Any]:
        role = arns.iam(self.region, agency.account_id, f"role/{EXECUTION_ROLE}")
        return {
            "name": agency.name,
            "account_id": agency.account_id,
            "role_arn": role,
            "created": moment(agency.created_ms).isoformat(timespec="seconds"),
        }
