"""bedrock: the models that an agency brought. Nobody else's: they are called by their ARN.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetImportedModel.html
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.operation import operation
from bastide.kernel.regions import Region
from bastide.models import import_records as records
from bastide.models.import_records import ImportedModel
from bastide.models.listing import LISTED, page, wanted_of
from bastide.models.model import ModelCard
from bastide.models.ports import Running
from bastide.models.tags import with_room

Params = dict[str, Any]
KIND, JOB_KIND = "imported-model", "model-import-job"
WEIGHTS = "model.gguf"
TITLE_LETTERS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportShelf:
    """Finds imported models, and keeps their tags. `folder` holds the weights: for each agency a
    folder that nobody else enters."""

    region: Region
    database: Database
    marks: Marks
    folder: Path

    def find(self, who: Principal, identifier: str) -> ImportedModel | None:
        """By its ARN or its name."""
        prefix, view = self.arn(who.account, ""), self.marks.view(who)
        is_arn = identifier.startswith("arn:")
        if is_arn and not identifier.startswith(prefix):
            return None
        named = identifier.removeprefix(prefix)
        return self.database.read(
            lambda c: records.find_model(c, who.account, named, view, by_id=is_arn)
        )

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

    def arn(self, account: str, id_: str) -> str:
        return arns.regional(self.region, "bedrock", account, f"{KIND}/{id_}")

    def identified(self, who: Principal, identifier: str) -> str:
        """Its ARN, for policies, whichever name the caller used."""
        found = self.find(who, identifier)
        if found is not None:
            return self.arn(found.account, found.id)
        return identifier if identifier.startswith("arn:") else self.arn(who.account, identifier)

    def label(self, who: Principal, arn: str) -> Label | None:
        found = self.find(who, arn)
        return None if found is None else self.marks.parse(found.label)

    def tags(self, who: Principal, arn: str) -> Mapping[str, str]:
        found = self.find(who, arn)
        return {} if found is None else found.tags

    def tags_of(self, call: Call, arn: str) -> Mapping[str, str]:
        found = self.found(call, arn)
        call.notes.label = found.label
        return found.tags

    def retag(self, call: Call, arn: str, put: Mapping[str, str], dropped: frozenset[str]) -> None:
        one = self.own(call, arn)
        self.marks.check_tags(call, put, one.label)
        kept = {key: value for key, value in one.tags.items() if key not in dropped}
        tags = with_room(kept | dict(put))
        self.database.write(
            lambda c: records.set_tags(c, records.models, one.account, one.id, tags)
        )

    def found(self, call: Call, identifier: str) -> ImportedModel:
        found = self.find(call.principal, identifier)
        if found is None:
            raise not_found()
        return found

    def own(self, call: Call, identifier: str) -> ImportedModel:
        found = self.found(call, identifier)
        self.marks.check_own(call, found.label)
        return found


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


def not_found() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The imported model could not be found.")
