"""Who may do what: tests/golden/authz.txt, role by operation, as the authorizer itself decides.

`UPDATE_GOLDEN=1` writes it anew; a change of a policy is then a difference that can be read.
"""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from aiohttp.test_utils import make_mocked_request

from bastide.identity.builtin import DOCUMENTS
from bastide.kernel import arns
from bastide.kernel.errors import ServiceError
from bastide.operators.api import Operators
from bastide.policy.actions import needs_of
from bastide.wire.validate import Validators
from tests.golden import goldens
from tests.golden.calls import ROLE, Asked, Inputs
from tests.golden.people import BOUNDARY, NARROW, SERVICE, People
from tests.policy_kit import a_call
from tests.registry import ask_region
from tests.wire.gateway.kit import Request, ask
from tests.wire.proto.test_wire_requests import sent

MATRIX = Path(__file__).with_name("authz.txt")
YES, NO, OWN = "✔", "✘", "○"
WIDTH = 50
MANAGED = {
    "Adm": "AdministratorAccess",
    "Pow": "PowerUserAccess",
    "ROA": "ReadOnlyAccess",
    "IAM": "IAMFullAccess",
    "iam": "IAMReadOnlyAccess",
    "SM": "AmazonSageMakerFullAccess",
    "sm": "AmazonSageMakerReadOnly",
    "S3": "AmazonS3FullAccess",
    "s3": "AmazonS3ReadOnlyAccess",
    "BR": "AmazonBedrockFullAccess",
    "br": "AmazonBedrockReadOnly",
    "CW": "CloudWatchFullAccess",
    "cw": "CloudWatchReadOnlyAccess",
    "CWL": "CloudWatchLogsFullAccess",
    "cwl": "CloudWatchLogsReadOnlyAccess",
    "ct": "AWSCloudTrail_ReadOnlyAccess",
}
OTHERS = {
    "adm": "the agency's administrator",
    "exe": f"SageMaker with the agency's {ROLE}",
    "ses": f"a session of a role that may everything, with a session policy: {', '.join(NARROW)}",
    "bnd": f"a user with AdministratorAccess and {BOUNDARY} as its permissions boundary",
    "aud": "an auditor, with AdministratorAccess",
    "non": "a user without any policy",
    "oth": f"another account's administrator: {OWN} it finds but what is its own account's",
    "ano": "a caller without credentials",
    "ops": "the operators, at their socket",
}
HEAD = f"""Who may do what. Written by `UPDATE_GOLDEN=1 pytest tests/golden`: do not edit, review.

Each row is the smallest valid call of an operation, on things of one agency, as the authorizer
decides it: {YES} it is let in, {NO} it is refused. A row with a note has more in the call, and is
here if it needs more or is decided otherwise. After the marks: the IAM actions that are asked for.
`iam:PassRole` and `key by key` are asked for by the operation itself.

"""


