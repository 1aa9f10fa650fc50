"""Models, endpoint configurations and endpoints. Every question names the account first."""

import json
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
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

from bastide.db.named import exists
from bastide.db.schema import metadata
from bastide.serving.model import Deployment, Endpoint, EndpointStatus, Resource


def _resources(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("account", String(12), primary_key=True),
        Column("name", String(64), primary_key=True),
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
    Column("arn", String(256), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("failure", Text, nullable=False),
    Column("body", Text, nullable=False),  # live, next, old and policy as JSON
    Index("ix_serving_endpoints_arn", "account", "arn"),
)


def find(c: Connection, table: Table, account: str, name: str) -> Resource | None:
    row = c.execute(select(table).where(table.c.account == account, table.c.name == name)).first()
    return None if row is None else _resource(row)


def add(c: Connection, table: Table, new: Resource) -> bool:
    """False if the name is taken."""
    if exists(c, table, new.account, new.arn):
        return False
    c.execute(insert(table).values(**{**asdict(new), "request": json.dumps(new.request)}))
    return True


def remove(c: Connection, table: Table, account: str, name: str) -> Resource | None:
    """What was removed, or None if there was nothing."""
    found = find(c, table, account, name)
    c.execute(delete(table).where(table.c.account == account, table.c.name == name))
    return found


def find_endpoint(c: Connection, account: str, name: str) -> Endpoint | None:
    t = endpoints.c
    row = c.execute(select(endpoints).where(t.account == account, t.name == name)).first()
    return None if row is None else _endpoint(row)


def add_endpoint(c: Connection, new: Endpoint) -> bool:
    """False if the name is taken."""
    if exists(c, endpoints, new.account, new.arn):
        return False
    c.execute(insert(endpoints).values(_values(new)))
    return True


def replace_endpoint(c: Connection, before: Endpoint, after: Endpoint) -> bool:
    """False if it is not as it was any more: somebody else was quicker."""
    if find_endpoint(c, before.account, before.name) != before:
        return False
    t = endpoints.c
    mine = (t.account == before.account) & (t.name == before.name)
    c.execute(update(endpoints).where(mine).values(_values(after)))
    return True


def remove_endpoint(c: Connection, gone: Endpoint) -> None:
    t = endpoints.c
    c.execute(delete(endpoints).where(t.account == gone.account, t.name == gone.name))


def unsettled(c: Connection, every: bool) -> list[tuple[str, str]]:
    """(account, name) of the endpoints that somebody has to look after; or of all."""
    t = endpoints.c
    asked = select(t.account, t.name).order_by(t.account, t.name)
    if not every:
        asked = asked.where(t.status.in_(["Creating", "Updating", "Deleting"]))
    return [(row.account, row.name) for row in c.execute(asked)]


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
        arn=row.arn,
        created_ms=row.created_ms,
        request=json.loads(row.request),
    )
