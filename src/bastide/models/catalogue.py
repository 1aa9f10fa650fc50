"""Which models this region serves, under which ids, and how more of them come in."""

import importlib.resources
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region
from bastide.models import naming
from bastide.models.aliases import Aliases
from bastide.models.application_profiles import ApplicationProfiles
from bastide.models.model import (
    Entry,
    FetchFailed,
    LocalFile,
    ModelCard,
    NotAdmitted,
    Step,
)
from bastide.models.pull import Puller, local_entry
from bastide.models.shelf import Shelf

INVALID_MODEL = "The provided model identifier is invalid."
TITLE_LETTERS_MAX = 20
Leaves = Callable[[str, Label, str], bool]  # an account, a session, the model's id
FindCard = Callable[[Principal, str], ModelCard | None]


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Entry]


def packaged() -> dict[str, Entry]:
    """The entries of models.toml."""
    text = importlib.resources.files("bastide.models").joinpath("models.toml").read_text()
    return msgspec.convert(tomllib.loads(text), _Catalogue).models


def remote_card(model_id: str) -> ModelCard:
    """A model that another server runs. Its weights are that server's business."""
    provider, _, rest = model_id.partition(".")
    title = rest.partition(":")[0] or model_id
    return ModelCard(
        name=model_id,
        model_id=model_id,
        title=title[:TITLE_LETTERS_MAX],
        provider=provider[:TITLE_LETTERS_MAX],
    )


