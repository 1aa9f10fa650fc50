"""bedrock: whether, and where, the invocations of an agency's models are logged.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
"""

from dataclasses import dataclass
from typing import Any

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation
from bastide.models import logging_records as records
from bastide.models.invocation_delivery import SERVICE, InvocationLogs
from bastide.models.logging_records import Configuration
from bastide.models.ports import Roles

Params = dict[str, Any]
_CONFIG = "loggingConfig"
_S3 = ("bucketName", "keyPrefix")
_NOTHING = "there are no images, videos or sounds in what is asked or answered here"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationLogging:
    database: Database
    marks: Marks
    clock: Clock
    roles: Roles
    logs: InvocationLogs

    @operation(
        *(f"{_CONFIG}.s3Config.{name}" for name in _S3),
        f"{_CONFIG}.cloudWatchConfig.logGroupName",
        f"{_CONFIG}.cloudWatchConfig.roleArn",
        *(f"{_CONFIG}.cloudWatchConfig.largeDataDeliveryS3Config.{name}" for name in _S3),
        f"{_CONFIG}.textDataDeliveryEnabled",
        f"{_CONFIG}.embeddingDataDeliveryEnabled",
        accepted={
            f"{_CONFIG}.{kind}DataDeliveryEnabled": _NOTHING for kind in ("image", "video", "audio")
        },
    )
    def put_model_invocation_logging_configuration(self, call: Call, req: Params) -> Params:
        """In place of what sessions of the same label said before."""
        config = req[_CONFIG]
        if not {"s3Config", "cloudWatchConfig"} & config.keys():
            raise invalid("loggingConfig names no place to log to.")
        if "cloudWatchConfig" in config:
            role = config["cloudWatchConfig"]["roleArn"]
            self.roles.check_pass(call, role, SERVICE, "")
        label = self.marks.own(call.principal)
        self.logs.check(call.account, label, config)
        one = Configuration(
            account=call.account,
            label=label,
            updated_ms=epoch_ms(self.clock.now()),
            config=config,
        )
        self.database.write(lambda c: records.put(c, one))
        self.logs.refresh()
        return {}

    @operation()
    def get_model_invocation_logging_configuration(self, call: Call, req: Params) -> Params:
        """The one that holds for this session's calls."""
        found = self.logs.configuration(call.account, self.marks.own(call.principal))
        if found is None:
            return {}
        call.notes.label = found.label
        return {_CONFIG: dict(found.config)}

    @operation()
    def delete_model_invocation_logging_configuration(self, call: Call, req: Params) -> Params:
        label = self.marks.own(call.principal)
        self.database.write(lambda c: records.drop(c, call.account, label))
        self.logs.refresh()
        return {}
