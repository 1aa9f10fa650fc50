"""Models, endpoint configurations and endpoints. Every question names the account first."""

import json
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from bastide.db import named
from bastide.db.schema import metadata
from bastide.kernel.labels.view import View
from bastide.serving.model import Deployment, Endpoint, EndpointStatus, Key, Resource


def _resources(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("account", String(12), primary_key=True),
        Column("name", String(64), primary_key=True),
        Column("label", String(1024), primary_key=True),
        Column("arn", String(256), nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("request", Text, nullable=False),
        Index(f"ix_{name}_arn", "account", "arn"),
    )


models = _resources("serving_models")
configs = _resources("serving_endpoint_configs")
endpoints = Table(
    "serving_endpoints",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("arn", String(256), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("failure", Text, nullable=False),
    Column("body", Text, nullable=False),  # live, next, old and policy as JSON
    Index("ix_serving_endpoints_arn", "account", "arn"),
)


def find(c: Connection, table: Table, account: str, name: str, view: View) -> Resource | None:
    row = named.found(c, table, account, name, view)
    return None if row is None else _resource(row)


def add(c: Connection, table: Table, new: Resource) -> bool:
    """False if the name is taken."""
    if named.is_taken(c, table, new.account, new.arn, new.label):
        return False
    c.execute(insert(table).values(**{**asdict(new), "request": json.dumps(new.request)}))
    return True


def remove(c: Connection, table: Table, gone: Resource) -> bool:
    """False if there is nothing."""
    key = gone.account, gone.name, gone.label
    return c.execute(delete(table).where(*_is(table, key))).rowcount > 0


def seen_endpoint(c: Connection, account: str, name: str, view: View) -> Endpoint | None:
    """The endpoint of that name that a session finds."""
    row = named.found(c, endpoints, account, name, view)
    return None if row is None else _endpoint(row)


def find_endpoint(c: Connection, key: Key) -> Endpoint | None:
    row = c.execute(select(endpoints).where(*_is(endpoints, key))).first()
    return None if row is None else _endpoint(row)


def add_endpoint(c: Connection, new: Endpoint) -> bool:
    """False if the name is taken."""
    if named.is_taken(c, endpoints, new.account, new.arn, new.label):
        return False
    c.execute(insert(endpoints).values(_values(new)))
    return True


def replace_endpoint(c: Connection, before: Endpoint, after: Endpoint) -> bool:
    """False if it is not as it was any more: somebody else was quicker."""
    if find_endpoint(c, before.key) != before:
        return False
    c.execute(update(endpoints).where(*_is(endpoints, before.key)).values(_values(after)))
    return True


def remove_endpoint(c: Connection, gone: Endpoint) -> None:
    c.execute(delete(endpoints).where(*_is(endpoints, gone.key)))


def unsettled(c: Connection, every: bool) -> list[Key]:
    """The endpoints that somebody has to look after; or all."""
    t = endpoints.c
    asked = select(t.account, t.name, t.label).order_by(t.account, t.name, t.label)
    if not every:
        asked = asked.where(t.status.in_(["Creating", "Updating", "Deleting"]))
    return [(row.account, row.name, row.label) for row in c.execute(asked)]


def _is(table: Table, key: Key) -> tuple[ColumnElement[bool], ...]:
    account, name, label = key
    return table.c.account == account, table.c.name == name, table.c.label == label


def _values(endpoint: Endpoint) -> dict[str, Any]:
    body = {
        "live": asdict(endpoint.live) if endpoint.live else None,
        "next": asdict(endpoint.next) if endpoint.next else None,
        "old": list(endpoint.old),
        "policy": endpoint.policy,
    }
    return {
        "account": endpoint.account,
        "name": endpoint.name,
        "label": endpoint.label,
        "arn": endpoint.arn,
        "status": str(endpoint.status),
        "created_ms": endpoint.created_ms,
        "changed_ms": endpoint.changed_ms,
        "failure": endpoint.failure,
        "body": json.dumps(body),
    }


def _endpoint(row: Any) -> Endpoint:
    body = json.loads(row.body)
    return Endpoint(
        account=row.account,
        name=row.name,
        label=row.label,
        arn=row.arn,
        status=EndpointStatus(row.status),
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        failure=row.failure,
        live=_deployment(body["live"]),
        next=_deployment(body["next"]),
        old=tuple(body["old"]),
        policy=body.get("policy"),
    )


def _deployment(body: Any) -> Deployment | None:
    return None if body is None else msgspec.convert(body, Deployment)


def _resource(row: Any) -> Resource:
    return Resource(
        account=row.account,
        name=row.name,
        label=row.label,
        arn=row.arn,
        created_ms=row.created_ms,
        request=json.loads(row.request),
    )
