"""Keys are apart from the data: what is shredded is gone from every backup of the data too."""

import shutil

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import LAB, Desk

BODY = b"what must not come back" * 5_000


def backup_of(live, target):
    """All of a region's folder but its keys, as a backup of its data takes it."""
    shutil.copytree(
        live.folder, target, symlinks=True,
        ignore=shutil.ignore_patterns("keys", "*.sock", "region.lock", "region.log"),
    )  # fmt: skip


def restored(live, source):
    live.stop()
    for path in live.folder.iterdir():
        if path.name not in ("keys", "region.log"):
            (shutil.rmtree if path.is_dir() and not path.is_symlink() else type(path).unlink)(path)
    shutil.copytree(source, live.folder, symlinks=True, dirs_exist_ok=True)
    live.start()


@pytest.mark.usefixtures("sqlite_only")
def test_a_backup_of_the_data_does_not_bring_back_what_was_shredded(own_region, tmp_path):
    own_region.stop()
    own_region.toml += LAB
    own_region.start()
    s3 = own_region.s3("secrets", "alpha")
    kept = own_region.s3("kept", "beta")
    s3.put_object(Bucket="secrets", Key="large", Body=BODY)
    s3.put_object(Bucket="secrets", Key="small", Body=b"small")
    kept.put_object(Bucket="kept", Key="k", Body=BODY)
    own_region.stop()
    backup_of(own_region, tmp_path / "backup")
    own_region.start()
    account = own_region.account("alpha")["account_id"]
    Desk(own_region, tmp_path / "officers").destroy_keys("alpha", "--confirm", account)
    restored(own_region, tmp_path / "backup")
    s3, kept = own_region.client("s3", "alpha"), own_region.client("s3", "beta")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket="secrets")["Contents"]]
    assert names == ["large", "small"]
    for name in names:
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket="secrets", Key=name)
        assert caught.value.response["Error"]["Code"] == "KMS.NotFoundException"
    assert kept.get_object(Bucket="kept", Key="k")["Body"].read() == BODY


@pytest.mark.usefixtures("sqlite_only")
def test_without_the_shredding_the_same_backup_is_read(own_region, tmp_path):
    s3 = own_region.s3("secrets", "alpha")
    s3.put_object(Bucket="secrets", Key="large", Body=BODY)
    own_region.stop()
    backup_of(own_region, tmp_path / "backup")
    restored(own_region, tmp_path / "backup")
    s3 = own_region.client("s3", "alpha")
    assert s3.get_object(Bucket="secrets", Key="large")["Body"].read() == BODY
