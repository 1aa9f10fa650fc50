"""An agency's set-up out of a region, and into one: read and done by the operations themselves."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from bastide.identity.agencies import ADMINISTRATOR, EXECUTION_ROLE, Agencies
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region
from bastide.transfer import setup
from bastide.transfer.model import Refused
from bastide.transfer.setup import MARK, Bucket, Holder, Place, Policy, Setup, Step

PAGE_SIZE = 1000
PAGES_MAX = 100
OWN = {("User", ADMINISTRATOR), ("Role", EXECUTION_ROLE)}  # of each agency, wherever it is made
NOT_THERE = {"NoSuchBucketPolicy", "NoSuchTagSet"}


class Inside(Protocol):
    """The region's own operations, as nobody's client; joined in `app/`."""

    def read(self, account: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]: ...

    def do(self, account: str, operation: str, params: Mapping[str, Any]) -> None:
        """In the audit log like any call."""
        ...

    def told(self, action: str, facts: Mapping[str, str]) -> None:
        """Record what is done for the operator, and is no operation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingUp:
    region: Region
    agencies: Agencies
    inside: Inside

    def packed(self, agency: str) -> bytes:
        """What `agency` is here, as it travels."""
        account = self.agencies.account_of(agency)
        return setup.encoded(self._have(agency, account), self._place(account))

    def plan(self, agency: str, data: bytes) -> list[str]:
        """What `apply` would do, in words."""
        found = self.agencies.find(agency)
        if found is None:
            place = self._place(MARK)
            steps = setup.steps(setup.decoded(data, place), Setup(agency=agency), place)
            return [f"create the agency {agency}", *(step.does for step in steps)]
        return [step.does for step in self._steps(agency, found.account_id, data)]

    def apply(self, agency: str, data: bytes, plan: Collection[str]) -> Iterator[str]:
        """Yields what it is about to do. Begun again, it does what is left. Raises Refused, also
        where it would do more than `plan` says: the region has changed since people read that."""
        try:
            found = self.agencies.find(agency)
            if found is None:
                _check_agreed([f"create the agency {agency}"], plan)
                yield f"create the agency {agency}"
                self.inside.told("CreateAgency", {"name": agency})
                found = self.agencies.create(agency)
            steps = self._steps(agency, found.account_id, data)
            _check_agreed([step.does for step in steps], plan, found.account_id)
            for step in steps:
                yield step.does
                self.inside.do(found.account_id, step.operation, step.params)
        except ServiceError as error:
            raise Refused(f"the agency cannot be set up so: {error.message}") from error

    def _steps(self, agency: str, account: str, data: bytes) -> list[Step]:
        place = self._place(account)
        return setup.steps(setup.decoded(data, place), self._have(agency, account), place)

    def _place(self, account: str) -> Place:
        return Place(partition=self.region.partition, region=self.region.name, account=account)

    def _have(self, agency: str, account: str) -> Setup:
        details = self._details(account)
        holders = [
            self._holder(kind, account, row)
            for kind in ("User", "Role", "Group")
            for row in details[f"{kind}DetailList"]
            if (kind, row[f"{kind}Name"]) not in OWN
        ]
        policies = [_policy(row) for row in details["Policies"]]
        listed = self.inside.read(account, "s3.ListBuckets", {})["Buckets"]
        buckets = [self._bucket(account, row["Name"]) for row in listed]
        return Setup(agency=agency, policies=policies, holders=holders, buckets=buckets)

    def _details(self, account: str) -> dict[str, list[dict[str, Any]]]:
        kinds = ["User", "Role", "Group", "LocalManagedPolicy"]
        params: dict[str, Any] = {"MaxItems": PAGE_SIZE, "Filter": kinds}
        whole: dict[str, list[dict[str, Any]]] = {}
        for _ in range(PAGES_MAX):
            page = self.inside.read(account, "iam.GetAccountAuthorizationDetails", params)
            for name, rows in page.items():
                if isinstance(rows, list):
                    whole.setdefault(name, []).extend(rows)
            if not page.get("IsTruncated"):
                return whole
            params["Marker"] = page["Marker"]
        raise Refused(f"the agency has more than {PAGES_MAX * PAGE_SIZE} users, roles and policies")

    def _holder(self, kind: str, account: str, row: Mapping[str, Any]) -> Holder:
        role = {}
        if kind == "Role":  # the details do not say all of it
            named = {"RoleName": row["RoleName"]}
            role = self.inside.read(account, "iam.GetRole", named)["Role"]
        return Holder(
            kind=kind,
            name=row[f"{kind}Name"],
            path=row["Path"],
            inline={
                one["PolicyName"]: unquote(one["PolicyDocument"])
                for one in row[f"{kind}PolicyList"]
            },
            attached=sorted(one["PolicyArn"] for one in row["AttachedManagedPolicies"]),
            tags=_tags(row.get("Tags", [])),
            boundary=row.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
            groups=sorted(row.get("GroupList", [])),
            trust=unquote(row.get("AssumeRolePolicyDocument", "")),
            description=role.get("Description", ""),
            session_s=role.get("MaxSessionDuration", 0),
        )

    def _bucket(self, account: str, name: str) -> Bucket:
        named = {"Bucket": name}
        read = self.inside.read
        return Bucket(
            name=name,
            versioning=read(account, "s3.GetBucketVersioning", named).get("Status", ""),
            policy=self._if_there(account, "s3.GetBucketPolicy", named).get("Policy", ""),
            tags=_tags(self._if_there(account, "s3.GetBucketTagging", named).get("TagSet", [])),
        )

    def _if_there(
        self, account: str, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        try:
            return self.inside.read(account, operation, params)
        except ServiceError as error:
            if error.code in NOT_THERE:
                return {}
            raise


def _check_agreed(does: Collection[str], plan: Collection[str], account: str = MARK) -> None:
    """A plan for an agency that was not there yet has the mark where now its account is."""
    agreed = {one.replace(account, MARK) for one in plan}
    for one in does:
        if one.replace(account, MARK) not in agreed:
            raise Refused(f"nobody agreed that it should {one}: carry it anew")


def _policy(row: Mapping[str, Any]) -> Policy:
    (now,) = (one for one in row["PolicyVersionList"] if one["IsDefaultVersion"])
    return Policy(
        name=row["PolicyName"],
        path=row["Path"],
        document=unquote(now["Document"]),
        description=row.get("Description", ""),
        tags=_tags(row.get("Tags", [])),
    )


def _tags(listed: list[Mapping[str, str]]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in listed}
