"""The region that an evaluation asks: the one that the environment names (`bastide client-env`),
else one of its own in a temporary folder, with the weights that it needs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.live import NAME, LiveRegion

ENDPOINT = "AWS_ENDPOINT_URL"
READ_TIMEOUT_S = 600
CONFIG = {"read_timeout": READ_TIMEOUT_S, "retries": {"max_attempts": 1}}
TOML = f"[regions.{NAME}]\nport = 0\n[regions.{NAME}.engines]\nslots = 2\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A region, and in it the id of the model that answers."""

    model_id: str
    live: LiveRegion | None

    def client(self, service: str) -> Any:
        if self.live is None:
            return boto3.client(service, config=Config(**CONFIG))
        return self.live.client(service, "evals", read_timeout=READ_TIMEOUT_S)


@contextmanager
def region_for(model: str, toml: str = TOML, *, pulls: bool = True) -> Iterator[Asked]:
    """`model`: an id, or a name of the catalogue, whose weights are pulled."""
    if os.environ.get(ENDPOINT):
        yield Asked(_known(boto3.client("bedrock", config=Config(**CONFIG)), model), None)
        return
    with tempfile.TemporaryDirectory() as home:
        live = LiveRegion(Path(home), toml=toml).start()
        try:
            if pulls:
                live.cli("models", "pull", _name_of(live, model))
            yield Asked(_known(live.client("bedrock", "evals"), model), live)
        finally:
            live.stop()


def _name_of(live: LiveRegion, model: str) -> str:
    """The catalogue's name of a model that may be called by its id."""
    rows = live.control.get("/models")
    return next((row["name"] for row in rows if model in (row["model_id"], row["name"])), model)


def _known(bedrock: Any, model: str) -> str:
    """The id of a model of this region. Raises SystemExit."""
    rows = bedrock.list_foundation_models()["modelSummaries"]
    plain = model.replace(".", "-")
    for row in rows:
        if row["modelId"] == model or plain in row["modelId"]:
            return str(row["modelId"])
    raise SystemExit(f"No model {model} here: {', '.join(row['modelId'] for row in rows)}.")
