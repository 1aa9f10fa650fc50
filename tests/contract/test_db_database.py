"""The writer commits in groups, in order, and no write takes another with it."""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bastide.db import Database
from bastide.kernel.errors import Unavailable

DEADLINE_S = 30


@pytest.fixture
def table(database):
    database.write(lambda c: c.execute(text("CREATE TABLE things (n INTEGER PRIMARY KEY)")))
    return database


def add(number):
    return lambda c: c.execute(text("INSERT INTO things VALUES (:n)"), {"n": number}).rowcount


def numbers(database):
    return database.read(
        lambda c: list(c.execute(text("SELECT n FROM things ORDER BY n")).scalars())
    )


def blocked(database):
    """Hold the writer until the answer is called, so that what follows makes one group."""
    entered, gate = threading.Event(), threading.Event()

    def wait(_connection):
        entered.set()
        assert gate.wait(DEADLINE_S)

    database.submit(wait)
    assert entered.wait(DEADLINE_S)
    return gate.set


def test_writes_commit_in_order_and_answer(table):
    assert [table.submit(add(n)).result(DEADLINE_S) for n in range(3)] == [1, 1, 1]
    assert numbers(table) == [0, 1, 2]


def test_a_failing_write_takes_nobody_with_it(table):
    release = blocked(table)
    written = [table.submit(add(n)) for n in (1, 1, 2)]
    release()
    assert written[0].result(DEADLINE_S) == 1
    assert isinstance(written[1].exception(DEADLINE_S), IntegrityError)
    assert written[2].result(DEADLINE_S) == 1
    assert numbers(table) == [1, 2]


def test_a_failing_write_alone_is_rolled_back(table):
    def half(connection):
        add(1)(connection)
        raise LookupError("no")

    with pytest.raises(LookupError):
        table.write(half)
    assert numbers(table) == []


def test_a_commit_that_fails_is_tried_one_by_one(table, database_url):
    """A deferred foreign key is only looked at by COMMIT."""
    database = table
    database.write(
        lambda c: c.execute(
            text(
                "CREATE TABLE parts (of INTEGER REFERENCES things (n) "
                "DEFERRABLE INITIALLY DEFERRED)"
            )
        )
    )
    release = blocked(database)
    good = database.submit(add(1))
    bad = database.submit(lambda c: c.execute(text("INSERT INTO parts VALUES (9)")).rowcount)
    late = database.submit(add(2))
    release()
    assert (good.result(DEADLINE_S), late.result(DEADLINE_S)) == (1, 1)
    assert isinstance(bad.exception(DEADLINE_S), IntegrityError)
    assert numbers(database) == [1, 2]


def test_closing_writes_what_was_submitted_and_takes_no_more(table, database_url):
    release = blocked(table)
    written = [table.submit(add(n)) for n in range(600)]
    closer = threading.Thread(target=table.close)
    closer.start()
    release()
    closer.join(DEADLINE_S)
    assert all(each.result(0) == 1 for each in written)
    with pytest.raises(Unavailable):
        table.submit(add(1000))
    again = Database(database_url)
    again.start()
    assert len(numbers(again)) == 600
    again.close()


def test_a_database_that_was_not_started_takes_no_writes(database_url):
    with pytest.raises(Unavailable):
        Database(database_url).write(lambda c: None)


def test_a_cancelled_write_is_not_done_and_harms_nobody(table):
    release = blocked(table)
    cancelled, kept = table.submit(add(1)), table.submit(add(2))
    assert cancelled.cancel()
    release()
    assert kept.result(DEADLINE_S) == 1
    assert numbers(table) == [2]


def test_a_read_sees_one_snapshot(table):
    def twice(connection):
        before = connection.execute(text("SELECT count(*) FROM things")).scalar()
        table.write(add(1))
        return before, connection.execute(text("SELECT count(*) FROM things")).scalar()

    assert table.read(twice) == (0, 0)
    assert numbers(table) == [1]


def test_many_threads(table):
    def run(first):
        for number in range(first, first + 50):
            table.write(add(number))

    threads = [threading.Thread(target=run, args=(n * 50,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert numbers(table) == list(range(400))


def test_a_lost_connection_is_unavailable_and_then_made_anew(postgres):
    database = Database(postgres.new_database())
    database.start()
    database.write(lambda c: c.execute(text("CREATE TABLE things (n INTEGER PRIMARY KEY)")))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    ended += " AND datname = current_database()"
    for first in (0, 10, 20):
        with database.engine.connect() as other:
            other.execute(text(ended))
        release = blocked_or_lost(database)
        written = [database.submit(add(n)) for n in range(first, first + 3)]
        release()
        for each in written:
            assert isinstance(each.exception(DEADLINE_S), Unavailable | None)
        database.write(add(first + 5))
    assert {5, 15, 25} <= set(numbers(database))
    database.close()


def blocked_or_lost(database):
    """Like `blocked`, where the connection may be found lost before the wait begins."""
    gate = threading.Event()
    database.submit(lambda _: gate.wait(DEADLINE_S))
    return gate.set
