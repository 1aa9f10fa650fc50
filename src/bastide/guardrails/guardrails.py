"""bedrock: guardrails, their drafts and their numbered versions.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-create.html
"""

import json
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Connection

from bastide.guardrails import checks, records
from bastide.guardrails.loosening import Holding
from bastide.guardrails.model import DRAFT, DRAFT_NUMBER, Guardrail, Params, Version
from bastide.guardrails.rules import MESSAGES, POLICIES, config_of, shown
from bastide.guardrails.shelf import Shelf, absent, number_of
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import ALNUM
from bastide.kernel.operation import operation
from bastide.models.tags import checked

ID_LENGTH = 12
GUARDRAILS_MAX = 100  # of an account, at each label; AWS's own quota
VERSIONS_MAX = 20  # of a guardrail; AWS's
PAGE_MAX = 1_000
SAID = ("name", "description", *MESSAGES, *POLICIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    shelf: Shelf
    holding: Holding

    @operation(*SAID, "tags", "clientRequestToken")
    def create_guardrail(self, call: Call, req: Params) -> Params:
        checks.check(call.operation, req)
        shelf, tags = self.shelf, checked(req.get("tags") or [])
        label = shelf.marks.of_new(call, tags, "A guardrail")
        config, now = config_of(req), shelf.now_ms()
        new = Guardrail(
            account=call.account,
            id=shelf.ids.word(ID_LENGTH, ALNUM),
            label=label,
            name=req["name"],
            created_ms=now,
            token=req.get("clientRequestToken") or "",
            asked=digest_of(json.dumps([config, sorted(tags.items())])),
            tags=tags,
        )

        def work(c: Connection) -> Guardrail:
            made = records.made_by(c, call.account, label, new.token)
            if made is not None:
                return _same(made, new)
            self._check_name(c, new)
            if records.count(c, call.account, label) >= GUARDRAILS_MAX:
                message = f"An account has {GUARDRAILS_MAX} guardrails at most."
                raise ServiceError("ServiceQuotaExceededException", message)
            records.add(c, new, _draft(new.id, config, now, now))
            return new

        made = shelf.database.write(work)
        _noted(call, made.id, DRAFT)
        return {**self._named(made), "version": DRAFT, "createdAt": moment(made.created_ms)}

    @operation("guardrailIdentifier", "guardrailVersion")
    def get_guardrail(self, call: Call, req: Params) -> Params:
        name = req.get("guardrailVersion") or DRAFT
        found = self.shelf.version(call.principal, req["guardrailIdentifier"], name, whole=True)
        if found is None:
            raise absent()
        one, version = found
        config = json.loads(version.config)
        return {
            **self._named(one),
            **_described(config["name"], version),
            **shown(config),
        }

    @operation("guardrailIdentifier", "maxResults", "nextToken")
    def list_guardrails(self, call: Call, req: Params) -> Params:
        """All guardrails by their drafts, or all versions of one."""
        size, after = req.get("maxResults", PAGE_MAX), req.get("nextToken", "")
        if identifier := req.get("guardrailIdentifier"):
            return self._list_versions(call, identifier, after, size)
        labels = self.shelf.marks.view(call.principal).seen
        found = self.shelf.database.read(
            lambda c: records.page(c, call.account, labels, after, size + 1)
        )
        answer: Params = {"guardrails": [self._row(*each) for each in found[:size]]}
        if len(found) > size:
            answer["nextToken"] = found[size - 1][0].id
        return answer

    @operation("guardrailIdentifier", *SAID)
    def update_guardrail(self, call: Call, req: Params) -> Params:
        """Another draft. A looser one takes two persons."""
        checks.check(call.operation, req)
        shelf, config = self.shelf, config_of(req)

        def work(c: Connection, expected: Version) -> tuple[Guardrail, Version]:
            one = shelf.mine(c, call, req["guardrailIdentifier"])
            before = records.version(c, one.id, DRAFT_NUMBER)
            if before is None or before.digest != expected.digest:
                raise _conflict("The guardrail was changed at the same time. Try again.")
            after = replace(one, name=req["name"])
            if after.name != one.name:
                self._check_name(c, after)
            draft = _draft(one.id, config, before.created_ms, shelf.now_ms())
            records.save(c, after)
            records.save_draft(c, draft)
            return after, draft

        before = self._draft_of(call, req["guardrailIdentifier"])
        one, draft = self.holding.replace(call, before, json.loads(config), work)
        _noted(call, one.id, DRAFT)
        return {**self._named(one), "version": DRAFT, "updatedAt": moment(draft.updated_ms)}

    @operation("guardrailIdentifier", "description", "clientRequestToken")
    def create_guardrail_version(self, call: Call, req: Params) -> Params:
        token, now = req.get("clientRequestToken") or "", self.shelf.now_ms()

        def work(c: Connection) -> Version:
            one = self.shelf.mine(c, call, req["guardrailIdentifier"])
            made = records.version_made_by(c, one.id, token)
            if made is not None:
                return made
            if records.count_versions(c, one.id) >= VERSIONS_MAX:
                message = f"A guardrail has {VERSIONS_MAX} versions at most."
                raise ServiceError("ServiceQuotaExceededException", message)
            draft = records.version(c, one.id, DRAFT_NUMBER, whole=True)
            assert draft is not None
            new = replace(
                draft, number=one.made + 1, description=req.get("description") or "",
                created_ms=now, updated_ms=now, token=token,
            )  # fmt: skip
            records.save(c, replace(one, made=new.number))
            records.add_version(c, new)
            return new

        new = self.shelf.database.write(work)
        _noted(call, new.guardrail_id, new.name)
        return {"guardrailId": new.guardrail_id, "version": new.name}

    @operation("guardrailIdentifier", "guardrailVersion")
    def delete_guardrail(self, call: Call, req: Params) -> Params:
        """What was published takes two persons, as somebody may rely on it."""
        identifier, name = req["guardrailIdentifier"], req.get("guardrailVersion") or DRAFT
        number = number_of(name)
        before = self.shelf.database.read(lambda c: self.shelf.mine(c, call, identifier))

        def work(c: Connection) -> None:
            one = self.shelf.mine(c, call, identifier)
            if one.made != before.made:  # whether it takes two persons was asked of what it was
                raise ServiceError("ConflictException", "The guardrail has changed. Try again.")
            if number and records.version(c, one.id, number) is None:
                raise absent()
            if number:
                records.drop_version(c, one.id, number)
            else:
                records.drop(c, one.id)

        if self.shelf.version(call.principal, identifier, name) is None:
            raise absent()
        self.holding.delete(call, before, number, work)
        _noted(call, before.id, name if number else "")
        return {}

    def _draft_of(self, call: Call, identifier: str) -> Version:
        found = self.shelf.version(call.principal, identifier, DRAFT, whole=True)
        if found is None:
            raise absent()
        self.shelf.marks.check_own(call, found[0].label)
        return found[1]

    def _list_versions(self, call: Call, identifier: str, after: str, size: int) -> Params:
        one = self.shelf.seen(call.principal, identifier)
        if one is None:
            raise absent()
        beyond = int(after) if after else DRAFT_NUMBER - 1
        found = self.shelf.database.read(lambda c: records.versions_of(c, one.id, beyond, size + 1))
        answer: Params = {"guardrails": [self._row(one, each) for each in found[:size]]}
        if len(found) > size:
            answer["nextToken"] = str(found[size - 1].number)
        return answer

    def _check_name(self, c: Connection, new: Guardrail) -> None:
        """A name is one guardrail's, at each label."""
        if records.named(c, new.account, new.label, new.name) is not None:
            raise _conflict(f"Another guardrail has the name {new.name}.")

    def _named(self, one: Guardrail) -> Params:
        return {"guardrailId": one.id, "guardrailArn": self.shelf.arn(one.account, one.id)}

    def _row(self, one: Guardrail, version: Version) -> Params:
        named = {"id": one.id, "arn": self.shelf.arn(one.account, one.id)}
        return {**named, **_described(one.name, version)}


def _described(name: str, version: Version) -> Params:
    found: Params = {
        "name": name,
        "version": version.name,
        "status": "READY",
        "createdAt": moment(version.created_ms),
        "updatedAt": moment(version.updated_ms),
    }
    return {**found, "description": version.description} if version.description else found


def _draft(id_: str, config: str, created_ms: int, updated_ms: int) -> Version:
    return Version(
        guardrail_id=id_,
        number=DRAFT_NUMBER,
        description=json.loads(config).get("description", ""),
        digest=digest_of(config),
        created_ms=created_ms,
        updated_ms=updated_ms,
        config=config,
    )


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _same(made: Guardrail, new: Guardrail) -> Guardrail:
    """One token asks for one thing: a second time, it is the first one's answer."""
    if made.asked != new.asked:
        raise _conflict("The client request token was used for another request.")
    return made


def _noted(call: Call, id_: str, version: str) -> None:
    call.notes.audit["guardrail"] = f"{id_}:{version}" if version else id_


def _conflict(message: str) -> ServiceError:
    return ServiceError("ConflictException", message)
