"""Fail every step of a creation in turn, and run it twice: whichever use of whichever port fails,
before it took effect or after, the whole is there or nothing is, and asking again completes it.
"""

import os
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from bastide.db.schema import metadata
from bastide.kernel.errors import ServiceError, Unavailable

DISK = ((Path, "rename"), (Path, "replace"), (os, "fsync"), (os, "fdatasync"), (os, "link"))


class Saboteur:
    """Counts the uses of ports while it is armed, and lets one of them fail."""

    def __init__(self):
        self.uses, self.fails_at, self.after, self.armed = [], None, False, False

    def arm(self, fails_at=None, *, after=False):
        self.uses, self.fails_at, self.after, self.armed = [], fails_at, after, True

    def around(self, name, call):
        if not self.armed:
            return call()
        self.uses.append(name)
        if len(self.uses) - 1 != self.fails_at:
            return call()
        if self.after:
            call()
        if name.startswith("database"):
            raise Unavailable(f"{name} failed")
        raise OSError(28, f"{name} failed")

    def sit_at_the_disk(self, monkeypatch):
        """What names and syncs files fails like any other port."""
        for owner, name in DISK:
            real = getattr(owner, name)

            def between(*args, real=real, name=name):
                return self.around(f"disk.{name}", lambda: real(*args))

            monkeypatch.setattr(owner, name, between)

    def watch(self, steps):
        """The steps of a generator, any of which may be the last that somebody waits for."""
        told = []
        for step in steps:
            self.around("step", partial(told.append, step))
        return told[-1]


class Story:
    """One creation in a world of its own: `act` is what may fail, `restart` what a region does
    when it starts and goes on, `state` all that is durable. `taken` are the codes that say that
    it was done before."""

    taken = ()

    def __init__(self, folder, database, saboteur):
        folder.mkdir()
        database.clear()
        self.folder, self.database, self.saboteur = folder, database, saboteur
        self.prepare()

    def prepare(self):
        """Make the world, up to what `act` does."""

    def act(self):
        raise NotImplementedError

    def restart(self):
        """Nothing goes on here after the answer."""

    def state(self):
        return self.rows()

    def leftovers(self):
        """What may lie about until it is asked again, and not after that."""
        return []

    def close(self):
        """Let go of what it holds."""

    def rows(self):
        """How many of which."""

        def count(connection):
            found = {}
            for table in metadata.sorted_tables:
                found[table.name] = connection.scalar(select(func.count()).select_from(table))
            return found

        self.database.flush()
        return self.database.read(count)


class Trial:
    """Everything that can go wrong with one kind of story; `problems` says what did."""

    def __init__(self, kind, folder, database, saboteur):
        self.kind, self.folder, self.database, self.saboteur = kind, folder, database, saboteur
        self.problems, self.worlds = [], 0
        story = self.begin()
        self.before = story.state()
        self.saboteur.arm()
        story.act()
        self.saboteur.armed = False
        self.uses = list(self.saboteur.uses)
        story.restart()
        self.whole = story.state()
        story.close()

    def begin(self):
        self.worlds += 1
        return self.kind(self.folder / str(self.worlds), self.database, self.saboteur)

    def fail_every_step(self):
        for at, name in enumerate(self.uses):
            for after in (False, True):
                story = self.begin()
                self.fail_one(story, at, after, f"use {at}, {name}, {'after' * after}")
                story.close()

    def fail_one(self, story, at, after, where):
        self.saboteur.arm(at, after=after)
        try:
            story.act()
            refused = False
        except (Unavailable, OSError):
            refused = True
        self.saboteur.armed = False
        story.restart()
        state = story.state()
        if state != self.whole and not (refused and state == self.before):
            self.problems.append(f"{where}: {self.differs(state)}")
        self.again(story, state == self.whole, where)

    def act_twice(self):
        story = self.begin()
        story.act()
        story.restart()
        self.again(story, True, "twice")
        story.close()

    def again(self, story, whole, where):
        """Asking again answers as ever, or that it was done; and then it was."""
        try:
            story.act()
        except ServiceError as error:
            if not whole or error.code not in story.taken:
                self.problems.append(f"{where}, again: {error}")
        story.restart()
        if story.state() != self.whole:
            self.problems.append(f"{where}, again: {self.differs(story.state())}")
        if left := story.leftovers():
            self.problems.append(f"{where}, again: {left} is left")

    def differs(self, state):
        return {
            key: (self.before.get(key), state.get(key), self.whole.get(key))
            for key in {*self.before, *state, *self.whole}
            if not self.before.get(key) == state.get(key) == self.whole.get(key)
        }
