"""What a person can type is written down where a person looks."""

import re
from pathlib import Path
from typing import Any

import typer.main

from bastide.cli.approvals import WORDS
from bastide.cli.main import app
from bastide.kernel.approvals import Kind

TALKS = {"quickstart"}  # a guide for people: each of its steps is a command that has --json
README = (Path(__file__).parents[2] / "README.md").read_text()


def commands() -> dict[str, Any]:
    """Every command that does something, by the words that a person types."""
    root = typer.main.get_command(app)
    found = {}
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        found |= (
            {f"{name} {one}": made for one, made in inner.items()} if inner else {name: command}
        )
    return found


def test_every_command_is_in_the_readme():
    for command in commands():
        assert re.search(rf"`(bastide )?{command}\b", README), command


def test_no_command_is_told_of_in_two_lines():
    said = re.findall(r"^\| `bastide (.+?) \|", README, re.MULTILINE)
    assert sorted(said) == sorted(set(said))


def test_every_kind_of_approval_has_its_words():
    assert set(WORDS) == set(Kind)


def test_every_command_that_prints_data_takes_json():
    for name, command in commands().items():
        options = [option for one in command.params for option in one.opts]
        assert ("--json" in options) != (name in TALKS), name


def test_every_command_says_what_it_does():
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        assert command.help, name
        for inner in getattr(command, "commands", {}).values():
            assert inner.help, f"{name} {inner.name}"
