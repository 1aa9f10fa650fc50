"""What the region's file said that two officers must sign for, kept beside its data; the only SQL
about it."""

from dataclasses import dataclass

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from bastide.db.schema import metadata

settings = Table(
    "label_settings",
    metadata,
    Column("which", String(8), primary_key=True),
    Column("said", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Pin:
    """Where it is kept: what the region works with, and what two officers have signed for."""

    now: str
    next: str


LABELS = Pin("now", "next")  # what a label means
RULES = Pin("rules", "rules+")  # what one person may do alone


def said(c: Connection, pin: Pin) -> tuple[str | None, str | None]:
    """What the region works with, and what it may begin with."""
    found = {row.which: row.said for row in c.execute(select(settings))}
    return found.get(pin.now), found.get(pin.next)


def say_next(c: Connection, pin: Pin, text: str) -> None:
    c.execute(delete(settings).where(settings.c.which == pin.next))
    c.execute(insert(settings).values(which=pin.next, said=text))


def unsay_next(c: Connection, pin: Pin) -> bool:
    """What was signed for and has not begun is taken back. Whether there was anything."""
    return c.execute(delete(settings).where(settings.c.which == pin.next)).rowcount > 0


def say_now(c: Connection, pin: Pin, text: str) -> None:
    """From now on that alone."""
    c.execute(delete(settings).where(settings.c.which.in_((pin.now, pin.next))))
    c.execute(insert(settings).values(which=pin.now, said=text))