class Region:
    """A region's doors: what each of the callers is told there."""

    def __init__(self, region) -> None:
        self.region = region
        people, identity = People(region), region.identity
        admin = people.administrator("alpha")
        self.inputs = Inputs(region.core.region, admin.account)
        self.principals = {
            "adm": admin,
            **{head: people.user(admin, name, name) for head, name in MANAGED.items()},
            "exe": people.execution_role(admin.account),
            "ses": people.narrowed(admin),
            "bnd": people.bounded(admin),
            "aud": people.auditor(admin, "auditor", "AdministratorAccess"),
            "non": people.user(admin, "none"),
            "oth": people.administrator("beta"),
        }
        self.authorizer, self.roles = identity.authorizer, identity.roles
        self.sockets = operators_router()

    async def marks(self, asked: Asked) -> list[str]:
        found = [self.mark(asked, head) for head in self.principals]
        return [*found, await self.stranger(asked), await self.operator(asked)]

    def delivered(self) -> str:
        """What an auditor gains on a bucket and keys that a trail delivers to."""
        least = [next(iter(self.inputs.of(each))) for each in self.operations()]
        before = {each.operation.full_name for each in least if self.mark(each, "aud") == YES}
        self.region.identity.resources.delivered = lambda who, arn: True
        found = [each.operation.full_name for each in least if self.mark(each, "aud") == YES]
        lines = [f"  {name}" for name in found if name not in before]
        return "\n".join(["\nwhere a trail delivers, aud is let in by these too", *lines]) + "\n"

    def operations(self):
        return [self.region.catalogue.operation(n) for n in sorted(self.region.gateway.handlers)]

    def mark(self, asked: Asked, head: str) -> str:
        who = self.principals[head]
        call = a_call(asked.operation.full_name, who=who)
        params = self.authorizer.canonical(call, asked.params)
        try:
            self.authorizer.authorize(call, params)
            self.ask_as_the_handler_does(call, params)
        except ServiceError as error:
            if error.code not in ("AccessDenied", "AccessDeniedException"):
                raise
            return NO
        return OWN if head == "oth" else YES

    def needs(self, asked: Asked) -> str:
        call = a_call(asked.operation.full_name, who=self.principals["adm"])
        params = self.authorizer.canonical(call, asked.params)
        needs = needs_of(call, params, self.authorizer.stored)
        found = [need.action if need.resources else f"{need.action} key by key" for need in needs]
        found += ["iam:PassRole"] if passed_role(call.operation, params) else []
        return ", ".join(dict.fromkeys(found)) or "(nothing)"

    def ask_as_the_handler_does(self, call, params) -> None:
        if call.service == "sts":  # it has no effect but its answer
            self.region.gateway.handlers[call.operation].method(call, params)
        if "Delete" in params:
            standing = self.authorizer.standing(call, {})
            for each in params["Delete"]["Objects"]:
                key = arns.s3(call.region, params["Bucket"], each["Key"])
                if not standing.permits("s3:DeleteObject", key):
                    raise ServiceError("AccessDenied", each["Key"])
        role = passed_role(call.operation, params)
        if role:
            made = arns.regional(call.region, "sagemaker", call.account, "x")
            self.roles.check_pass(call, role, SERVICE, made)

    async def stranger(self, asked: Asked) -> str:
        raw, body = sent(asked.operation, asked.operation.service.protocol, asked.params)
        request = Request(
            raw.method, f"{raw.raw_path}?{raw.raw_query}", headers=list(raw.headers), body=body
        )
        answer = await ask(self.region.gateway, request)
        assert answer.status in (400, 401, 403), answer.text
        return NO

    async def operator(self, asked: Asked) -> str:
        """Their socket knows none of AWS's operations."""
        raw, _ = sent(asked.operation, asked.operation.service.protocol, asked.params)
        found = await self.sockets.resolve(make_mocked_request(raw.method, raw.raw_path))
        return NO if found.http_exception else YES

    async def rows(self):
        validators, service = Validators(), ""
        for name, handler in sorted(self.region.gateway.handlers.items()):
            operation = self.region.catalogue.operation(name)
            if operation.service.name != service:
                service = operation.service.name
                yield f"\n{service:{WIDTH}}{heads()}"
            plain = None
            for asked in self.inputs.of(operation):
                validators.validate(operation, asked.params)
                handler.check(asked.params)
                marks = await self.marks(asked)
                if marks != plain or asked.note.startswith("+"):
                    label = f"  {operation.name} {asked.note}".rstrip()
                    yield f"{label:{WIDTH}}{spread(marks)}  {self.needs(asked)}"
                plain = plain or marks


def passed_role(operation, params) -> str:
    if not operation.startswith("sagemaker.Create"):
        return ""
    return params.get("RoleArn") or params.get("ExecutionRoleArn") or ""


def heads() -> str:
    return spread(["adm", *MANAGED, *(head for head in OTHERS if head != "adm")])


def spread(cells) -> str:
    return "".join(f"{cell:4}" for cell in cells).rstrip()


def operators_router():
    """Their routes alone: nothing is asked of those behind them."""
    routes = {
        name: kind(**{each.name: None for each in fields(kind)})
        for name, kind in get_type_hints(Operators).items()
    }
    return Operators(**routes).application().router


def legend() -> str:
    named = [("adm", OTHERS["adm"]), *MANAGED.items(), *list(OTHERS.items())[1:]]
    return "".join(f"{head:4} {what}\n" for head, what in named)


def socket_rows() -> str:
    """What only the operators may."""
    routes = {
        f"{route.method:5}{route.resource.canonical}"
        for route in operators_router().routes()
        if route.method != "HEAD"
    }
    lines = [f"\n{'the operators socket (mode 0600)':{WIDTH}}{spread(['ops', 'all others'])}"]
    lines += [f"  {route:{WIDTH - 2}}{spread([YES, NO])}" for route in sorted(routes)]
    return "\n".join(lines) + "\n"


def test_every_managed_policy_has_its_column():
    assert set(MANAGED.values()) == set(DOCUMENTS)


def test_who_may_do_what(tmp_path):
    async def made(region) -> str:
        made = Region(region)
        rows = [row async for row in made.rows()]
        return HEAD + legend() + "\n".join(rows) + "\n" + made.delivered() + socket_rows()

    goldens.check(MATRIX, ask_region(tmp_path, made))
