"""lambda: functions, made, looked at, changed and deleted.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

import base64
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from bastide.functions import packages, records
from bastide.functions.fleet import Fleet, Order
from bastide.functions.model import LATEST, Function, Params
from bastide.functions.packages import bad
from bastide.functions.ports import Objects, Permits, Roles
from bastide.functions.shelf import Shelf, check_revision
from bastide.functions.tags import checked
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation

SERVICE = "lambda.amazonaws.com"
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")  # AWS's names
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"  # as the region's own
FUNCTIONS_MAX = 200  # of an account, at each label
STORED_MAX = 1024**3  # bytes of zips, likewise
TIMEOUT_MAX_S = 900
TIMEOUT_S, MEMORY_MIB = 3, 128
ENV_MAX = 4096  # bytes, as AWS counts them
PAGE_MAX = 50
NAME_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_RESERVED = re.compile(r"(_HANDLER|_X_AMZN_TRACE_ID|TZ|(AWS|LAMBDA)_.*)\Z")
_CONFIGURED = (
    "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "Environment.Variables",
)  # fmt: skip
_CODE = ("ZipFile", "S3Bucket", "S3Key")
_KEPT = ("Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize")


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    shelf: Shelf
    fleet: Fleet
    roles: Roles
    permits: Permits
    objects: Objects

    @operation(
        "FunctionName", *_CONFIGURED, *(f"Code.{name}" for name in _CODE), "PackageType",
        "Publish", "Tags", "Architectures",
    )  # fmt: skip
    def create_function(self, call: Call, req: Params) -> Params:
        self._check_new(call, req)
        shelf, tags, name = self.shelf, checked(req.get("Tags") or {}), req["FunctionName"]
        label = shelf.marks.of_new(call, tags, "A function")
        arn, now = shelf.arn(call.account, name), shelf.now_ms()
        self.roles.check_pass(call, req["Role"], SERVICE, arn)
        self._check_role(call, req["Role"], label)
        data, asked = self._zip(call, req["Code"]), _defaults(req)
        new = Function(
            account=call.account, label=label, name=name, arn=arn, created_ms=now, updated_ms=now,
            revision=shelf.ids.uuid(), code_id=shelf.ids.uuid(), code_sha256=_digest(data),
            code_size=len(data), asked=asked, env=b"", tags=tags,
        )  # fmt: skip
        new = replace(new, env=shelf.seal_env(new, _variables(req)))
        sealed = shelf.seal_package(new, data)

        def write(c: Connection) -> None:
            view = shelf.marks.view(call.principal)
            if records.find(c, call.account, name, view) is not None:
                raise ServiceError("ResourceConflictException", f"Function already exist: {name}")
            if records.count(c, call.account, label) >= FUNCTIONS_MAX:
                raise bad(f"An account has {FUNCTIONS_MAX} functions at most.")
            _check_room(c, new)
            records.add(c, new)
            records.add_package(c, new, sealed)

        shelf.database.write(write)
        return self._configuration(new)

    @operation("FunctionName", "Qualifier")
    def get_function(self, call: Call, req: Params) -> Params:
        """Where the zip could be downloaded from is not told: there is no such place here."""
        found = self.shelf.found(call, req["FunctionName"], req.get("Qualifier") or "")
        answer: Params = {"Configuration": self._configuration(found)}
        return {**answer, **({"Tags": dict(found.tags)} if found.tags else {})}

    @operation("FunctionName", "Qualifier")
    def get_function_configuration(self, call: Call, req: Params) -> Params:
        found = self.shelf.found(call, req["FunctionName"], req.get("Qualifier") or "")
        return self._configuration(found)

    @operation("Marker", "MaxItems", "FunctionVersion")
    def list_functions(self, call: Call, req: Params) -> Params:
        """FunctionVersion=ALL has the latest of each too, and there are no others."""
        size, after = min(req.get("MaxItems") or PAGE_MAX, PAGE_MAX), req.get("Marker") or ""
        view = self.shelf.marks.view(call.principal)
        found = self.shelf.database.read(
            lambda c: records.page(c, call.account, after, size + 1, view)
        )
        answer: Params = {"Functions": [self._configuration(each) for each in found[:size]]}
        if len(found) > size:
            answer["NextMarker"] = found[size - 1].name
        return answer

    @operation("FunctionName", *_CODE, "DryRun", "Publish", "RevisionId", "Architectures")
    def update_function_code(self, call: Call, req: Params) -> Params:
        _check_publish(call, req)
        _check_machine(call, req)
        shelf = self.shelf
        data = self._zip(call, req)
        code = {"code_id": shelf.ids.uuid(), "code_sha256": _digest(data), "code_size": len(data)}
        before = shelf.found(call, req["FunctionName"])
        after = replace(before, **code)  # type: ignore[arg-type]  # its own members
        if req.get("DryRun"):
            return self._configuration(after)
        sealed = shelf.seal_package(after, data)

        def work(c: Connection, one: Function) -> Function:
            check_revision(one, req.get("RevisionId"))
            records.drop_package(c, one.account, one.code_id)
            changed = replace(one, **code)  # type: ignore[arg-type]  # its own members
            _check_room(c, changed)
            records.add_package(c, changed, sealed)
            return changed

        changed = shelf.change(call, req["FunctionName"], work)
        self._forget(changed)
        return self._configuration(changed)

    @operation("FunctionName", *_CONFIGURED, "RevisionId")
    def update_function_configuration(self, call: Call, req: Params) -> Params:
        self._check(call, req)
        shelf, given = self.shelf, {name: req[name] for name in _KEPT if name in req}
        if role := given.get("Role"):
            one = shelf.found(call, req["FunctionName"])
            self.roles.check_pass(call, role, SERVICE, one.arn)
            self._check_role(call, role, one.label)

        def work(c: Connection, one: Function) -> Function:
            check_revision(one, req.get("RevisionId"))
            env = shelf.seal_env(one, _variables(req)) if "Environment" in req else one.env
            return replace(one, asked={**one.asked, **given}, env=env)

        changed = shelf.change(call, req["FunctionName"], work)
        self._forget(changed)
        return self._configuration(changed)

    @operation("FunctionName", "Qualifier")
    def delete_function(self, call: Call, req: Params) -> Params:
        name, qualifier = req["FunctionName"], req.get("Qualifier") or ""
        if qualifier == LATEST:
            raise bad("$LATEST version cannot be deleted without deleting the function.")
        if qualifier:
            raise self.shelf.absent(call.account, name, qualifier)

        def write(c: Connection) -> Function:
            one = self.shelf.mine(c, call, name)
            records.drop(c, one)
            return one

        self._forget(self.shelf.database.write(write))
        return {}

    # What is asked for ----------------------------------------------------------------------------
    def _check_new(self, call: Call, req: Params) -> None:
        _check_publish(call, req)
        _check_machine(call, req)
        if not _NAME.match(req["FunctionName"]):
            raise bad(f"FunctionName has 1 to {NAME_MAX} letters, digits, - and _.")
        if req.get("PackageType", "Zip") != "Zip":
            raise unsupported(call.operation, f"PackageType={req['PackageType']}")
        for name in ("Runtime", "Handler"):
            if not req.get(name):
                raise bad(f"{name} is mandatory for functions created with deployment packages.")
        self._check(call, req)

    def _check(self, call: Call, req: Params) -> None:
        if req.get("Runtime", RUNTIME) != RUNTIME:
            raise unsupported(call.operation, f"Runtime={req['Runtime']}, which is not {RUNTIME},")
        if req.get("Timeout", 1) > TIMEOUT_MAX_S:
            raise bad(f"Timeout is {TIMEOUT_MAX_S} s at most.")
        if req.get("MemorySize", 0) > self.fleet.memory_max_mib:
            raise bad(f"MemorySize is {self.fleet.memory_max_mib} MB at most in this region.")
        _check_env(_variables(req))

    def _check_role(self, call: Call, role_arn: str, label: str) -> None:
        try:
            self.roles.assume_for_service(call.account, role_arn, SERVICE, label)
        except ServiceError as error:
            raise bad(error.message) from error

    def _zip(self, call: Call, code: Mapping[str, Any]) -> bytes:
        """Read as the caller, and looked at."""
        data = code.get("ZipFile")
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if (data is None) == (not bucket or not key):
            raise bad("Please provide a source for function code: ZipFile, or S3Bucket and S3Key.")
        if data is None:
            data = self._object(call, str(bucket), str(key))
        packages.check(data)
        return bytes(data)

    def _object(self, call: Call, bucket: str, key: str) -> bytes:
        arn = arns.s3(call.region, bucket, key)
        said = f"Error occurred while GetObject of {arn}."
        if not self.permits.permits(call.principal, "s3:GetObject", arn, {}):
            raise ServiceError("AccessDeniedException", said, status=403)
        try:
            info, chunks = self.objects.open(call.principal, bucket, key)
        except ServiceError as error:
            raise bad(f"{said} {error.message}") from error
        if info.size > packages.ZIP_MAX:
            raise bad(f"{arn} has {info.size} bytes; {packages.ZIP_MAX} is the most.")
        return b"".join(chunks)

    # What is answered -----------------------------------------------------------------------------
    def _forget(self, changed: Function) -> None:
        """No process of what it was is asked again."""

        def mine(order: Order) -> bool:
            key = order.key
            return isinstance(key, tuple) and key[:3] == (changed.account, changed.label,
                                                          changed.name)  # fmt: skip

        self.fleet.forget(mine)

    def _configuration(self, one: Function) -> Params:
        env = self.shelf.env(one)
        at = moment(one.updated_ms).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
        return {
            **one.asked,
            "FunctionName": one.name,
            "FunctionArn": one.arn,
            "CodeSize": one.code_size,
            "CodeSha256": one.code_sha256,
            "LastModified": at,
            "Version": LATEST,
            "RevisionId": one.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [MACHINE] if MACHINE else [],
            "TracingConfig": {"Mode": "PassThrough"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": group_of(one.name)},
            **({"Environment": {"Variables": env}} if env else {}),
        }


def _check_machine(call: Call, req: Params) -> None:
    """A function runs on this machine, as it is."""
    wanted = req.get("Architectures")
    if wanted is not None and wanted != [MACHINE]:
        named = ",".join(wanted)
        raise unsupported(call.operation, f"Architectures={named}, which is not {MACHINE},")


def group_of(name: str) -> str:
    """Where its log goes."""
    return f"/aws/lambda/{name}"


def _defaults(req: Params) -> Params:
    given = {name: req[name] for name in _KEPT if name in req}
    return {"Description": "", "Timeout": TIMEOUT_S, "MemorySize": MEMORY_MIB, **given}


def _variables(req: Mapping[str, Any]) -> dict[str, str]:
    return dict((req.get("Environment") or {}).get("Variables") or {})


def _check_env(env: Mapping[str, str]) -> None:
    if reserved := sorted(name for name in env if _RESERVED.match(name)):
        raise bad(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    if any("\0" in name + value for name, value in env.items()):
        raise bad("An environment variable has a NUL.")
    if sum(len(name.encode()) + len(value.encode()) for name, value in env.items()) > ENV_MAX:
        raise bad(f"The environment variables have more than {ENV_MAX} bytes.")


def _check_publish(call: Call, req: Params) -> None:
    if req.get("Publish"):
        raise unsupported(call.operation, "Publish=true")


def _check_room(c: Connection, new: Function) -> None:
    if records.stored_bytes(c, new.account, new.label) + new.code_size > STORED_MAX:
        raise ServiceError("CodeStorageExceededException", "Code storage limit exceeded.")


def _digest(data: bytes) -> str:
    return base64.b64encode(sha256(data).digest()).decode()
