"""Weights on their way through the gate: with what their card says, onto the shelf."""

from hashlib import sha256

import msgspec
import pytest
from tests.labels_kit import US, labelling
from tests.unsafe_models import GOOD

from bastide.kernel.clock import ManualClock
from bastide.models.aliases import Aliases
from bastide.models.catalogue import Models
from bastide.models.model import Entry
from bastide.models.shelf import Shelf
from bastide.transfer.model import Item, Refused
from bastide.transfer.releases import Target
from bastide.transfer.shelving import Shelving
from bastide.transfer.sources import ModelSource

DATA = GOOD["gguf"][1]
DIGEST = sha256(DATA).hexdigest()
NOWHERE = Target(account="", bucket="", prefix="")
ENTRY = Entry(
    model_id="site.tiny-v1:0", title="Tiny", provider="site", sha256=DIGEST, size=len(DATA),
    licence="Apache-2.0", context_tokens=64,
)  # fmt: skip


def models(folder, entries):
    shelf = Shelf(folder=folder / "models", clock=ManualClock())
    aliases = Aliases(folder / "aliases.json", {})
    return Models(shelf=shelf, entries=entries, aliases=aliases, labelling=labelling())


def shelving(folder, entries):
    found = models(folder, entries)
    return found, Shelving(
        carrying=None, models=found, environments=None, setting_up=None, folder=folder / "weights"
    )


def item(**changes):
    provenance = {"model_id": "site.tiny-v1:0", "licence": "Apache-2.0", "context_tokens": "64"}
    made = Item(
        kind="model", name="tiny.gguf", size=len(DATA), sha256=DIGEST, label="U",
        provenance=provenance,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize("entries", [{}, {"tiny": ENTRY}], ids=["a_sites_own", "of_the_catalogue"])
def test_released_weights_are_served_with_their_licence(tmp_path, entries):
    found, shelves = shelving(tmp_path, entries)
    shelves.check(NOWHERE, [item()], None)
    shelves.put(NOWHERE, item(), iter([DATA[:9], DATA[9:]]))
    (card,) = found.cards()
    assert (card.model_id, card.licence, card.sha256) == ("site.tiny-v1:0", "Apache-2.0", DIGEST)
    assert card.path.read_bytes() == DATA
    assert list((tmp_path / "weights").iterdir()) == []
    again, pieces = ModelSource(card=card, label="U").open()
    assert b"".join(pieces) == DATA
    assert again.provenance["sha256"] == DIGEST
    assert again.provenance["licence"] == "Apache-2.0"


@pytest.mark.parametrize("entries", [{}, {"tiny": ENTRY}], ids=["a_sites_own", "of_the_catalogue"])
def test_weights_keep_their_label_on_both_sides_of_the_gate(tmp_path, entries):
    found, shelves = shelving(tmp_path, entries)
    shelves.put(NOWHERE, item(label="S//SI"), iter([DATA]))
    (card,) = found.cards()
    assert card.seen_at(US.parse("S//SI"))
    assert not card.seen_at(US.parse("U"))
    again, _ = ModelSource(card=card, label="U").open()
    assert again.label == "S//SI"


def test_weights_keep_their_label_on_their_way_in_and_out(tmp_path):
    found, shelves = shelving(tmp_path, {})
    shelves.put(NOWHERE, item(label="S//SI"), iter([DATA]))
    (card,) = found.cards()
    again, _ = ModelSource(card=card, label="U").open()
    assert (card.label, again.label) == ("S//SI", "S//SI")


def test_other_weights_than_those_that_were_passed_are_not_admitted(tmp_path):
    found, shelves = shelving(tmp_path, {})
    with pytest.raises(Refused, match="does not take"):
        shelves.put(NOWHERE, item(sha256="0" * 64), iter([DATA]))
    assert found.cards() == []


def test_weights_without_a_licence_are_refused(tmp_path):
    _, shelves = shelving(tmp_path, {})
    with pytest.raises(Refused, match="licence"):
        shelves.check(NOWHERE, [item(provenance={"model_id": "x"})], None)


def test_objects_need_a_bucket(tmp_path):
    _, shelves = shelving(tmp_path, {})
    with pytest.raises(Refused, match="name the agency"):
        shelves.check(NOWHERE, [item(kind="object", provenance={})], None)
