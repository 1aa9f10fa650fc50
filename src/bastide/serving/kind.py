"""What makes a service job an endpoint's variant: the model unpacked, a server, a health check."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.jobs import folders, outputs, ping
from bastide.jobs.model import Exit, Job, Launch
from bastide.jobs.ports import Beside, JobFailed, Logs
from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region
from bastide.serving.ports import Environments, Objects, Permits, Roles, Runtime

KIND = "endpoint"
SERVICE = "sagemaker.amazonaws.com"
PORT = 8080
UNPACKED_MAX = 64 * 1024**3
TAIL_CHARS = 600
SUBMIT = "SAGEMAKER_SUBMIT_DIRECTORY"
CODE = "/opt/ml/code"
DIGEST = ".sha256"
_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKind:
    region: Region
    roles: Roles
    permits: Permits
    objects: Objects
    environments: Environments
    logs: Logs
    script: Path  # serve_script.py

    def prepare(self, job: Job, folder: Path) -> Sequence[Launch]:
        container = _container(job)
        runtime = self.environments.for_image(container["Image"])
        role = str(job.spec.payload["role"])
        principal = self.roles.assume_for_service(
            job.spec.account, role, SERVICE, str(job.spec.payload["label"])
        )
        return [
            self._replica(job, folder / f"algo-{index + 1}", principal, runtime)
            for index in range(job.spec.replicas)
        ]

    def _replica(self, job: Job, home: Path, principal: Principal, runtime: Runtime) -> Launch:
        folders.remove(home)  # what an interrupted try left
        container = _container(job)
        (home / "model").mkdir(parents=True)
        if container.get("ModelDataUrl"):
            digest = self._unpack(principal, container["ModelDataUrl"], home / "model")
            home.with_suffix(DIGEST).write_text(digest)  # beside what the container may write to
        env = dict(container.get("Environment") or {})
        if env.get(SUBMIT, "").startswith("s3://"):
            self._unpack(principal, env[SUBMIT], home / "code")
            env[SUBMIT] = CODE
        elif SUBMIT not in env and (home / "model/code").is_dir():
            env[SUBMIT] = "/opt/ml/model/code"
        own = {
            "AWS_REGION": self.region.name,
            "AWS_DEFAULT_REGION": self.region.name,
            "SM_MODEL_DIR": "/opt/ml/model",
            "SAGEMAKER_BIND_TO_PORT": str(PORT),
        }
        if runtime.python is None:
            argv: tuple[str, ...] = (*runtime.entrypoint, "serve")
        else:
            (home / "server").mkdir()
            shutil.copyfile(self.script, home / "server" / self.script.name)
            argv = (runtime.python, f"/opt/ml/server/{self.script.name}")
        return Launch(
            argv=argv,
            env={**runtime.env, **own, **env},
            home=home,
            cwd=runtime.workdir,
            root=runtime.rootfs,
            binds=runtime.binds,
            hostname=home.name,
            serves=True,
            port=PORT if runtime.python is None else None,
        )

    def _unpack(self, principal: Principal, uri: str, target: Path) -> str:
        """Answers the sha256 of what was unpacked."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise JobFailed(f"{uri[:300]} is not an S3 URI.")
        bucket, key = match[1], match[2]
        arn = arns.s3(self.region, bucket, key)
        if not self.permits.permits(principal, "s3:GetObject", arn, {}):
            raise JobFailed(
                f"Could not access model data at {uri[:300]}. Please ensure that the role "
                f'"{principal.issuer_arn}" exists and that its permissions allow "s3:GetObject".'
            )
        packed = target.with_suffix(".tar.gz")
        try:
            info, chunks = self.objects.open(principal, bucket, key)
            digest = _save(chunks, packed)
            with packed.open("rb") as file:
                outputs.unpack(
                    file, target, size_max=UNPACKED_MAX, compressed_size=max(info.size, 1)
                )
        except ServiceError as error:
            raise JobFailed(f"{error.code} for {uri[:300]}: {error.message}") from error
        except JobFailed as error:
            raise JobFailed(f"{uri[:300]}: {error}") from error
        finally:
            packed.unlink(missing_ok=True)
        return digest

    def collect(self, job: Job, folder: Path) -> None:
        """An endpoint leaves nothing behind."""

    def logged(
        self, job: Job, replica: int, lines: Sequence[tuple[int, str]], beside: Beside
    ) -> None:
        payload = job.spec.payload
        stream = stream_name(str(payload["variant"]), job.spec.id, replica)
        group, marking = group_name(str(payload["endpoint"])), str(payload["label"])
        self.logs.put(job.spec.account, marking, group, stream, lines, beside)

    def failure_reason(self, job: Job, exits: Sequence[Exit]) -> str:
        payload = job.spec.payload
        reason = (
            f"The primary container for production variant {payload['variant']} did not pass the "
            "ping health check. Please check CloudWatch logs for this endpoint: "
            f"{group_name(str(payload['endpoint']))}."
        )
        for each in exits:
            if each.cause == "memory":
                return f"{reason} It used more memory than the instance type has."
            if tail := each.stderr_tail.strip():
                return f"{reason} It ended with exit code {each.code}: {tail[-TAIL_CHARS:]}"
        return reason

    def probe(self, job: Job, replica: int, socket: Path) -> bool:
        return ping.answers(socket)


def group_name(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def stream_name(variant: str, job_id: str, replica: int) -> str:
    """`AllTraffic/i-0123456789abcdef0`: the same for as long as the deployment lasts."""
    name = hashlib.sha256(f"{job_id}/{replica}".encode()).hexdigest()[:17]
    return f"{variant}/i-{name}"


def _container(job: Job) -> Mapping[str, Any]:
    container = job.spec.payload["container"]
    assert isinstance(container, Mapping)
    return container


def model_digest(folder: Path) -> str:
    """What a job's replicas were started from. `folder`: as `prepare` filled it."""
    found = {path.read_text() for path in folder.glob(f"*{DIGEST}")}
    if not found:
        return "absent: the container brings its own model"
    if len(found) > 1:
        return "absent: the model data changed while the replicas were started"
    return f"sha256:{found.pop()}"


def _save(chunks: Iterator[bytes], target: Path) -> str:
    """Answers the sha256 of what was saved."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
