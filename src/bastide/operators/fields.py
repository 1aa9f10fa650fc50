"""What a request to the operators' socket holds."""

from typing import Any

from aiohttp import web

from bastide.kernel.errors import ServiceError


async def fields(request: web.Request, *names: str, **types: type) -> dict[str, Any]:
    """The JSON object of a request, which must hold exactly `names`, whatever they are, and
    `types`, each of its type. Raises ServiceError."""
    body = await request.json()
    wanted = {*names, *types}
    good = isinstance(body, dict) and set(body) == wanted
    if not good or not all(isinstance(body[name], each) for name, each in types.items()):
        said = ", ".join((*names, *types))
        raise ServiceError("ValidationException", f"Send an object with {said}.")
    return dict(body)
