"""How a job's life reads in SageMaker's words: statuses, transitions, times."""

import math
from collections.abc import Sequence
from typing import Any

from bastide.jobs.model import FINISHED, Job, Status, StopCause, Transition

Params = dict[str, Any]
_SECONDARY = {
    Status.PENDING: ("Starting", "Starting the training job"),
    Status.STAGING: ("Downloading", "Downloading input data"),
    Status.RUNNING: ("Training", "Training image download completed. Training in progress."),
    Status.READY: ("Training", "Training in progress."),
    Status.STOPPING: ("Stopping", "Stopping the training job"),
    Status.COLLECTING: ("Uploading", "Uploading generated training model"),
    Status.COMPLETED: ("Completed", "Training job completed"),
    Status.FAILED: ("Failed", "Training job failed"),
    Status.STOPPED: ("Stopped", "Training job stopped"),
}
MAX_RUNTIME = ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds")


def status_of(job: Job) -> str:
    if job.status in FINISHED:
        return str(job.status)
    return "Stopping" if job.stop_cause else "InProgress"


def secondary_of(job: Job) -> str:
    return _words(job, job.status)[0]


def described(job: Job, history: Sequence[Transition]) -> Params:
    """The members of DescribeTrainingJob that tell how far it is."""
    answer: Params = {
        "TrainingJobStatus": status_of(job),
        "SecondaryStatus": secondary_of(job),
        "LastModifiedTime": job.changed,
        "SecondaryStatusTransitions": _transitions(job, history),
    }
    if job.failure:
        answer["FailureReason"] = job.failure[:1024]
    if job.started is not None:
        answer["TrainingStartTime"] = job.started
    if job.ended is not None:
        answer["TrainingEndTime"] = job.ended
    if job.started is not None and job.ended is not None:
        seconds = max(1, math.ceil((job.ended - job.started).total_seconds()))  # the model's least
        answer |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
    return answer


def _words(job: Job, status: Status) -> tuple[str, str]:
    if status is Status.STOPPED and job.stop_cause is StopCause.MAX_RUNTIME:
        return MAX_RUNTIME
    return _SECONDARY[status]


def _transitions(job: Job, history: Sequence[Transition]) -> list[Params]:
    """Never empty, for clients read the last one. Steps with the same words are one."""
    steps: list[Params] = []
    for each in history or [
        Transition(job_id=job.spec.id, rev=job.rev, status=job.status, at=job.changed)
    ]:
        word, message = _words(job, each.status)
        if steps and steps[-1]["Status"] == word:
            continue
        if steps:
            steps[-1]["EndTime"] = each.at
        steps.append({"Status": word, "StartTime": each.at, "StatusMessage": message})
    if job.ended is not None and steps:
        steps[-1]["EndTime"] = job.ended
    return steps
