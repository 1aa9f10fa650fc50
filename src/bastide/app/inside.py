"""The region's own operations, called from inside it: validated and audited like any call. Whoever
calls them has asked the officers first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore import xform_name

from bastide.app.core import Core
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.labelling import Labelling
from bastide.wire.model import Catalogue, Operation
from bastide.wire.validate import Validators

AGENT = "bastide transfer"
Methods = Mapping[str, tuple[Operation, Callable[[Call, dict[str, Any]], dict[str, Any]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideCalls:
    """As the account itself, at its agency's default label."""

    core: Core
    labelling: Labelling
    methods: Methods
    validators: Validators

    def read(self, account: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return self.methods[operation][1](self._call(account, operation), dict(params))

    def do(self, account: str, operation: str, params: Mapping[str, Any]) -> None:
        wanted, method = self.methods[operation]
        call, code = self._call(account, operation), "InternalFailure"
        self.validators.validate(wanted, params)
        self.core.trail.opened(call, params).result()
        try:
            method(call, dict(params))
            code = ""
        except ServiceError as error:
            code = error.code
            raise
        finally:
            self.core.trail.closed(call, 400 if code else 200, code)

    def told(self, action: str, facts: Mapping[str, str]) -> None:
        self.core.trail.operator(action, facts).result()

    def _call(self, account: str, operation: str) -> Call:
        core, arn = self.core, arns.iam(self.core.region, account, "root")
        label = self.labelling.of_account(account)
        principal = Principal(
            account=account, arn=arn, user_id=account, kind=PrincipalKind.SERVICE, issuer_arn=arn,
            name="root", access_key_id="", clearance=label, session=label,
        )  # fmt: skip
        return Call(
            operation=operation, region=core.region, principal=principal,
            request_id=core.ids.uuid(), time=core.clock.now(), user_agent=AGENT,
        )  # fmt: skip


def methods(catalogue: Catalogue, handlers: Mapping[str, Sequence[object]]) -> Methods:
    """The operations of some services' handlers, by name."""
    found = {}
    for service, made in handlers.items():
        for name in catalogue.service(service).names:
            operation = catalogue.operation(f"{service}.{name}")
            for handler in made:
                method = getattr(handler, xform_name(name), None)
                if method is not None and operation is not None:
                    found[operation.full_name] = (operation, method)
    return found
