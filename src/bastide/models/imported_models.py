"""bedrock: the models that an agency brought. Nobody else's: they are called by their ARN.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetImportedModel.html
"""

from collections.abc import Callable, Mapping
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

Params = dict[str, Any]
KIND, JOB_KIND = "imported-model", "model-import-job"
WEIGHTS = "model.gguf"
KEY = "key"  # names the key that the weights live as long as
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
            name=engine_name(one.account, one.id),
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
    """`discard`: sees to it that the files and the engine of a model go, now or soon."""

    shelf: ImportShelf
    discard: Callable[[str, str], None]

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
        """Nobody finds it from now on; then its files go, and its engine ends."""
        one = self.shelf.own(call, req["modelIdentifier"])
        self.shelf.database.write(lambda c: records.remove_model(c, one.account, one.id))
        self.discard(one.account, one.id)
        return {}

    def _summary(self, one: ImportedModel) -> Params:
        return {
            "modelArn": self.shelf.arn(one.account, one.id),
            "modelName": one.name,
            "creationTime": moment(one.created_ms),
            "instructSupported": one.instruct,
            "modelArchitecture": one.architecture,
        }


def engine_name(account: str, id_: str) -> str:
    """What engines know it by."""
    return f"imported-{account}-{id_}"
