"""The labels that rows carry, and what a label means in this region; the only SQL about both."""

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from bastide.db.schema import metadata

labels = Table("labels_in_use", metadata, Column("label", String(1024), primary_key=True))
settings = Table(
    "label_settings",
    metadata,
    Column("which", String(8), primary_key=True),
    Column("said", Text, nullable=False),
)
NOW, NEXT = "now", "next"  # what the region works with; what two officers have signed for


def all_of(c: Connection) -> list[str]:
    return [row[0] for row in c.execute(select(labels))]


def keep(c: Connection, text: str) -> None:
    if c.execute(select(labels).where(labels.c.label == text)).first() is None:
        c.execute(insert(labels).values(label=text))


def said(c: Connection) -> dict[str, str]:
    return {row.which: row.said for row in c.execute(select(settings))}


def say_next(c: Connection, text: str) -> None:
    c.execute(delete(settings).where(settings.c.which == NEXT))
    c.execute(insert(settings).values(which=NEXT, said=text))


def say_now(c: Connection, text: str) -> None:
    """From now on that alone."""
    c.execute(delete(settings))
    c.execute(insert(settings).values(which=NOW, said=text))
