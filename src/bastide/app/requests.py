"""Requests that an agency's code makes as documents: `agents.ports.Requests`.

What an operation's door does to a body is done to them, in its order: shapes, constraints, what is
honoured. Its policies are asked by whoever makes the request for that code.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.kernel.operation import honours_of
from bastide.wire import honours, parse_json
from bastide.wire.model import Catalogue, Shape
from bastide.wire.parse_json import JsonReaders
from bastide.wire.scalars import wrong
from bastide.wire.validate import Validators

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReader:
    """`methods`: the operations that may be asked for, by their full names."""

    catalogue: Catalogue
    methods: Mapping[str, Callable[..., object]]
    readers: JsonReaders = field(default_factory=JsonReaders)
    validators: Validators = field(default_factory=Validators)

    def read(self, operation: str, document: Params) -> Params:
        asked = self.catalogue.operation(operation)
        assert asked is not None
        plain = parse_json.load(json.dumps(document).encode())  # as deep as a body, and as finite
        params = {**self.readers.of(asked.input)(plain), **_in_path(asked.input, plain)}
        self.validators.validate(asked, params)
        honours.checker(asked, honours_of(self.methods[operation]))(params)
        return params


def _in_path(shape: Shape, document: Params) -> Params:
    """The members that a body does not have."""
    found = {}
    for name, member in shape.members.items():
        if member.serialization.get("location") == "uri" and name in document:
            if not isinstance(document[name], str):
                raise wrong(name, "a string")
            found[name] = document[name]
    return found
