"""What a key costs before its signature is looked at: the same whether it is known or not."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from bastide.identity.access_keys import KnownKeys


@contextmanager
def queries(site):
    """Every statement that is run meanwhile."""
    seen: list[str] = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement)

    event.listen(site.directory.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(site.directory.database.engine, "before_cursor_execute", note)


def cost(site, ask) -> int:
    with queries(site) as seen:
        ask()
    return len(seen)


@pytest.fixture
def key(site, admin):
    return site.keys.create_access_key(site.call(admin), {"UserName": "administrator"})["AccessKey"]


def test_a_stranger_costs_what_a_known_key_does(site, admin, key):
    now, token = site.clock.now(), site.agencies.issue_bearer(admin.account)
    find, bearer = site.credentials.find, site.credentials.bearer
    assert find(key["AccessKeyId"], None, now)
    assert bearer(token, now)
    for ask in (
        lambda: find(key["AccessKeyId"], None, now),
        lambda: find("AKIA2222222222222222", None, now),
        lambda: find("ASIA2222222222222222", None, now),
        lambda: find("ASIA2222222222222222", "rubbish", now),
        lambda: bearer(token, now),
        lambda: bearer("ABSKrubbish", now),
    ):
        assert cost(site, ask) == 0


@pytest.mark.parametrize("end", ["inactive", "deleted"])
def test_nor_does_a_key_that_is_no_longer_one(site, admin, key, end):
    call, now = site.call(admin), site.clock.now()
    named = {"UserName": "administrator", "AccessKeyId": key["AccessKeyId"]}
    if end == "inactive":
        site.keys.update_access_key(call, named | {"Status": "Inactive"})
    else:
        site.keys.delete_access_key(call, named)
    assert site.credentials.find(key["AccessKeyId"], None, now) is None
    assert cost(site, lambda: site.credentials.find(key["AccessKeyId"], None, now)) == 0
    if end == "inactive":
        site.keys.update_access_key(call, named | {"Status": "Active"})
        assert site.credentials.find(key["AccessKeyId"], None, now)


def test_all_keys_are_known_after_a_start(site, admin, key):
    token = site.agencies.issue_bearer(admin.account)
    known = KnownKeys(site.directory.database)
    assert key["AccessKeyId"] in known
    assert known._held == site.agencies.maker.known._held
    assert token not in known