class Models:
    """`remote_ids` are the models that others run; `leaves` says of which sessions the prompts may
    go there, and is true for all that are inside; `brought`: who finds what agencies have brought,
    by its ARN alone, which is listed elsewhere: `app/` fills both. One that a session does not
    dominate is not there for it, nor is an alias of it."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        entries: Mapping[str, Entry],
        aliases: Aliases,
        labelling: Labelling,
        remote_ids: tuple[str, ...] = (),
        own: ApplicationProfiles | None = None,
    ) -> None:
        self._shelf = shelf
        self._entries = entries
        self._aliases = aliases
        self._labelling = labelling
        self._own = own
        self.leaves: Leaves = lambda account, session, model_id: True
        self.brought: list[FindCard] = []
        self._remote = {model_id: remote_card(model_id) for model_id in remote_ids}
        self._by_id: dict[str, ModelCard] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the shelf anew."""
        known = {entry.sha256: entry.call_threshold for entry in self._entries.values()}
        admitted = {
            card.model_id: msgspec.structs.replace(
                card, call_threshold=known.get(card.sha256, card.call_threshold)
            )
            for card in self._shelf.cards().values()
        }
        self._by_id = {**admitted, **self._remote}

    def cards(self) -> list[ModelCard]:
        """What can be called now, by id."""
        return [card for _, card in sorted(self._by_id.items())]

    def served(self, session: Label, account: str) -> dict[str, ModelCard]:
        """Every id that answers a session: the models' own first, then the aliases."""
        found = {card.model_id: card for card in self.cards()}
        for alias, target in sorted(self._aliases.all().items()):
            card = self._named(target)
            if card is not None and alias not in found:
                found[alias] = card
        return {name: card for name, card in found.items() if self._seen(card, session, account)}

    def resolve(self, identifier: str, session: Label, account: str = "") -> ModelCard | None:
        """The model behind an id, an alias, or either with an inference profile's prefix, as a
        session of the account sees it."""
        found = self._exactly(identifier, session, account)
        if found is None:
            rest = naming.without_profile(identifier)
            found = self._exactly(rest, session, account) if rest is not None else None
        return found

    def by_digest(self, model_id: str, sha256: str) -> ModelCard | None:
        """For what was begun before: the model of that id, if its weights are the same still."""
        card = self._by_id.get(model_id)
        return card if card is not None and card.sha256 == sha256 else None

    def called(self, call: Call, identifier: str) -> ModelCard:
        """The model that a call names by id or ARN, or by an application inference profile's.
        Raises ValidationException."""
        _, identifier = self._through(call.principal, identifier)
        name = naming.bare(identifier, call.region, call.account)
        card = (
            self.resolve(name, call.principal.session, call.account) if name is not None else None
        )
        if card is None:
            found = (find(call.principal, identifier) for find in self.brought)
            card = next((one for one in found if one is not None), None)
        if card is None:
            raise ServiceError("ValidationException", INVALID_MODEL)
        return card

    def inside(self, call: Call, identifier: str) -> str:
        """The id that an identifier names at last, without ARN and profiles: an alias where it
        names one. `called` vouches for it."""
        _, identifier = self._through(call.principal, identifier)
        name = naming.bare(identifier, call.region, call.account) or identifier
        return naming.without_profile(name) or name

    def arns(self, region: Region, who: Principal, identifier: str) -> tuple[str, tuple[str, ...]]:
        """What policies must allow for an identifier, read as `called` reads it: the inference
        profile, "" if it names none, and the models: the id inside, and that of the true one."""
        profile, source = self._through(who, identifier)
        if profile:
            return profile, self.arns(region, who, source)[1]
        name = naming.bare(identifier, region, who.account)
        if name is None:
            return "", (identifier,)
        inside = naming.without_profile(name)
        profile = naming.profile_arn(region, who.account, name) if inside is not None else ""
        card = self.resolve(name, who.session, who.account)
        ids = {inside or name: None} | ({card.model_id: None} if card else {})
        return profile, tuple(naming.model_arn(region, each) for each in ids)

    def marked(self, model_id: str) -> Sequence[str]:
        """The marking of a model, for operators. One without has the region's default."""
        card = self._by_id.get(model_id)
        return () if card is None else (card.label or self._labelling.default.text,)

    def rows(self) -> list[dict[str, Any]]:
        """What `bastide models list` shows: the catalogue, then what else is here."""
        admitted = {card.name: card for card in self.cards()}
        rows = [self._row(name, entry, name in admitted) for name, entry in self._entries.items()]
        return rows + [
            self._row(card.name, card, True)
            for name, card in admitted.items()
            if name not in self._entries
        ]

    def pull(self, name: str) -> Iterator[Step]:
        """Fetch a catalogue model; the last step is {"result": row}."""
        entry = self._entries.get(name)
        if entry is None:
            known = ", ".join(self._entries)
            raise ServiceError("ValidationException", f"No model {name}; there are {known}.")
        yield from self._admitting(name, entry)

    def add(self, request: Mapping[str, Any]) -> Iterator[Step]:
        """Admit a local file: file, model_id, sha256, licence, context_tokens, label."""
        card = self._vouched(request)
        try:
            entry = local_entry(Path(str(request["file"])), card)
        except NotAdmitted as error:
            raise ServiceError("ValidationException", str(error)) from error
        yield from self._admitting(card.name, entry)

    def arrived(self, request: Mapping[str, Any]) -> Iterator[Step]:
        """Admit a file that came from another region, as `add` does, at the label that it came
        with; weights that the catalogue pins become the catalogue's own."""
        pinned = (request["model_id"], request["sha256"])
        for name, entry in self._entries.items():
            if (entry.model_id, entry.sha256) == pinned:
                here = LocalFile(path=str(request["file"]))
                label = self._label_of_new(str(request["label"]))
                known = msgspec.structs.replace(entry, sources=[here], label=label)
                yield from self._admitting(name, known)
                return
        yield from self.add(request)

    def alias(self, alias: str, model: str) -> dict[str, str]:
        """Serve `model` (a name or an id) as `alias` too."""
        card = self._named(model)
        if card is None:
            raise ServiceError("ValidationException", f"No admitted model {model}.")
        if alias in self._by_id or any(alias == e.model_id for e in self._entries.values()):
            raise ServiceError("ValidationException", f"{alias} is a model of its own.")
        self._aliases.add(alias, card.name)
        return {"alias": alias, "model": card.model_id}

    def _admitting(self, name: str, entry: Entry) -> Iterator[Step]:
        try:
            yield from Puller(shelf=self._shelf).pull(name, entry)
        except FetchFailed as error:
            raise Unavailable(f"{name} is not admitted: {error}") from error
        except OSError as error:
            raise Unavailable(f"{name} is not admitted: {error.strerror}") from error
        self.refresh()
        yield {"result": self._row(name, entry, True)}

    def _vouched(self, request: Mapping[str, Any]) -> ModelCard:
        """The card of a file to add. Its id may not stand for anything else yet."""
        model_id, digest = str(request["model_id"]), str(request["sha256"]).lower()
        context = request["context_tokens"]
        if not naming.is_model_id(model_id):
            raise ServiceError("ValidationException", f"{model_id} does not look like a model id.")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ServiceError("ValidationException", "A sha256 has 64 hexadecimal digits.")
        if not isinstance(context, int) or isinstance(context, bool) or context < 1:
            raise ServiceError("ValidationException", "context_tokens is a positive number.")
        card = remote_card(model_id)
        there = self._by_id.get(model_id)
        known = any(model_id == entry.model_id for entry in self._entries.values())
        if known or model_id in self._aliases.all() or (there and there.sha256 != digest):
            raise ServiceError("ValidationException", f"{model_id} is already taken.")
        return msgspec.structs.replace(
            card,
            name=model_id.replace(":", "-"),
            sha256=digest,
            licence=str(request["licence"]),
            context_tokens=context,
            label=self._label_of_new(str(request.get("label") or "")),
        )

    def _label_of_new(self, marking: str) -> str:
        return self._labelling.parse(marking, "ValidationException").text if marking else ""

    def _row(self, name: str, model: Entry | ModelCard, admitted: bool) -> dict[str, Any]:
        targets = (name, model.model_id)
        aliases = [alias for alias, to in sorted(self._aliases.all().items()) if to in targets]
        return {
            "name": name,
            "model_id": model.model_id,
            "admitted": admitted,
            "size_mib": model.size >> 20,
            "kind": str(model.kind),
            "licence": model.licence,
            "label": model.label,
            "aliases": ", ".join(aliases),
        }

    def _through(self, who: Principal, identifier: str) -> tuple[str, str]:
        """The ARN of the application inference profile that is named, or "", and what stands
        behind: the model, or the system-defined profile, that it was made of."""
        own = self._own.find(who, identifier) if self._own is not None else None
        if self._own is None or own is None:
            return "", identifier
        return self._own.arn(own.account, own.id), own.source

    def _exactly(self, identifier: str, session: Label, account: str) -> ModelCard | None:
        card = self._by_id.get(identifier)
        if card is None and (target := self._aliases.all().get(identifier)) is not None:
            card = self._named(target)
        return card if card is not None and self._seen(card, session, account) else None

    def _seen(self, card: ModelCard, session: Label, account: str) -> bool:
        return card.seen_at(session) and self.leaves(account, session, card.model_id)

    def _named(self, target: str) -> ModelCard | None:
        """A model by its id, or by its name in the catalogue. Aliases do not chain."""
        card = self._by_id.get(target)
        if card is not None:
            return card
        return next((card for card in self._by_id.values() if card.name == target), None)
