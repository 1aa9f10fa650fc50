"""lambda: a function's resource policy, which says what agents may have it invoked.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.functions.model import Function, Params
from bastide.functions.ports import Permits
from bastide.functions.shelf import Shelf, check_revision
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation

BEDROCK = "bedrock.amazonaws.com"
INVOKE = "lambda:InvokeFunction"
POLICY_MAX = 20 * 1024  # bytes, as AWS counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    shelf: Shelf

    @operation(
        "FunctionName", "StatementId", "Action", "Principal", "SourceArn", "SourceAccount",
        "RevisionId", "Qualifier",
    )  # fmt: skip
    def add_permission(self, call: Call, req: Params) -> Params:
        """No other service invokes functions here, and no other account may."""
        self._check(call, req)
        if req["Principal"] != BEDROCK:
            raise unsupported(call.operation, f"Principal={req['Principal'][:128]}")
        if req["Action"] != INVOKE:
            raise unsupported(call.operation, f"Action={req['Action'][:128]}")

        def work(c: Connection, one: Function) -> Function:
            check_revision(one, req.get("RevisionId"))
            if any(each["Sid"] == req["StatementId"] for each in one.statements):
                raise ServiceError(
                    "ResourceConflictException",
                    f"The statement id ({req['StatementId']}) provided already exists. Please "
                    "provide a new statement id, or remove the existing statement.",
                )
            changed = replace(one, statements=[*one.statements, _statement(one, req)])
            if len(policy_of(changed)) > POLICY_MAX:
                message = f"The final policy size is bigger than the limit ({POLICY_MAX})."
                raise ServiceError("PolicyLengthExceededException", message)
            return changed

        changed = self.shelf.change(call, req["FunctionName"], work)
        return {"Statement": json.dumps(changed.statements[-1])}

    @operation("FunctionName", "StatementId", "RevisionId", "Qualifier")
    def remove_permission(self, call: Call, req: Params) -> Params:
        self._check(call, req)

        def work(c: Connection, one: Function) -> Function:
            check_revision(one, req.get("RevisionId"))
            left = [each for each in one.statements if each["Sid"] != req["StatementId"]]
            if len(left) == len(one.statements):
                message = f"Statement {req['StatementId']} is not found in resource policy."
                raise ServiceError("ResourceNotFoundException", message)
            return replace(one, statements=left)

        self.shelf.change(call, req["FunctionName"], work)
        return {}

    @operation("FunctionName", "Qualifier")
    def get_policy(self, call: Call, req: Params) -> Params:
        found = self.shelf.found(call, req["FunctionName"], req.get("Qualifier") or "")
        if not found.statements:
            message = "The resource you requested does not exist."
            raise ServiceError("ResourceNotFoundException", message)
        return {"Policy": policy_of(found), "RevisionId": found.revision}

    def _check(self, call: Call, req: Params) -> None:
        if req.get("Qualifier"):
            raise self.shelf.absent(call.account, req["FunctionName"], req["Qualifier"])


def policy_of(one: Function) -> str:
    return json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": list(one.statements)})


def lets_agent(permits: Permits, worker: Principal, one: Function, agent_arn: str) -> bool:
    """Whether the function's own policy lets Bedrock invoke it for that agent, which works as
    `worker`."""
    if not one.statements:
        return False
    about = {"aws:SourceArn": agent_arn, "aws:SourceAccount": worker.account}
    return permits.permits_service_for(
        worker, INVOKE, one.arn, service=BEDROCK, document=policy_of(one), context=about
    )


def _statement(one: Function, req: Params) -> Params:
    conditions: dict[str, Any] = {}
    if source := req.get("SourceArn"):
        conditions["ArnLike"] = {"AWS:SourceArn": source}
    if account := req.get("SourceAccount"):
        conditions["StringEquals"] = {"AWS:SourceAccount": account}
    return {
        "Sid": req["StatementId"],
        "Effect": "Allow",
        "Principal": {"Service": BEDROCK},
        "Action": INVOKE,
        "Resource": one.arn,
        **({"Condition": conditions} if conditions else {}),
    }
