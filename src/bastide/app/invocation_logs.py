"""Logs of models' invocations, joined to the store, to CloudWatch's logs and to roles."""

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.db.marks import Marks
from bastide.logs.sink import LogSink
from bastide.models.invocation_delivery import InvocationLogs
from bastide.models.invocation_logging import InvocationLogging


def invocation_logs(core: Core, identity: Identity, store: Store) -> InvocationLogs:
    return InvocationLogs(
        region=core.region,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        labelling=identity.labelling,
        roles=identity.roles,
        permits=identity.authorizer,
        objects=store.space,
        lines=LogSink(database=core.database, labels=core.labels, clock=core.clock),
    )


def logging_of(core: Core, identity: Identity, logs: InvocationLogs) -> InvocationLogging:
    return InvocationLogging(
        database=core.database,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
        clock=core.clock,
        roles=identity.roles,
        logs=logs,
    )
