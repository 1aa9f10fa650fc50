"""What becomes the region's when it gets a user id of its own, and what it is shown."""

import os

import pytest

from bastide.app import apart


@pytest.mark.root
def test_what_root_made_becomes_the_region_s_and_what_a_job_made_stays_its_own(tmp_path):
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "master").touch()
    (home / "link").symlink_to("/etc/passwd")
    work = home / "jobs"
    work.mkdir()
    (work / "of-root").touch()
    os.chown(work, 5, 5)
    apart._own_home(home, 7)
    theirs = {each.name: each.lstat().st_uid for each in (home, *home.rglob("*"))}
    assert theirs == {
        "home": 7, "keys": 7, "master": 7, "link": 7, "tmp": 7, "jobs": 5, "of-root": 0
    }  # fmt: skip
    assert os.stat("/etc/passwd").st_uid == 0


@pytest.mark.root
def test_a_folder_that_is_the_region_s_is_not_looked_through_again(tmp_path):
    apart._own_home(tmp_path, 7)
    (tmp_path / "later").touch()
    apart._own_home(tmp_path, 7)
    assert (tmp_path / "later").stat().st_uid == 0


def test_the_first_closed_folder_on_the_way_is_found(tmp_path):
    tmp_path.chmod(0o755)
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "b").chmod(0o700)
    outer = [each for each in tmp_path.parents if not each.stat().st_mode & 0o001]
    assert apart._closed_above(deep) == (outer[-1:] or [tmp_path / "a" / "b"])
    (tmp_path / "a").chmod(0o700)
    assert apart._closed_above(deep) == (outer[-1:] or [tmp_path / "a"])


def test_outside_of_a_user_namespace_an_id_is_itself():
    assert apart.own_uid() == os.getuid()
