"""bedrock: provisioned throughput: engines of a model that are kept for the calls of its ARN.

What is reserved is really there: a model unit is one engine of the model, loaded, whose memory
nobody else is given. What is not there is refused. No commitment is made here, as nothing is paid.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/prov-throughput.html
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec
from sqlalchemy import Connection

from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.labels.view import View
from bastide.kernel.operation import operation
from bastide.models import naming
from bastide.models import provisioned_records as records
from bastide.models.catalogue import Models
from bastide.models.kept import Kept
from bastide.models.listing import LISTED, page, wanted_of
from bastide.models.model import ModelCard, ModelKind
from bastide.models.ports import Reservation, Reservations
from bastide.models.provisioned_records import Status, Throughput
from bastide.models.tags import checked

Params = dict[str, Any]
KIND = "provisioned-model"
ID_LETTERS = 12
UNITS_MAX = 64
THROUGHPUTS_MAX = 100  # of an account
NO_PART = (
    "Nothing can be reserved at this label: the site gives it no part of reservable_mib. Call the "
    "model without provisioned throughput, or ask your operator to give this label a part."
)
NOT_THERE = "The throughput that you asked for is not there. Ask for fewer model units."


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputShelf(Kept[Throughput]):
    """Finds what was reserved. `models`: whose they are."""

    models: Models
    kind: ClassVar[str] = KIND
    missing: ClassVar[str] = "The provisioned model could not be found."

    def read(
        self, c: Connection, account: str, named: str, view: View, *, by_id: bool
    ) -> Throughput | None:
        rows = records.of_account(c, account, view.seen)
        return next((one for one in rows if named == (one.id if by_id else one.name)), None)

    def write_tags(self, c: Connection, one: Throughput, tags: Mapping[str, str]) -> None:
        records.change(c, one.account, one.id, tags=records.tags_in_text(tags))

    def card(self, who: Principal, identifier: str) -> ModelCard | None:
        """Of the model that runs on what is reserved; only an ARN names it there."""
        if not identifier.startswith(self.arn(who.account, "")):
            return None
        one = self.find(who, identifier)
        card = None if one is None else self.models.resolve(one.model_id, who.session, who.account)
        if one is None or card is None or card.sha256 != one.sha256:
            return None
        return msgspec.structs.replace(card, held=one.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Brings engines to what is reserved."""

    shelf: ThroughputShelf
    clock: Clock
    engines: Reservations

    def start(self) -> None:
        """What was reserved is held again; what it needs is not taken by others meanwhile. It
        counts as what it needs now, else it would be held in another label's part. What is more
        than the label's part is now fails, the newest first."""
        taken: Counter[str] = Counter()
        for one in self.shelf.database.read(records.every):
            if one.status is Status.FAILED:
                continue
            card = self.shelf.models.by_digest(one.model_id, one.sha256)
            needs = one.memory_mib if card is None else self.engines.memory_mib(card) * one.units
            self._mark_unheld(one, needs)
            fits = taken[one.label] + needs <= self.engines.reservable_mib(one.label)
            if card is not None and fits:
                taken[one.label] += needs
            self._hold(one, card if fits else None)

    def _mark_unheld(self, one: Throughput, needs_mib: int) -> None:
        """In service is only what is held now."""
        new: dict[str, str | int] = {}
        if one.status is Status.IN_SERVICE:
            new = {"status": str(Status.UPDATING), "updated_ms": epoch_ms(self.clock.now())}
        if needs_mib != one.memory_mib:
            new["memory_mib"] = needs_mib
        if new:
            self.shelf.database.write(lambda c: records.change(c, one.account, one.id, **new))

    def begin(self, who: Principal, one: Throughput) -> None:
        self._hold(one, self.shelf.card(who, self.shelf.arn(one.account, one.id)))

    def _hold(self, one: Throughput, card: ModelCard | None) -> None:
        if card is None:
            self._settled(one, held=False)
            return
        self.engines.hold(
            Reservation(one.id, one.units, one.label),
            msgspec.structs.replace(card, held=one.id),
            lambda held: self._settled(one, held=held),
        )

    def _settled(self, one: Throughput, *, held: bool) -> None:
        status = Status.IN_SERVICE if held else Status.FAILED
        new = {
            "status": str(status), "failure": "" if held else NOT_THERE,
            "updated_ms": epoch_ms(self.clock.now()),
        }  # fmt: skip
        if not self.shelf.database.write(lambda c: records.change(c, one.account, one.id, **new)):
            self.engines.let_go(one.id)  # it was deleted meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedThroughput:
    shelf: ThroughputShelf
    clock: Clock
    ids: Ids
    engines: Reservations
    holding: Holding

    @operation("provisionedModelName", "modelId", "modelUnits", "tags", "clientRequestToken")
    def create_provisioned_model_throughput(self, call: Call, req: Params) -> Params:
        new = self._new(call, req)
        made = self.shelf.database.write(lambda c: self._added(c, new))
        call.notes.label = made.label
        if made is new:
            self.holding.begin(call.principal, new)
        return {"provisionedModelArn": self.shelf.arn(made.account, made.id)}

    @operation("provisionedModelId")
    def get_provisioned_model_throughput(self, call: Call, req: Params) -> Params:
        one = self.shelf.found(call, req["provisionedModelId"])
        call.notes.label = one.label
        failed = {"failureMessage": one.failure} if one.failure else {}
        return {**self._summary(one), **failed}

    @operation(*LISTED, "statusEquals", "modelArnEquals")
    def list_provisioned_model_throughputs(self, call: Call, req: Params) -> Params:
        wanted, view = wanted_of(req), self.shelf.marks.view(call.principal)
        rows = list(
            self.shelf.database.read(lambda c: records.of_account(c, call.account, view.seen))
        )
        rows.sort(key=lambda one: (one.created_ms, one.id), reverse=not wanted.oldest_first)
        model = req.get("modelArnEquals")
        found = [
            one
            for one in rows
            if wanted.takes(one) and model in (None, self._model_arn(one))
        ]  # fmt: skip
        shown, more = page(found[: wanted.limit], wanted)
        return {"provisionedModelSummaries": [self._summary(one) for one in shown], **more}

    @operation("provisionedModelId", "desiredProvisionedModelName")
    def update_provisioned_model_throughput(self, call: Call, req: Params) -> Params:
        one = self.shelf.own(call, req["provisionedModelId"])
        name, now = req.get("desiredProvisionedModelName"), epoch_ms(self.clock.now())
        if not name:
            raise invalid("Say what is to be changed.")

        def write(c: Connection) -> None:
            _check_name(c, replace(one, name=name))
            records.change(c, one.account, one.id, name=name, updated_ms=now)

        self.shelf.database.write(write)
        return {}

    @operation("provisionedModelId")
    def delete_provisioned_model_throughput(self, call: Call, req: Params) -> Params:
        """Nobody finds it from now on; then its engines end."""
        one = self.shelf.own(call, req["provisionedModelId"])
        self.shelf.database.write(lambda c: records.remove(c, one.account, one.id))
        self.engines.let_go(one.id)
        return {}

    def _new(self, call: Call, req: Params) -> Throughput:
        card = self.shelf.models.called(call, req["modelId"])
        inside = self.shelf.models.resolve(card.model_id, call.principal.session, call.account)
        if card.remote or card.held or inside is None or card.kind is not ModelKind.TEXT:
            raise invalid("The model does not support provisioned throughput.")
        units = req["modelUnits"]
        if units > UNITS_MAX:
            raise invalid(f"modelUnits: {UNITS_MAX} at most.")
        now = epoch_ms(self.clock.now())
        given = checked(req.get("tags") or [])
        label = self.shelf.marks.of_new(call, given, "Provisioned throughput")
        return Throughput(
            id=self.ids.word(ID_LETTERS, ALNUM).lower(),
            account=call.account,
            label=label,
            name=req["provisionedModelName"],
            model_id=card.model_id,
            sha256=card.sha256,
            units=units,
            memory_mib=self.engines.memory_mib(card) * units,
            created_ms=now,
            updated_ms=now,
            token=req.get("clientRequestToken") or "",
            tags=given,
        )

    def _added(self, c: Connection, new: Throughput) -> Throughput:
        """An agency has at most a half of what may be reserved at its session's label."""
        mine = records.of_account(c, new.account, (new.label,))
        again = [one for one in mine if new.token and one.token == new.token]
        if again:
            if (again[0].model_id, again[0].units) != (new.model_id, new.units):
                raise invalid("The client request token was used for other throughput.")
            return again[0]
        _check_name(c, new)
        part, reserved = self.engines.reservable_mib(new.label), records.reserved_mib(c, new.label)
        if not part:
            raise ServiceError("ServiceQuotaExceededException", NO_PART)
        left = min(part // 2 - reserved[new.account], part - reserved.total())
        if new.memory_mib > left or len(mine) >= THROUGHPUTS_MAX:
            raise ServiceError("ServiceQuotaExceededException", NOT_THERE)
        records.add(c, new)
        return new

    def _model_arn(self, one: Throughput) -> str:
        return naming.model_arn(self.shelf.region, one.model_id)

    def _summary(self, one: Throughput) -> Params:
        model = self._model_arn(one)
        return {
            "provisionedModelName": one.name,
            "provisionedModelArn": self.shelf.arn(one.account, one.id),
            "modelArn": model,
            "desiredModelArn": model,
            "foundationModelArn": model,
            "modelUnits": one.units if one.status is Status.IN_SERVICE else 0,
            "desiredModelUnits": one.units,
            "status": str(one.status),
            "creationTime": moment(one.created_ms),
            "lastModifiedTime": moment(one.updated_ms),
        }


def _check_name(c: Connection, new: Throughput) -> None:
    for one in records.of_account(c, new.account, (new.label,)):
        if one.name == new.name and one.id != new.id:
            message = f"There is a provisioned model {new.name} already."
            raise invalid(message)
