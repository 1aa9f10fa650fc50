"""The labels that rows carry; the only SQL about them."""

from sqlalchemy import Column, Connection, String, Table, insert, select

from bastide.db.schema import metadata

labels = Table("labels_in_use", metadata, Column("label", String(1024), primary_key=True))


def all_of(c: Connection) -> list[str]:
    return [row[0] for row in c.execute(select(labels))]


def keep(c: Connection, text: str) -> None:
    if c.execute(select(labels).where(labels.c.label == text)).first() is None:
        c.execute(insert(labels).values(label=text))


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
