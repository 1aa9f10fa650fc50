"""What makes a job a training job: staging in, the contract inside, artifacts out."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bastide.db import derivation_records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.jobs import folders, outputs
from bastide.jobs.model import Exit, Job, Launch
from bastide.jobs.ports import Beside, JobFailed, Logs
from bastide.kernel.clock import epoch_ms, moment
from bastide.kernel.labels.label import Label, joined
from bastide.kernel.regions import Region
from bastide.training import contract, lineage, records
from bastide.training.channels import Staging
from bastide.training.checkpoints import Checkpoints, Kept
from bastide.training.instances import GIB
from bastide.training.ports import Environments, MetricLog, Objects, Permits, Roles, Scanner
from bastide.training.transfer import Transfer, arn_of, local_name, split_uri

Params = Mapping[str, Any]
KIND = "training"
SERVICE = "sagemaker.amazonaws.com"
GROUP = "/aws/sagemaker/TrainingJobs"
FAILURE_CHARS_MAX = 1024
CHECKPOINTS = "/opt/ml/checkpoints"
OOM = (
    "ClientError: The job used more memory than the instance type has. Use an instance type with "
    "more memory, or reduce the size of the training data."
)
FULL = "ClientError: The job wrote more than VolumeSizeInGB. Use a larger volume."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingKind:
    region: Region
    database: Database
    roles: Roles
    permits: Permits
    objects: Objects
    environments: Environments
    logs: Logs
    metrics: MetricLog
    scanner: Scanner
    checkpoints: Checkpoints = field(default_factory=Checkpoints)

    def prepare(self, job: Job, folder: Path) -> Sequence[Launch]:
        request, home = _request(job), folder / contract.HOST
        folders.remove(home)  # what an interrupted try left
        contract.make_folders(home)
        contract.write_config(home, request)
        self._stage(job, home)
        algorithm = request["AlgorithmSpecification"]
        runtime = self.environments.for_image(algorithm["TrainingImage"])
        launch = Launch(
            argv=contract.argv_of(request, runtime),
            env=contract.environ_of(request, _arn(job), self.region.name, runtime),
            home=home,
            cwd=runtime.workdir,
            root=runtime.rootfs,
            binds=runtime.binds,
            hostname=contract.HOST,
        )
        return [launch]

    def _stage(self, job: Job, home: Path) -> None:
        request, transfer = _request(job), self._transfer(job)
        room = request["ResourceConfig"]["VolumeSizeInGB"] * GIB
        staging = Staging(transfer=transfer, data=home / "input/data", room=room)
        room -= staging.stage(request.get("InputDataConfig") or [])
        read = dict(staging.read)
        if uri := contract.source_uri(request):
            target = home / Path(contract.SOURCE).relative_to("/opt/ml")
            transfer.read_at.clear()
            room -= transfer.download(*split_uri(uri), target, room)
            read |= _read(uri, transfer)
        if saved := request.get("CheckpointConfig"):
            transfer.read_at.clear()
            _restore(transfer, saved, home, room)
            read |= _read(saved["S3Uri"], transfer)
        sources = lineage.inputs(self.region, request, read)
        self._derived(job, Thing(_arn(job), _marking(job)), sources)

    def collect(self, job: Job, folder: Path) -> None:
        request, home = _request(job), folder / contract.HOST
        self._keep_failure(job, home)
        transfer, output = self._transfer(job), request["OutputDataConfig"]
        if kept := _kept(job, home):
            self.checkpoints.finish(kept, transfer)
        room = request["ResourceConfig"]["VolumeSizeInGB"] * GIB
        for name, where in (("output", "output/data"), ("model", "model")):
            inside = real_folder(home, where)
            if inside is None or outputs.is_empty(inside):
                continue
            taken = Taken(inside, f"{output_uri(request)}/{name}", folder / f"{name}.tar.gz", room)
            try:
                uri = _take_home(transfer, output, taken)
            except JobFailed as error:
                raise JobFailed(f"ClientError: Artifact upload failed: {error}") from error
            self._keep_output(job, uri, is_model=name == "model")

    def keep_checkpoints(self, job: Job, folder: Path) -> None:
        """What there is of them while the job runs. Raises JobFailed."""
        if kept := _kept(job, folder / contract.HOST):
            self.checkpoints.send(kept, self._transfer(job))

    def logged(
        self, job: Job, replica: int, lines: Sequence[tuple[int, str]], beside: Beside
    ) -> None:
        name = _name(job)
        stream = f"{name}/algo-{replica + 1}-{epoch_ms(job.created) // 1000}"
        measured = self._measured(job, lines)
        last = {metric: (value, at_ms) for metric, value, at_ms in measured}

        def keep(connection: Connection) -> None:
            for metric, (value, at_ms) in last.items():
                records.put_metric(connection, job.spec.id, metric, value, at_ms)
            beside(connection)

        self.logs.put(job.spec.account, _marking(job), GROUP, stream, lines, keep)
        for metric, value, at_ms in measured:
            self._publish(job, metric, value, at_ms)

    def failure_reason(self, job: Job, exits: Sequence[Exit]) -> str:
        bad = next((each for each in exits if each.code != 0), exits[0] if exits else None)
        if bad is None:
            return ""
        if bad.cause == "memory":
            return OOM
        if bad.cause == "disk":
            return FULL
        said = self.database.read(lambda c: records.failure_of(c, job.spec.id))
        if not said or said.rstrip().endswith('ErrorMessage ""'):  # the toolkit's is empty
            said = f'ExecuteUserScriptError: ExitCode {bad.code} ErrorMessage "{_tail(bad)}"'
        return f"AlgorithmError: {said}, exit code: {bad.code}"

    def probe(self, job: Job, replica: int, socket: Path) -> bool:
        return True  # asked of services only

    def _transfer(self, job: Job) -> Transfer:
        role = _request(job)["RoleArn"]
        principal = self.roles.assume_for_service(job.spec.account, role, SERVICE, _marking(job))
        return Transfer(
            region=self.region, principal=principal, objects=self.objects, permits=self.permits
        )

    def _measured(self, job: Job, lines: Sequence[tuple[int, str]]) -> list[tuple[str, float, int]]:
        """Metric, value and epoch milliseconds, as the job's definitions find them."""
        definitions = _request(job)["AlgorithmSpecification"].get("MetricDefinitions") or []
        if not definitions:
            return []
        patterns = [each["Regex"] for each in definitions]
        found = self.scanner.scan(job.spec.account, patterns, [text for _, text in lines])
        numbers = [(line, index, _number(text)) for line, index, text in found]
        return [
            (definitions[index]["Name"], value, lines[line][0])
            for line, index, value in numbers
            if value is not None
        ]

    def _publish(self, job: Job, name: str, value: float, at_ms: int) -> None:
        at = moment(at_ms)
        for host in ({}, {"Host": contract.HOST}):
            dimensions = {"TrainingJobName": _name(job), **host}
            self.metrics.put(job.spec.account, _marking(job), GROUP, name, dimensions, value, at)

    def _keep_failure(self, job: Job, home: Path) -> None:
        with contextlib.suppress(JobFailed, OSError):
            with outputs.open_file(home, "output/failure") as file:
                said = file.read(4 * FAILURE_CHARS_MAX).decode(errors="replace")
            said = said.replace("\0", "")[:FAILURE_CHARS_MAX].strip()
            self.database.write(lambda c: records.set_failure(c, job.spec.id, said))

    def _keep_output(self, job: Job, uri: str, *, is_model: bool) -> None:
        made = Thing(arn_of(self.region, uri), _marking(job))

        def keep(connection: Connection) -> None:
            job_itself = Thing(_arn(job), _marking(job))
            derivation_records.put(connection, job.spec.account, made, [job_itself])
            if is_model:
                records.set_artifact(connection, job.spec.id, uri)

        self.database.write(keep)

    def _derived(self, job: Job, made: Thing, sources: Sequence[Thing]) -> None:
        account = job.spec.account
        self.database.write(lambda c: derivation_records.put(c, account, made, sources))


