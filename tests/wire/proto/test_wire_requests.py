"""Every operation of every service: what botocore's client sends, we parse as the same."""

import pytest
from botocore.awsrequest import AWSRequest
from botocore.serialize import create_serializer
from hypothesis import strategies as st

from bastide.wire.mantle import DIALECTS
from bastide.wire.model import SERVICES, Catalogue
from bastide.wire.parse import Parsers
from bastide.wire.route import Router
from bastide.wire.types import RawRequest
from tests.wire.proto.shapes import same, structures, with_examples

CATALOGUE = Catalogue()
ROUTER = Router(CATALOGUE)
PARSERS = Parsers()
OPERATIONS = [
    f"{name}.{operation}" for name in SERVICES for operation in CATALOGUE.service(name).names
]
PROTOCOLS = {"cloudwatch": ("smithy-rpc-v2-cbor", "json", "query")}
# Operations that a newer one with the same path has replaced, deprecated in the model itself.
REPLACED = {
    name
    for name in OPERATIONS
    if name.startswith("s3.") and CATALOGUE.operation(name).model.deprecated
}


def sent(operation, protocol: str, params) -> tuple[RawRequest, bytes]:
    """The request that botocore's client makes of `params`."""
    written_as = "rest-json" if protocol in DIALECTS else protocol
    serializer = create_serializer(written_as, include_validation=False)
    made = serializer.serialize_to_request(params, operation.model)
    prefix = operation.service.endpoint_prefix
    if operation.name == "ListDirectoryBuckets":
        prefix = "s3express-control"
    host = f"{prefix}.us-gov-west-1.amazonaws.com"
    request = AWSRequest(
        made["method"],
        f"https://{host}{made['url_path']}",
        headers=made["headers"],
        data=made["body"],
        params=made["query_string"],
    ).prepare()
    path, _, query = request.url.removeprefix(f"https://{host}").partition("?")
    body = request.body
    if hasattr(body, "read"):
        body = body.read()
    body = body.encode() if isinstance(body, str) else bytes(body or b"")
    headers = [("host", host)]
    for key, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        headers.append((key.lower(), text.encode("utf-8").decode("latin-1")))
    raw = RawRequest(
        method=request.method,
        raw_path=path or "/",
        raw_query=query,
        headers=tuple(headers),
        secure=True,
        source_ip="127.0.0.1",
    )
    return raw, body


def flat(value):
    """Without the empty structures in lists, of which a form says nothing."""
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    if isinstance(value, list):
        return [flat(item) for item in value if item != {}]
    return value


def _set_by_client(operation) -> set[str]:
    """Input members that go as a header which every client sets itself."""
    members = operation.input.members if operation.input else {}
    return {
        name
        for name, member in members.items()
        if str(member.serialization.get("name")).lower() in ("content-type", "content-length")
    }


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in REPLACED])
def test_what_botocore_sends_is_understood(name):
    operation = CATALOGUE.operation(name)
    asked = structures(operation.input) if operation.input is not None else st.just({})
    with_examples(asked, lambda params: check(operation, params))


def check(operation, params) -> None:
    for protocol in PROTOCOLS.get(operation.service.name, (operation.service.protocol,)):
        raw, body = sent(operation, protocol, params)
        form = body if ROUTER.reads_form(raw, operation.service.signing_name) else b""
        route = ROUTER.resolve(raw, operation.service.signing_name, form)
        assert route.operation is operation
        assert route.protocol == protocol
        expected = {k: v for k, v in params.items() if k != operation.streams_in}
        if protocol == "query":
            expected = flat(expected)
        found = PARSERS.parse(route, raw, body)
        for member in _set_by_client(operation) - params.keys():
            found.pop(member, None)  # botocore sets the header itself
        assert same(found, expected), f"{found} is not {expected}"
