"""Training jobs.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bastide.db import derivation_records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.db.marks import Marks
from bastide.db.named import Listing
from bastide.jobs.model import FINISHED, Job, JobSpec, Limits
from bastide.jobs.ports import JobFailed, Jobs
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.logs import tokens
from bastide.training import channels, lineage, progress, records
from bastide.training.instances import GIB, Machine, Size, size_of
from bastide.training.kind import KIND, SERVICE, artifact_uri, checkpoint_folder
from bastide.training.ports import Environments, Roles
from bastide.training.records import TrainingRow
from bastide.training.tags import TagStore, checked_tags
from bastide.training.transfer import split_uri

Params = dict[str, Any]
PAGE_DEFAULT = 10
RUNTIME_DEFAULT_S = 86_400
RESERVED = ("input", "model", "output", "code")
_DEBUG = "no debugger runs here and no collections are asked for, so there is nothing to save"
_PROFILE = "it says where profiles would go; no profiler runs, as with DisableProfiler"
_ORDER = {"Name": "name", "CreationTime": "created_ms", "Status": "status"}
_ECHOED = (
    "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig",
    "ResourceConfig", "StoppingCondition", "CheckpointConfig", "Environment", "DebugHookConfig",
    "ProfilerConfig", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJobs:
    database: Database
    clock: Clock
    jobs: Jobs
    roles: Roles
    environments: Environments
    marks: Marks
    tags: TagStore = field(default_factory=TagStore)
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        self.jobs.watch(KIND, self._changed)

    @operation(
        "TrainingJobName", "HyperParameters", "AlgorithmSpecification.TrainingImage",
        "AlgorithmSpecification.TrainingInputMode", "AlgorithmSpecification.MetricDefinitions",
        "AlgorithmSpecification.ContainerEntrypoint", "AlgorithmSpecification.ContainerArguments",
        "RoleArn", "InputDataConfig.ChannelName", "InputDataConfig.ContentType",
        "InputDataConfig.CompressionType", "InputDataConfig.RecordWrapperType",
        "InputDataConfig.InputMode", "InputDataConfig.DataSource.S3DataSource.S3DataType",
        "InputDataConfig.DataSource.S3DataSource.S3Uri",
        "InputDataConfig.DataSource.S3DataSource.S3DataDistributionType",
        "OutputDataConfig.S3OutputPath", "OutputDataConfig.CompressionType",
        "ResourceConfig.InstanceType", "ResourceConfig.InstanceCount",
        "ResourceConfig.VolumeSizeInGB", "StoppingCondition.MaxRuntimeInSeconds", "Tags",
        "CheckpointConfig", "Environment", "DebugHookConfig.CollectionConfigurations",
        "EnableNetworkIsolation",
        accepted={
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries":
                "every value of every metric is kept in CloudWatch, whether asked for or not",
            "EnableInterContainerTrafficEncryption":
                "a job has one container, whose network ends at its own loopback",
            "DebugHookConfig.S3OutputPath": _DEBUG,
            "DebugHookConfig.LocalPath": _DEBUG,
            "DebugHookConfig.HookParameters": _DEBUG,
            "ProfilerConfig.S3OutputPath": _PROFILE,
            "ProfilerConfig.DisableProfiler": _PROFILE,
            "ProfilerConfig.ProfilingIntervalInMilliseconds": _PROFILE,
        },
    )  # fmt: skip
    def create_training_job(self, call: Call, req: Params) -> Params:
        _check(call, req)
        self.environments.for_image(req["AlgorithmSpecification"]["TrainingImage"])
        size = self.machine.fit(size_of(req["ResourceConfig"]["InstanceType"]))
        checked = checked_tags(req.get("Tags") or [])
        name = req["TrainingJobName"]
        arn = arns.regional(call.region, "sagemaker", call.account, f"training-job/{name.lower()}")
        self.roles.check_pass(call, req["RoleArn"], SERVICE, arn)
        label = self.marks.of_new(call, checked, "A training job")
        self.roles.assume_for_service(call.account, req["RoleArn"], SERVICE, label)
        now = epoch_ms(self.clock.now())
        row = TrainingRow(
            account=call.account,
            name=name,
            label=label,
            arn=arn,
            job_id=job_id(call.account, name, label),
            status="InProgress",
            created_ms=now,
            changed_ms=now,
            request={key: value for key, value in req.items() if key != "Tags"},
        )
        self._make(call, row, _limits(req, size), checked)
        return {"TrainingJobArn": arn}

    def _make(self, call: Call, row: TrainingRow, limits: Limits, tags: Mapping[str, str]) -> None:
        """The row, its tags and the job, or none of them."""
        request = json.loads(json.dumps(row.request))
        spec = JobSpec(
            id=row.job_id,
            kind=KIND,
            account=row.account,
            limits=limits,
            payload={"request": request, "arn": row.arn, "label": row.label},
        )
        made = Thing(row.arn, row.label)

        def beside(connection: Connection) -> None:
            if not records.add(connection, row):
                raise ServiceError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a "
                    f"training job with this name already exists ({row.arn})",
                )
            self.tags.put(connection, row.account, row.arn, row.label, tags)
            sources = lineage.inputs(call.region, row.request)
            derivation_records.put(connection, row.account, made, sources)
            for saved in lineage.checkpoints(call.region, row.request, row.label):
                derivation_records.put(connection, row.account, saved, [made])

        self.jobs.submit(spec, beside)

    @operation("TrainingJobName")
    def describe_training_job(self, call: Call, req: Params) -> Params:
        row, job = self._found(call, req["TrainingJobName"])
        request = row.request
        answer: Params = {
            "TrainingJobName": row.name,
            "TrainingJobArn": row.arn,
            "ModelArtifacts": {"S3ModelArtifacts": row.artifact or artifact_uri(request)},
            "CreationTime": job.created,
            "EnableManagedSpotTraining": False,
            "ProfilingStatus": "Disabled",
            **{key: request[key] for key in _ECHOED if key in request},
            # Empty, as AWS says it where no key was named: the SDK's attach() asks for it.
            "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
            **progress.described(job, self.jobs.history(job.spec.id)),
        }
        call.notes.label = row.label
        metrics = self.database.read(lambda c: records.metrics_of(c, row.job_id))
        if metrics:
            answer["FinalMetricDataList"] = [
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": moment(at_ms),
                }
                for name, value, at_ms in metrics
            ]
        return answer

    @operation(
        "NextToken", "MaxResults", "CreationTimeAfter", "CreationTimeBefore",
        "LastModifiedTimeAfter", "LastModifiedTimeBefore", "NameContains", "StatusEquals",
        "SortBy", "SortOrder",
    )  # fmt: skip
    def list_training_jobs(self, call: Call, req: Params) -> Params:
        order = _ORDER[req.get("SortBy") or "CreationTime"]
        kind = int if order == "created_ms" else str
        beyond = tokens.load(req.get("NextToken"), kind, str, code="ValidationException")
        limit = req.get("MaxResults") or PAGE_DEFAULT
        listing = Listing(
            order=order,
            descending=(req.get("SortOrder") or "Descending") == "Descending",
            limit=limit + 1,
            beyond=tuple(beyond) if beyond else None,
            status=req.get("StatusEquals"),
            name_part=req.get("NameContains"),
            bounds=_bounds(req),
        )
        view = self.marks.view(call.principal)
        page = self.database.read(lambda c: records.listed(c, call.account, listing, view))
        answer: Params = {"TrainingJobSummaries": [self._summary(row) for row in page[:limit]]}
        if len(page) > limit:
            last = page[limit - 1]
            answer["NextToken"] = tokens.dump(getattr(last, order), last.name)
        return answer

    @operation("TrainingJobName")
    def stop_training_job(self, call: Call, req: Params) -> Params:
        row, job = self._found(call, req["TrainingJobName"])
        self.marks.check_own(call, row.label)
        if job.status in FINISHED:
            raise ServiceError(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        self.jobs.stop(job.spec.id)
        return {}

    def _found(self, call: Call, name: str) -> tuple[TrainingRow, Job]:
        view = self.marks.view(call.principal)
        row = self.database.read(lambda c: records.find(c, call.account, name, view))
        job = self.jobs.find(row.job_id) if row else None
        if row is None or job is None:
            raise ServiceError("ValidationException", "Requested resource not found.")
        return row, job

    def _summary(self, row: TrainingRow) -> Params:
        summary: Params = {
            "TrainingJobName": row.name,
            "TrainingJobArn": row.arn,
            "CreationTime": moment(row.created_ms),
            "LastModifiedTime": moment(row.changed_ms),
            "TrainingJobStatus": row.status,
        }
        job = self.jobs.find(row.job_id)
        if job is not None:
            summary["SecondaryStatus"] = progress.secondary_of(job)
            if job.ended is not None:
                summary["TrainingEndTime"] = job.ended
        return summary

    def _changed(self, job: Job) -> None:
        """Keep what ListTrainingJobs filters by."""
        status, at = progress.status_of(job), epoch_ms(job.changed)
        self.database.write(lambda c: records.set_status(c, job.spec.id, status, at))


def job_id(account: str, name: str, label: str) -> str:
    """One of a name at each label. It becomes a folder's name and is in the region's log: the label
    is not to be read from it, and a marking may be long."""
    level = hashlib.sha256(label.encode()).hexdigest()[:16]
    return f"training/{account}/{level}/{name}"


def _limits(req: Params, size: Size) -> Limits:
    return Limits(
        memory_bytes=size.memory_bytes,
        cpus=size.cpus,
        disk_bytes=req["ResourceConfig"]["VolumeSizeInGB"] * GIB,
        wall_s=_wall_s(req),
    )


def _wall_s(req: Mapping[str, Any]) -> int:
    stopping = req.get("StoppingCondition") or {}
    return int(stopping.get("MaxRuntimeInSeconds") or RUNTIME_DEFAULT_S)


def _bounds(req: Params) -> list[tuple[str, str, int]]:
    names = {"CreationTime": "created_ms", "LastModifiedTime": "changed_ms"}
    return [
        (column, side.lower(), epoch_ms(req[word + side]))
        for word, column in names.items()
        for side in ("After", "Before")
        if req.get(word + side) is not None
    ]


def _check(call: Call, req: Params) -> None:
    """What the model of the service allows and we refuse."""
    algorithm = req.get("AlgorithmSpecification") or {}
    resources = req.get("ResourceConfig") or {}
    for key in ("TrainingImage", "TrainingInputMode"):
        if not algorithm.get(key):
            message = f"AlgorithmSpecification.{key} must be specified."
            raise ServiceError("ValidationException", message)
    for key in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if not resources.get(key):
            raise ServiceError("ValidationException", f"ResourceConfig.{key} must be specified.")
    if resources["InstanceCount"] > 1:
        raise unsupported(call.operation, "ResourceConfig.InstanceCount > 1")
    if (req.get("DebugHookConfig") or {}).get("CollectionConfigurations"):
        raise unsupported(call.operation, "DebugHookConfig.CollectionConfigurations")
    profiler = req.get("ProfilerConfig") or {}
    if profiler.get("ProfilingParameters"):
        raise unsupported(call.operation, "ProfilerConfig.ProfilingParameters")
    channels.check(call.operation, req.get("InputDataConfig") or [], algorithm["TrainingInputMode"])
    _check_paths(call, req)


def _check_paths(call: Call, req: Params) -> None:
    saved = req.get("CheckpointConfig")
    uris = [req["OutputDataConfig"]["S3OutputPath"], *([saved["S3Uri"]] if saved else [])]
    try:
        for uri in uris:
            split_uri(uri)
        if not saved:
            return
        if not saved.get("LocalPath", "/opt/ml/checkpoints").startswith("/opt/ml/"):
            raise unsupported(call.operation, "CheckpointConfig.LocalPath outside /opt/ml")
        if checkpoint_folder(saved).split("/")[0] in RESERVED:
            raise ServiceError("ValidationException", "CheckpointConfig.LocalPath is reserved.")
    except JobFailed as error:
        raise ServiceError("ValidationException", str(error)) from error
