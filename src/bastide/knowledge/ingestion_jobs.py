"""bedrock-agent: ingestion jobs, which bring a bucket's documents into a knowledge base.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_StartIngestionJob.html

A job works at the label of the session that started it, and sees what that sees. What it makes has
that label; what lies in the knowledge base at a lower one already is left as it is.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.operation import operation
from bastide.knowledge import records
from bastide.knowledge.model import ENDED, SERVICE, Job, JobStatus, Params, Statistics
from bastide.knowledge.ports import Roles
from bastide.knowledge.shelf import PAGE_DEFAULT, Shelf
from bastide.knowledge.work import Work
from bastide.logs import tokens

JOBS_KEPT = 200  # of a source and label
_STATISTICS = {
    "numberOfDocumentsScanned": "scanned",
    "numberOfMetadataDocumentsScanned": "sidecars_scanned",
    "numberOfNewDocumentsIndexed": "new",
    "numberOfModifiedDocumentsIndexed": "modified",
    "numberOfMetadataDocumentsModified": "sidecars_modified",
    "numberOfDocumentsDeleted": "deleted",
    "numberOfDocumentsFailed": "failed",
    "numberOfDocumentsSkipped": "skipped",
}
_TOKEN = {"clientToken": "a source has one job at a time: a second try is told as a conflict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionJobs:
    shelf: Shelf
    roles: Roles
    work: Work

    @operation("knowledgeBaseId", "dataSourceId", "description", accepted=_TOKEN)
    def start_ingestion_job(self, call: Call, req: Params) -> Params:
        base = self.shelf.working(call, req["knowledgeBaseId"])
        source = self.shelf.working_source(call, base, req["dataSourceId"])
        if source.kind != "S3":
            raise invalid("Documents of a CUSTOM data source are handed in, each by itself.")
        label, now_ms = self.shelf.marks.own(call.principal), self.shelf.now_ms()
        self.roles.assume_for_service(call.account, base.role_arn, SERVICE, label)
        new = Job(
            account=call.account,
            base=base.id,
            source=source.id,
            id=self.shelf.ids.word(10),
            label=label,
            status=JobStatus.STARTING,
            started_ms=now_ms,
            updated_ms=now_ms,
            description=req.get("description") or "",
        )

        def write(c: Connection) -> bool:
            records.forget_jobs(c, source, label, JOBS_KEPT)
            return records.add_job(c, new)

        if not self.shelf.database.write(write):
            raise ServiceError(
                "ConflictException", f"Another job of the data source {source.id} goes on."
            )
        self.work.poke()
        return {"ingestionJob": _shown(new)}

    @operation("knowledgeBaseId", "dataSourceId", "ingestionJobId")
    def get_ingestion_job(self, call: Call, req: Params) -> Params:
        job = self._job(call, req)
        call.notes.label = job.label
        return {"ingestionJob": _shown(job)}

    @operation("knowledgeBaseId", "dataSourceId", "filters", "sortBy", "maxResults", "nextToken")
    def list_ingestion_jobs(self, call: Call, req: Params) -> Params:
        base = self.shelf.base(call, req["knowledgeBaseId"])
        source, view = self.shelf.source(call, base, req["dataSourceId"]), self.shelf.view(call)
        rows = self.shelf.database.read(lambda c: records.list_jobs(c, source, view))
        for each in req.get("filters") or ():
            rows = [job for job in rows if job.status in each["values"]]
        sort = req.get("sortBy") or {"attribute": "STARTED_AT", "order": "DESCENDING"}
        rows.sort(
            key=lambda job: (
                job.status if sort["attribute"] == "STATUS" else "", job.started_ms, job.id
            ),
            reverse=sort["order"] == "DESCENDING",
        )  # fmt: skip
        begun = tokens.load(req.get("nextToken"), int, code="ValidationException")
        first, limit = begun[0] if begun else 0, req.get("maxResults") or PAGE_DEFAULT
        more = {"nextToken": tokens.dump(first + limit)} if len(rows) > first + limit else {}
        shown = [_summary(job) for job in rows[first : first + limit]]
        return {"ingestionJobSummaries": shown, **more}

    @operation("knowledgeBaseId", "dataSourceId", "ingestionJobId")
    def stop_ingestion_job(self, call: Call, req: Params) -> Params:
        """It ends after the document that it is at; what is done is kept."""
        job = self._job(call, req)
        self.shelf.marks.check_own(call, job.label)

        def write(c: Connection) -> Job:
            now = records.job_of(c, job)
            if now is None or now.status in ENDED:
                raise ServiceError("ConflictException", f"The job {job.id} has ended.")
            told = replace(now, status=JobStatus.STOPPING, updated_ms=self.shelf.now_ms())
            records.save_job(c, told)
            return told

        told = self.shelf.database.write(write)
        self.work.poke()
        return {"ingestionJob": _shown(told)}

    def _job(self, call: Call, req: Params) -> Job:
        base = self.shelf.base(call, req["knowledgeBaseId"])
        source = self.shelf.source(call, base, req["dataSourceId"])
        return self.shelf.job(call, source, req["ingestionJobId"])


def _shown(job: Job) -> Params:
    return {**_summary(job), **({"failureReasons": list(job.failures)} if job.failures else {})}


def _summary(job: Job) -> Params:
    return {
        "knowledgeBaseId": job.base,
        "dataSourceId": job.source,
        "ingestionJobId": job.id,
        **({"description": job.description} if job.description else {}),
        "status": str(job.status),
        "statistics": _counted(job.statistics),
        "startedAt": moment(job.started_ms),
        "updatedAt": moment(job.updated_ms),
    }


def _counted(statistics: Statistics) -> dict[str, int]:
    return {told: getattr(statistics, name) for told, name in _STATISTICS.items()}
