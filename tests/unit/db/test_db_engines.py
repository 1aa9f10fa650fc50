"""Opening a database that does not exist yet."""

import threading

from sqlalchemy import text

from bastide.db.engines import new_engine

ROUNDS, OPENERS = 40, 8


def open_at_once(url: str) -> list[str]:
    failures: list[str] = []
    begin = threading.Barrier(OPENERS)

    def run() -> None:
        begin.wait()
        engine = new_engine(url)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception as error:  # told to the test's own thread
            failures.append(str(error))
        engine.dispose()

    threads = [threading.Thread(target=run) for _ in range(OPENERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path):
    for number in range(ROUNDS):
        assert open_at_once(f"sqlite:///{tmp_path}/{number}.db") == []
