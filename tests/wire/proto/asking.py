"""Requests made by hand, and what becomes of them."""

import pytest

from bastide.kernel.errors import ServiceError
from bastide.wire.model import Catalogue
from bastide.wire.parse import Parsers
from bastide.wire.route import Route, Router
from bastide.wire.types import RawRequest
from bastide.wire.validate import Validators

CATALOGUE = Catalogue()
ROUTER = Router(CATALOGUE)
PARSERS = Parsers()
VALIDATORS = Validators()
HOST = "localhost:8443"


def raw(method: str, target: str, host: str = HOST, **headers: str) -> RawRequest:
    """A request; `x_amz_target="…"` is the header `x-amz-target`."""
    path, _, query = target.partition("?")
    given = [("host", host), *((key.replace("_", "-"), text) for key, text in headers.items())]
    return RawRequest(
        method=method,
        raw_path=path,
        raw_query=query,
        headers=tuple(given),
        secure=True,
        source_ip="127.0.0.1",
    )


def routed(request: RawRequest, signing_name: str, body: bytes = b"") -> Route:
    form = body if ROUTER.reads_form(request, signing_name) else b""
    return ROUTER.resolve(request, signing_name, form)


def asked(request: RawRequest, signing_name: str, body: bytes = b""):
    """The parameters of a request, parsed but not validated."""
    return PARSERS.parse(routed(request, signing_name, body), request, body)


def told(call, *given) -> ServiceError:
    """The refusal that a call ends with."""
    with pytest.raises(ServiceError) as caught:
        call(*given)
    return caught.value
