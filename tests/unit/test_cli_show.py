"""What a person reads, and what a machine reads."""

import io
import json

from rich.console import Console

from bastide.cli import show


def test_a_table_is_in_words(capsys):
    rows = [{"name": "a", "built": True, "images": ["x", "y"]}, {"name": "b", "built": False}]
    show.table(rows, ("name", "built", "images"), "nothing")
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "built", "images"]
    assert first.split() == ["a", "yes", "x,", "y"]
    assert second.split() == ["b", "no"]
    show.table([], ("name",), "nothing")
    assert capsys.readouterr().out == "nothing\n"


def test_a_document_is_one_line_and_whole(capsys):
    rows = [{"name": "é" * 300, "built": True}]
    show.rows(rows, ("name",), "nothing", json_=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == rows


def test_what_others_wrote_is_shown_as_it_is(capsys):
    """A reason, a label or a name is no markup, and moves no cursor."""
    rows = [{"reason": "[red]fire[/] [/] [black on black]x", "by": "ann\x1b[2K\u202e\r"}]
    show.table(rows, ("reason", "by"), "nothing")
    _, line = capsys.readouterr().out.splitlines()
    assert line.split("  ")[0] == "[red]fire[/] [/] [black on black]x"
    assert line.split("  ")[1].strip() == r"ann\x1b[2K\u202e\r"


def test_what_went_wrong_is_no_markup_and_moves_no_cursor(capsys):
    """A filter that was taken over may have written it, or whoever named an object."""
    show.failed(ValueError("[/] \x1b[2Kit \x9b2K[red]passed\u202e\nbut"))
    assert capsys.readouterr().err == ("error: [/] \\x1b[2Kit \\x9b2K[red]passed\\u202e\nbut\n")


def test_what_goes_on_is_no_markup(monkeypatch):
    """A step's words may hold a policy's text, which came from another region."""
    screen = io.StringIO()
    monkeypatch.setattr(show, "err", Console(file=screen, force_terminal=True, width=200))
    steps = [{"step": '["a", "[/]"] \x1b]0;mine'}, {"result": 1}]
    assert show.follow(iter(steps), "work") == 1
    assert '["a", "[/]"]' in screen.getvalue()
    assert "\x1b]0;" not in screen.getvalue()
