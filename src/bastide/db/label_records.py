"""The labels that rows carry; the only SQL about them."""

from sqlalchemy import Column, Connection, String, Table, insert, select

from bastide.db.schema import metadata

labels = Table("labels_in_use", metadata, Column("label", String(1024), primary_key=True))


def all_of(c: Connection) -> list[str]:
    return [row[0] for row in c.execute(select(labels))]


def keep(c: Connection, text: str) -> None:
    if c.execute(select(labels).where(labels.c.label == text)).first() is None:
        c.execute(insert(labels).values(label=text))
