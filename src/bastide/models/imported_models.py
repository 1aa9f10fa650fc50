"""bedrock: the models that an agency brought. Nobody else's: they are called by their ARN.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetImportedModel.html
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection

from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import moment
from bastide.kernel.labels.view import View
from bastide.kernel.operation import operation
from bastide.models import import_records as records
from bastide.models.import_records import ImportedModel
from bastide.models.kept import Kept
from bastide.models.listing import LISTED, page, wanted_of
from bastide.models.model import ModelCard
from bastide.models.ports import Running

Params = dict[str, Any]
KIND, JOB_KIND = "imported-model", "model-import-job"
WEIGHTS = "model.gguf"
TITLE_LETTERS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportShelf(Kept[ImportedModel]):
    """Finds imported models. `folder` holds the weights: for each agency a folder that nobody else
    enters."""

    folder: Path
    kind: ClassVar[str] = KIND
    missing: ClassVar[str] = "The imported model could not be found."

    def read(
        self, c: Connection, account: str, named: str, view: View, *, by_id: bool
    ) -> ImportedModel | None:
        return records.find_model(c, account, named, view, by_id=by_id)

    def write_tags(self, c: Connection, one: ImportedModel, tags: Mapping[str, str]) -> None:
        records.set_tags(c, records.models, one.account, one.id, tags)

    def card(self, who: Principal, identifier: str) -> ModelCard | None:
        """What engines run; only an ARN names it there."""
        if not identifier.startswith(self.arn(who.account, "")):
            return None
        found = self.find(who, identifier)
        return None if found is None else self.card_of(found)

    def card_of(self, one: ImportedModel) -> ModelCard:
        return ModelCard(
            name=f"imported-{one.account}-{one.id}",
            model_id=self.arn(one.account, one.id),
            title=one.name[:TITLE_LETTERS_MAX],
            provider="Imported",
            sha256=one.sha256,
            size=one.size,
            licence=one.licence,
            context_tokens=one.context_tokens,
            kv_bytes_per_token=one.kv_bytes_per_token,
            admitted_ms=one.created_ms,
            path=self.place(one.account, one.id) / WEIGHTS,
            label=one.label,
        )

    def place(self, account: str, id_: str) -> Path:
        return self.folder / account / id_


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModels:
    shelf: ImportShelf
    running: Running

    @operation("modelIdentifier")
    def get_imported_model(self, call: Call, req: Params) -> Params:
        one = self.shelf.found(call, req["modelIdentifier"])
        call.notes.label = one.label
        job = arns.regional(call.region, "bedrock", one.account, f"{JOB_KIND}/{one.job}")
        return {
            **self._summary(one),
            "jobName": one.job_name,
            "jobArn": job,
            "modelDataSource": {"s3DataSource": {"s3Uri": one.source}},
        }

    @operation(*LISTED)
    def list_imported_models(self, call: Call, req: Params) -> Params:
        shelf, wanted = self.shelf, wanted_of(req)
        view = shelf.marks.view(call.principal)
        rows = shelf.database.read(lambda c: records.list_models(c, call.account, view, wanted))
        shown, more = page(rows, wanted)
        return {"modelSummaries": [self._summary(one) for one in shown], **more}

    @operation("modelIdentifier")
    def delete_imported_model(self, call: Call, req: Params) -> Params:
        """Nobody finds it from now on; then its engine ends, and its files go."""
        one = self.shelf.own(call, req["modelIdentifier"])
        self.shelf.database.write(lambda c: records.remove_model(c, one.account, one.id))
        self.running.unload(self.shelf.card_of(one))
        shutil.rmtree(self.shelf.place(one.account, one.id), ignore_errors=True)
        return {}

    def _summary(self, one: ImportedModel) -> Params:
        return {
            "modelArn": self.shelf.arn(one.account, one.id),
            "modelName": one.name,
            "creationTime": moment(one.created_ms),
            "instructSupported": one.instruct,
            "modelArchitecture": one.architecture,
        }
