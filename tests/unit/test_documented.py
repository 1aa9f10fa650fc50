"""What a person can type is written down where a person looks."""

import re
from pathlib import Path

import typer.main

from bastide.cli.main import app

README = (Path(__file__).parents[2] / "README.md").read_text()


def commands() -> list[str]:
    root = typer.main.get_command(app)
    found = []
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        found += [f"{name} {one}" for one in inner] if inner else [name]
    return found


def test_every_command_is_in_the_readme():
    for command in commands():
        assert re.search(rf"`(bastide )?{command}\b", README), command


def test_every_command_says_what_it_does():
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        assert command.help, name
        for inner in getattr(command, "commands", {}).values():
            assert inner.help, f"{name} {inner.name}"
