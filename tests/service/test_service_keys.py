"""`bastide keys …` on a live region: rotated, killed half-way, destroyed; all of it on record."""

import json

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import LAB, Desk

SMALL = 150  # more than one batch of data keys
BIG = bytes(range(256)) * 1024


@pytest.fixture
def s3(own_region):
    own_region.stop()
    own_region.toml += LAB
    own_region.start()
    return own_region.s3("kept")


def put(s3, datas):
    for key, body in datas.items():
        s3.put_object(Bucket="kept", Key=key, Body=body)


def get(s3, key):
    return s3.get_object(Bucket="kept", Key=key)["Body"].read()


def keys(region, *words):
    return json.loads(region.cli("keys", *words, "--json").stdout)


def files(region):
    home = region.folder / "objects"
    return {path.name: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_rotated_with_a_kill_in_between_then_destroyed(own_region, s3):
    account = own_region.account("demo")["account_id"]
    datas = {f"small-{number}": b"%d" % number for number in range(SMALL)} | {"big": BIG}
    put(s3, datas)
    stored = files(own_region)
    (before,) = keys(own_region, "list", "--agency", "demo")
    assert (before["objects"], before["versions"], before["behind"]) == (SMALL + 1, 1, 0)

    steps = own_region.control.steps("/keys/demo/rotate", {"label": None})
    assert next(steps)["done"] > 0
    own_region.kill()
    own_region.start()
    s3 = own_region.client("s3")
    (between,) = keys(own_region, "list", "--agency", "demo")
    assert between["versions"] == 2
    put(s3, {"after": b"after"})
    assert get(s3, "small-0") + get(s3, f"small-{SMALL - 1}") == b"0%d" % (SMALL - 1)
    assert get(s3, "big") == BIG

    (after,) = keys(own_region, "rotate", "demo", "--label", before["label"])
    assert (after["versions"], after["behind"], after["objects"]) == (3, 0, SMALL + 2)
    assert files(own_region) == stored
    put(s3, {"last": b"last"})
    for key, body in (datas | {"after": b"after", "last": b"last"}).items():
        assert get(s3, key) == body

    refused = own_region.cli("keys", "destroy", "demo", check=False)
    assert refused.returncode == 1
    assert f"makes {SMALL + 3} objects" in refused.stderr
    assert f"--confirm {account}" in refused.stderr
    assert get(s3, "last") == b"last"
    desk = Desk(own_region, own_region.home / "officers")
    (gone,) = json.loads(desk.destroy_keys("demo", "--confirm", account))
    assert (gone["lost"], gone["objects"]) == (SMALL + 3, 0)
    for key in ("small-0", "big", "last"):
        with pytest.raises(ClientError, match=r"KMS\.NotFoundException"):
            get(s3, key)
    put(s3, {"last": b"anew"})
    own_region.kill()
    own_region.start()
    s3 = own_region.client("s3")
    assert get(s3, "last") == b"anew"
    with pytest.raises(ClientError, match=r"KMS\.NotFoundException"):
        get(s3, "big")

    told = json.loads(own_region.cli("audit", "show", "--last", "5000", "--json").stdout)
    acts = [one for one in told if one.get("operation") in ("RotateKey", "DestroyKey")]
    assert [one["operation"] for one in acts] == ["RotateKey", "RotateKey", "DestroyKey"]
    for act in acts:
        assert act["account"] == account
        assert before["key"].startswith(act["facts"]["family"])
    assert own_region.cli("audit", "verify").returncode == 0


def test_commands_that_cannot_be(region):
    for words in (("rotate", "nobody"), ("destroy", "nobody"), ("list", "--agency", "nobody")):
        done = region.cli("keys", *words, check=False)
        assert done.returncode == 1
        assert "There is no agency nobody" in done.stderr
    assert region.cli("keys", "rotate", check=False).returncode == 2


def test_all_keys_are_renewed_at_once(own_region, s3):
    datas = {f"small-{number}": b"%d" % number for number in range(5)}
    put(s3, datas)
    other = own_region.s3("of-beta", "beta")
    other.put_object(Bucket="of-beta", Key="k", Body=BIG)
    (done,) = keys(own_region, "rotate", "--all")
    assert (done["keys"], done["data_keys"]) == (2, len(datas) + 1)
    assert [(row["versions"], row["behind"]) for row in keys(own_region, "list")] == [(2, 0)] * 2
    own_region.stop()
    own_region.start()
    assert own_region.client("s3").get_object(Bucket="kept", Key="small-1")["Body"].read() == b"1"
    got = own_region.client("s3", "beta").get_object(Bucket="of-beta", Key="k")
    assert got["Body"].read() == BIG
    refused = own_region.cli("keys", "rotate", check=False)
    assert refused.returncode == 2
