"""What a training job is made of, and what it makes, as nodes of the graph of derivations.

Under which labels a job's inputs lie is known once they were staged; "" stands for it until then.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bastide.db.derivations import Thing
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from bastide.training import contract
from bastide.training.transfer import arn_of

Params = Mapping[str, Any]
Read = Mapping[str, Label]  # by URI: the join of what was read there


def inputs(region: Region, request: Params, read: Read | None = None) -> list[Thing]:
    """What a job is made of: its channels, its source and the checkpoints that it goes on from."""
    known = read or {}
    uris = dict.fromkeys(_uris(request))
    if saved := request.get("CheckpointConfig"):
        uris |= {uri: None for uri in (saved["S3Uri"],) if uri in known}
    return [Thing(arn_of(region, uri), _text(known.get(uri))) for uri in uris]


def checkpoints(region: Region, request: Params, label: str) -> list[Thing]:
    saved = request.get("CheckpointConfig")
    return [Thing(arn_of(region, saved["S3Uri"]), label)] if saved else []


def _uris(request: Params) -> Iterator[str]:
    for channel in request.get("InputDataConfig") or []:
        yield channel["DataSource"]["S3DataSource"]["S3Uri"]
    if uri := contract.source_uri(request):
        yield uri


def _text(label: Label | None) -> str:
    return "" if label is None else label.text