def checkpoint_folder(saved: Params) -> str:
    """Below the job's home."""
    path = saved.get("LocalPath") or CHECKPOINTS
    return str(local_name(path.rstrip("/").removeprefix("/opt/ml/"), path))


def output_uri(request: Params) -> str:
    base = request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return f"{base}/{request['TrainingJobName']}/output"


def artifact_uri(request: Params) -> str:
    """Where the model goes: an archive, or a prefix."""
    packed = request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
    return f"{output_uri(request)}/model.tar.gz" if packed else f"{output_uri(request)}/model/"


def real_folder(home: Path, name: str) -> Path | None:
    """A folder of the job, unless the job put a link in its place or above it: what a link names
    is a path of the host's, and not the job's to give away."""
    path = home
    for part in Path(name).parts:
        path = path / part
        if path.is_symlink() or not path.is_dir():
            return None
    return path


@dataclass(frozen=True, slots=True)
class Taken:
    """A folder to take home, where to, and the most that it may hold. `scratch` lies outside of
    what the job could write to."""

    inside: Path
    uri: str
    scratch: Path
    size_max: int


def _take_home(transfer: Transfer, output: Params, taken: Taken) -> str:
    if output.get("CompressionType", "GZIP") == "GZIP":
        uri = f"{taken.uri}.tar.gz"
        transfer.upload_archive(taken.inside, uri, taken.scratch, taken.size_max)
        return uri
    transfer.upload_tree(taken.inside, *split_uri(taken.uri), taken.size_max)
    return f"{taken.uri}/"


def _kept(job: Job, home: Path) -> Kept | None:
    """None where the job asks for no checkpoints, or has put a link in their place."""
    request = _request(job)
    saved = request.get("CheckpointConfig")
    below = checkpoint_folder(saved) if saved else ""
    if not saved or real_folder(home, below) is None:
        return None
    room = request["ResourceConfig"]["VolumeSizeInGB"] * GIB
    return Kept(job_id=job.spec.id, home=home, below=below, uri=saved["S3Uri"], room=room)


def _restore(transfer: Transfer, saved: Params, home: Path, room: int) -> None:
    bucket, prefix = split_uri(saved["S3Uri"])
    folder = home / checkpoint_folder(saved)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    for key in transfer.listing(bucket, prefix):
        name = key[len(prefix) :]
        if name and not name.endswith("/"):
            path = folder / local_name(name, f"s3://{bucket}/{key}")
            room -= transfer.download(bucket, key, path, room)


def _read(uri: str, transfer: Transfer) -> dict[str, Label]:
    """The label of what was read there, if anything was."""
    label = joined(transfer.read_at)
    return {uri: label} if label else {}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _tail(bad: Exit) -> str:
    return bad.stderr_tail.replace("\0", "").strip()[-FAILURE_CHARS_MAX + 200 :]


def _request(job: Job) -> Params:
    request = job.spec.payload["request"]
    assert isinstance(request, Mapping)
    return request


def _arn(job: Job) -> str:
    return str(job.spec.payload["arn"])


def _marking(job: Job) -> str:
    return str(job.spec.payload["label"])


def _name(job: Job) -> str:
    return str(_request(job)["TrainingJobName"])
