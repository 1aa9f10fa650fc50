"""What a replica prints, from the writer's files to the reader's lines."""

from bastide.jobs import outlog


def test_what_ends_a_segment_while_it_is_read_is_not_lost(tmp_path, monkeypatch):
    """The writer goes on just when the reader asks whether there is a further segment."""
    monkeypatch.setattr(outlog, "SEGMENT_MAX", 20)
    log, reader = outlog.OutLog(str(tmp_path), 0), outlog.Reader(str(tmp_path))
    log.write([b"first"], 0)
    assert reader.read() == [(0, "first")]
    exists, late = outlog.os.path.exists, [b"the last of its segment"]

    def asked(path):
        if path.endswith("log.1") and late:
            log.write([late.pop()], 0)
        return exists(path)

    monkeypatch.setattr(outlog.os.path, "exists", asked)
    lines = reader.read()
    log.write([b"of the next"], 0)
    log.close(0)
    assert [*lines, *reader.read(), *reader.read()] == [
        (0, "the last of its segment"),
        (0, "of the next"),
    ]
