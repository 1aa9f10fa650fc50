"""`bastide tour` with its own data; its code on tables as people have them, without a region."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError
from tests.clients import client_python
from tests.live import ROOT

TOUR = ROOT / "src" / "bastide" / "cli" / "tour"
LEARN = """
import json, sys, tempfile
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/source"]
import table, train
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

def learn(path, target):
    rows, notes = table.read(Path(path), target)
    part, held = train_test_split(rows, test_size=0.25, random_state=0, stratify=rows[target])
    folder = Path(tempfile.mkdtemp())
    part.to_csv(folder / "train.csv", index=False)
    train.train(str(folder), str(folder), target)
    model = train.model_fn(str(folder))
    body = held.drop(columns=target)[:50].to_csv(index=False)
    scores = train.predict_fn(train.input_fn(body, "text/csv"), model)
    two = scores.shape[1] == 2
    auc = roc_auc_score(held[target][:50], scores[:, 1] if two else scores, multi_class="ovr")
    return {"rows": len(rows), "classes": scores.shape[1], "auc": auc, "notes": notes}

for path, target in json.loads(sys.argv[2]):
    try:
        found = learn(path, target)
    except SystemExit as error:
        found = {"error": str(error)}
    print("FOUND " + json.dumps(found))
"""


def test_the_tour_with_its_default_data(touring_region):
    """The SDK v2 fits, deploys and predicts; needs no data but what scikit-learn brings."""
    done = touring_region.cli("tour", "--json")
    (line,) = done.stdout.splitlines()
    facts = json.loads(line)
    assert facts["auc"] > 0.98  # what a linear model reaches on this table
    assert (facts["train_rows"], facts["held_out_rows"]) == (426, 143)
    for way in ("converse", "converse_stream"):
        assert 0 < facts[way]["outputTokens"] <= 60
    assert facts["audit"]["ok"] is True
    assert list(facts["seconds"]) == ["upload", "train", "deploy", "predict", "converse", "clean"]
    assert "Train: SKLearn(...).fit()" in done.stderr
    sagemaker = touring_region.client("sagemaker")
    job = sagemaker.describe_training_job(TrainingJobName=facts["training_job"])
    assert job["TrainingJobStatus"] == "Completed"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == facts["model_data"]
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=facts["endpoint"])


def learn(*tables):
    """What the tour makes of each (path, target), all in one process of the clients' venv."""
    tables = json.dumps([(str(path), target) for path, target in tables])
    command = [client_python("sagemaker-v2"), "-W", "ignore", "-c", LEARN, TOUR, tables]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return [json.loads(line[len("FOUND ") :]) for line in lines]


def rows_of(number: int):
    """A class that the columns tell: words, gaps, codes with leading zeros, an empty column."""
    for row in range(number):
        side = row % 2
        score = "" if row % 11 == 0 else f"{side * 3 + (row * 7 % 10) / 5:.2f}"
        word = "" if row % 13 == 0 else ("north", "south")[side]
        code = f"{row % 5:03d}" if row % 3 else "n/a-x"
        yield score, word, code, "", ("no", "yes")[side]


CASES = {
    "commas": (",", "utf-8", "score,region,code,empty,class"),
    "semicolons": (";", "utf-8", "score;region;code;empty;class"),
    "tabs": ("\t", "utf-8", "score\tregion\tcode\tempty\tclass"),
    "a byte order mark": (",", "utf-8-sig", "score,region,code,empty,class"),
    "latin-1": (",", "latin-1", "score,région,code,empty,class"),
    "spaces in names": (",", "utf-8", 'score,"the region",code,empty,class'),
}


def test_tables_as_people_have_them(tmp_path):
    paths = []
    for case, (separator, encoding, header) in CASES.items():
        lines = [header, *(separator.join(row) for row in rows_of(240))]
        paths.append(tmp_path / f"{case}.csv")
        paths[-1].write_text("\n".join(lines) + "\n", encoding=encoding)
    for case, found in zip(CASES, learn(*((path, "class") for path in paths)), strict=True):
        assert (found["rows"], found["classes"]) == (240, 2), case
        assert found["auc"] > 0.95, case


def test_targets_that_need_a_word(tmp_path):
    """A number, a class too rare, and three that cannot be learnt: each is said."""
    number, rare, hopeless = (tmp_path / f"{name}.csv" for name in ("number", "rare", "hopeless"))
    lines = [f"{'' if n % 7 == 0 else n},{n * n % 17},{n * 1.5}" for n in range(200)]
    number.write_text("a,b,price\n" + "\n".join([*lines, "3,4,"]) + "\n")
    lines = [f"{n},{n % 3 + 9}" for n in range(120)]
    rare.write_text("a,kind\n" + "\n".join([*lines, "1,99"]) + "\n")
    hopeless.write_text("a,name,same\n" + "\n".join(f"{n},n{n},x" for n in range(60)) + "\n")
    impossible = [(hopeless, name) for name in ("name", "absent", "same")]
    found = learn((number, "price"), (rare, "kind"), *impossible)
    assert found[0]["rows"] == 200
    assert found[0]["auc"] > 0.9
    assert "above 149.25" in found[0]["notes"]
    assert "1 rows without price" in found[0]["notes"]
    assert (found[1]["rows"], found[1]["classes"]) == (120, 3)
    assert found[1]["notes"] == "1 rows of 1 rare classes are left out"
    for (_, name), refused in zip(impossible, found[2:], strict=True):
        assert name in refused["error"]


def test_real_tables(data):
    home = data / "missions" / "medical"
    solubility = "measured log solubility in mols per litre"
    least = {
        (home / "survival" / "lung.csv", "status"): 0.55,
        (home / "survival" / "gbsg2.csv", "cens"): 0.55,
        (home / "moleculenet" / "ESOL_delaney-processed.csv", solubility): 0.8,
    }
    for (case, bound), found in zip(least.items(), learn(*least), strict=True):
        assert found["auc"] > bound, case
