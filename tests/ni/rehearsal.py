"""What the pairs play, told without a region: chapters and histories are walked through with
answers that hold whatever is looked for in them."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.ni import (
    chapters,
    chapters_agents,
    chapters_engines,
    chapters_kept,
    chapters_people,
    doings,
    ending,
    minds,
)
from tests.ni.doings import Doings
from tests.ni.memory import Memory, Step
from tests.ni.stage import Agency
from tests.ni.thinking import Cast, Chapter, Steps, Thoughts, Until

CHAPTERS: dict[str, Chapter] = {
    **chapters.CHAPTERS, **chapters_agents.CHAPTERS, **chapters_engines.CHAPTERS,
    **chapters_kept.CHAPTERS, **chapters_people.CHAPTERS,
}  # fmt: skip
AT_A_DOOR = re.compile(r'call\(\s*"([a-z0-9-]+\.[A-Z]\w+)"')  # in tests/ni/minds.py
SEEDS = 20  # of each thing that is drawn


class Anything(dict[str, Any]):
    """An answer in which everything is found, and which is a name too."""

    def __missing__(self, name: str) -> "Anything":
        return Anything()

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return "name"


def walked(steps: Steps) -> Iterator[Step]:
    """A chapter's steps, as the generator makes them."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration:
            return
        yield step.step if isinstance(step, Until) else step
        answer = Anything()


def named(steps: Iterable[Step]) -> set[str]:
    return {f"{service}.{operation}" for service, operation, _ in steps}


def below(chapter: Chapter) -> set[str]:
    """What the chapter's observer does."""
    it = Cast(Agency("1" * 12, "", {}, {}), "role", "seed", Thoughts("1" * 12))
    return named(walked(chapter.begin(it))) | named(walked(chapter.below(it)))


def drawn() -> set[str]:
    """What the histories of tests/ni/pairs.py do below."""
    found: set[str] = set()
    for seed in range(SEEDS):
        it = Doings(str(seed), Memory("arn:aws:iam::1:role/x", datetime.now(UTC)))
        found |= named(draw(it) for draw in (*doings.CHANGES, *doings.LOOKS))
        found |= named(ending.looks(it))
    return found


def at_doors() -> set[str]:
    """What the histories of tests/ni/minds.py ask at the contexts' doors, by AWS's names."""
    return set(AT_A_DOOR.findall(Path(minds.__file__).read_text()))
