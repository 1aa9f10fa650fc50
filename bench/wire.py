"""Converse and CreateTrainingJob through the protocol layer, beside LocalStack's and moto's.

The same work: route, parse and serialise. LocalStack also validates; moto routes elsewhere and
validates nothing, so ours is given with and without validation.
"""

import json
import subprocess
from collections.abc import Callable

from bastide.wire.model import Catalogue
from bastide.wire.parse import Parsers
from bastide.wire.route import Router
from bastide.wire.serialize import Serializers
from bastide.wire.types import RawRequest
from bastide.wire.validate import Validators
from bench.common import ROOT, Report, arguments, peer_python
from bench.peers import wire_work as work

PEERS_DIR = ROOT / "bench" / "peers"


def _request(path: str, headers: dict[str, str]) -> RawRequest:
    return RawRequest(
        method="POST",
        raw_path=path,
        raw_query="",
        headers=(("host", "localhost"), *headers.items()),
        secure=True,
        source_ip="127.0.0.1",
    )


CONVERSE = _request(work.CONVERSE_PATH, {"content-type": "application/json"})
TRAINING = _request(
    "/",
    {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "SageMaker.CreateTrainingJob",
    },
)


def rounds(router: Router, *, validated: bool) -> dict[str, Callable[[], object]]:
    parsers, validators, serializers = Parsers(), Validators(), Serializers()

    def one(raw: RawRequest, signing: str, body: bytes, answer: dict[str, object]) -> object:
        route = router.resolve(raw, signing)
        params = parsers.parse(route, raw, body)
        if validated:
            validators.validate(route.operation, params)
        return serializers.serialize(route.operation, route.protocol, answer, "request-id")

    return {
        "Converse": lambda: one(CONVERSE, "bedrock", work.CONVERSE_BODY, work.CONVERSE_ANSWER),
        "CreateTrainingJob": lambda: one(
            TRAINING, "sagemaker", work.TRAINING_BODY, work.TRAINING_ANSWER
        ),
    }


def peer_us(name: str) -> dict[str, float]:
    done = subprocess.run(
        [peer_python(name), "-W", "ignore", f"wire_{name}.py"],
        cwd=PEERS_DIR, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    chosen = arguments(__doc__ or "").parse_args()
    router = Router(Catalogue())
    whole = rounds(router, validated=True)
    bare = rounds(router, validated=False)
    peers = {name: peer_us(name) for name in ("localstack", "moto")}
    report = Report("bench.wire")
    n = work.ROUNDS * work.CALLS
    for operation in whole:
        ours, unchecked = work.timed_us(whole[operation]), work.timed_us(bare[operation])
        report.add(f"{operation}, parse + validate + serialise", ours, "µs", target=150, n=n)
        report.add(f"{operation}, without validation", unchecked, "µs", n=n)
        for name, own in (("localstack", ours), ("moto", unchecked)):
            report.add(f"{operation}, {name}", peers[name][operation], "µs", n=n)
            ratio = own / peers[name][operation]
            report.add(f"{operation}, ours / {name}, same work", ratio, "x", target=1)
    report.print(chosen.json)


if __name__ == "__main__":
    main()
