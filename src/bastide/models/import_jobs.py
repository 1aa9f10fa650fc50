"""bedrock: the jobs by which an agency brings a model in.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelImportJob.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.labels.view import View
from bastide.kernel.operation import operation
from bastide.models import import_records as records
from bastide.models.import_records import ImportJob, Status
from bastide.models.imported_models import JOB_KIND, ImportShelf
from bastide.models.kept import Kept
from bastide.models.listing import LISTED, page, wanted_of
from bastide.models.ports import SERVICE, Roles
from bastide.models.tags import checked

Params = dict[str, Any]
ID_LETTERS = 12
LICENCE_TAG = "bastide:licence"  # of a job: what its files do not say themselves
GOING_MAX, JOBS_KEPT, MODELS_MAX = 10, 200, 100  # of one agency at one label


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJobShelf(Kept[ImportJob]):
    """Finds jobs. `models`: where what they bring will be."""

    models: ImportShelf
    kind: ClassVar[str] = JOB_KIND
    missing: ClassVar[str] = "The import job could not be found."

    def read(
        self, c: Connection, account: str, named: str, view: View, *, by_id: bool
    ) -> ImportJob | None:
        return records.find_job(c, account, named, view, by_id=by_id)

    def write_tags(self, c: Connection, one: ImportJob, tags: Mapping[str, str]) -> None:
        records.set_tags(c, records.jobs, one.account, one.id, tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJobs:
    """`poke` tells whoever does the work that there is some."""

    jobs: ImportJobShelf
    clock: Clock
    ids: Ids
    roles: Roles
    poke: Callable[[], None]

    @operation(
        "jobName",
        "importedModelName",
        "roleArn",
        "modelDataSource.s3DataSource.s3Uri",
        "jobTags",
        "importedModelTags",
        "clientRequestToken",
    )
    def create_model_import_job(self, call: Call, req: Params) -> Params:
        new = self._new(call, req)
        arn = self.jobs.arn(new.account, new.id)
        self.roles.check_pass(call, new.role_arn, SERVICE, arn)
        self.roles.assume_for_service(call.account, new.role_arn, SERVICE, new.label)
        made = self.jobs.database.write(lambda c: _added(c, new))
        self.poke()
        call.notes.label = made.label
        return {"jobArn": self.jobs.arn(made.account, made.id)}

    @operation("jobIdentifier")
    def get_model_import_job(self, call: Call, req: Params) -> Params:
        one = self.jobs.found(call, req["jobIdentifier"])
        call.notes.label = one.label
        failed: Params = {"failureMessage": one.failure} if one.failure else {}
        return {
            **self._summary(one),
            **failed,
            "roleArn": one.role_arn,
            "modelDataSource": {"s3DataSource": {"s3Uri": one.source}},
        }

    @operation(*LISTED, "statusEquals")
    def list_model_import_jobs(self, call: Call, req: Params) -> Params:
        shelf, wanted = self.jobs, wanted_of(req)
        view = shelf.marks.view(call.principal)
        rows = shelf.database.read(lambda c: records.list_jobs(c, call.account, view, wanted))
        shown, more = page(rows, wanted)
        return {"modelImportJobSummaries": [self._summary(one) for one in shown], **more}

    def _new(self, call: Call, req: Params) -> ImportJob:
        source = (req["modelDataSource"].get("s3DataSource") or {}).get("s3Uri")
        if not source:
            raise invalid("modelDataSource must say an s3DataSource.")
        tags, model_tags = (
            checked(req.get("jobTags") or []),
            checked(req.get("importedModelTags") or []),
        )
        marks, now_ms = self.jobs.marks, epoch_ms(self.clock.now())
        label = marks.of_new(call, tags, "A model import job")
        marks.check_tags(call, model_tags, label)
        return ImportJob(
            id=self.ids.word(ID_LETTERS, ALNUM),
            account=call.account,
            label=label,
            name=req["jobName"],
            model=self.ids.word(ID_LETTERS, ALNUM),
            model_name=req["importedModelName"],
            role_arn=req["roleArn"],
            source=source,
            created_ms=now_ms,
            updated_ms=now_ms,
            licence=tags.get(LICENCE_TAG, ""),
            token=req.get("clientRequestToken") or "",
            tags=tags,
            model_tags=model_tags,
        )

    def _summary(self, one: ImportJob) -> Params:
        found: Params = {
            "jobArn": self.jobs.arn(one.account, one.id),
            "jobName": one.name,
            "status": str(one.status),
            "creationTime": moment(one.created_ms),
            "lastModifiedTime": moment(one.updated_ms),
            "importedModelName": one.model_name,
        }
        if one.ended_ms is not None:
            found["endTime"] = moment(one.ended_ms)
        if one.status is Status.COMPLETED:
            found["importedModelArn"] = self.jobs.models.arn(one.account, one.model)
        return found


def _added(c: Connection, new: ImportJob) -> ImportJob:
    """The same request twice makes one."""
    token = new.token
    before = records.job_of_token(c, new.account, new.label, token) if token else None
    if before is not None:
        if _asked(before) != _asked(new):
            message = "The client request token was used for another import job."
            raise ServiceError("ConflictException", message)
        return before
    going = records.count_jobs(c, new.account, new.label, unfinished=True)
    if going >= GOING_MAX:
        message = f"An account has at most {GOING_MAX} import jobs in progress."
        raise ServiceError("ServiceQuotaExceededException", message)
    if records.count_models(c, new.account, new.label) + going >= MODELS_MAX:
        message = f"An account has at most {MODELS_MAX} imported models."
        raise ServiceError("ServiceQuotaExceededException", message)
    records.forget_jobs(c, new.account, new.label, JOBS_KEPT)
    if not records.add_job(c, new):
        message = f"An import job {new.name}, or a model {new.model_name}, already exists."
        raise ServiceError("ConflictException", message)
    return new


def _asked(job: ImportJob) -> tuple[object, ...]:
    return job.name, job.model_name, job.role_arn, job.source, job.tags, job.model_tags
