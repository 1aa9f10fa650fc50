"""Files that are made to break their parser, and a cage that was taken over."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from tests.importing_kit import Tiny, tokenizer
from tests.imports_world import Api, changed, config
from tests.inference_kit import OTHER, call

from bastide.models.importing.facts import Facts, Judged


@pytest.fixture
def api(database, tmp_path):
    folder = tmp_path / "imported"
    folder.mkdir()
    made = Api(database, folder)
    made.lay(Tiny().files())
    return made


@dataclass
class TakenOver:
    """A cage that hostile files made their own: it says what they want."""

    facts: Facts

    def judge(self, folder, out, bytes_max):
        (out / "model.gguf").write_bytes(b"x")
        return Judged(facts=self.facts)


def tensor(**more):
    """A header of one tensor that is not as it should be."""
    name = more.pop("name", "model.norm.weight")
    one = {"dtype": "F16", "shape": [1], "data_offsets": [0, 2], **more}
    text = json.dumps({name: one}).encode()
    return len(text).to_bytes(8, "little") + text + b"xx"


def cut_up(pre):
    found = {**tokenizer(), "pre_tokenizer": pre}
    return changed("tokenizer.json", json.dumps(found).encode())


LONG = f"model.layers.{'1' * 5000}.input_layernorm.weight"
HALF = json.dumps({"chat_template": "\ud800"}).encode()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (changed("model.safetensors", tensor(dtype=[])), "is of the type"),
        (changed("model.safetensors", tensor(shape=[2**47] * 8)), "another size than its shape"),
        (changed("model.safetensors", tensor(shape=[1] * 9)), "no shape and place"),
        (changed("model.safetensors", tensor(shape=[True])), "no shape and place"),
        (changed("model.safetensors", tensor(data_offsets=[2, 0])), "another size than its shape"),
        (changed("model.safetensors", tensor(name="\ud800\x00")), "is not one of a model"),
        (changed("model.safetensors", tensor(name=LONG)), "is not one of a model"),
        (config(rope_theta=None, rope_parameters={"rope_theta": 10**400}), "rope_theta"),
        (config(rope_scaling={"type": []}), "rope_scaling"),
        (cut_up({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": "x"}, {"type": "ByteLevel", "use_regex": False}]}),
         "is not known here"),
        (cut_up({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": []}},
            {"type": "ByteLevel", "use_regex": False}]}), "is not known here"),
        (changed("tokenizer_config.json", HALF), "what is no text"),
    ],
)  # fmt: skip
def test_what_is_made_to_break_a_parser_is_refused_with_its_reason(api, files, why):
    api.objects.clear()
    api.lay(files)
    job = api.brought()
    assert (job["status"], why in job["failureMessage"]) == ("Failed", True), job["failureMessage"]
    assert job["failureMessage"].isprintable()
    assert api.left() == []


@pytest.mark.parametrize(
    "lie",
    [
        {"weights": "../../../{other}/model.gguf"},
        {"weights": "/etc/hostname"},
        {"weights": ""},
        {"converted": True, "kv_bytes_per_token": -(1 << 40)},
        {"converted": True, "context_tokens": 1 << 62},
        {"converted": True, "architecture": "x" * 100_000},
    ],
)
def test_what_a_cage_says_that_was_taken_over_is_not_believed(api, lie):
    """Else the weights of another agency would be moved away, and lost."""
    theirs = call(account=OTHER)
    other = api.shelf.card(theirs.principal, api.brought(by=theirs)["importedModelArn"])
    before = other.path.read_bytes()
    sound = Facts(
        architecture="llama", context_tokens=8, kv_bytes_per_token=8, weights="", converted=False,
        licence="apache-2.0",
    )  # fmt: skip
    at = str(other.path.parent.relative_to(api.folder))
    lie = {name: one.format(other=at) if name == "weights" else one for name, one in lie.items()}
    api.work.importer = api.importer(judge=TakenOver(msgspec.structs.replace(sound, **lie)))
    assert api.brought()["failureMessage"] == "The files could not be read."
    assert other.path.read_bytes() == before
    assert len(api.left()) == 1
