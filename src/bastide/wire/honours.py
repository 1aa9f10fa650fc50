"""What a handler honours, against what a caller sets (kernel/operation.py)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bastide.kernel.errors import unsupported
from bastide.kernel.operation import Honours
from bastide.wire.model import Operation, Shape

Tree = dict[str, Any]  # member → Tree, or True where all below is honoured
Checker = Callable[[Mapping[str, Any]], None]
Seeker = Callable[[Any, str], str]


def checker(operation: Operation, honours: Honours) -> Checker:
    """Raises `unsupported` for a member that is set and neither honoured nor accepted.
    ValueError, at start-up, for a path that the model does not have."""
    tree: Tree = {}
    for path in (*honours.members, *honours.accepted):
        _check_path(operation, path)
        _plant(tree, path)
    seek = _seeker(tree, operation.input)

    def check(params: Mapping[str, Any]) -> None:
        stranger = seek(params, "")
        if stranger:
            raise unsupported(operation.full_name, f"The member {stranger}")

    return check


def _plant(tree: Tree, path: str) -> None:
    *above, last = path.split(".")
    for name in above:
        inner = tree.setdefault(name, {})
        if inner is True:
            return
        tree = inner
    tree[last] = True


def _seeker(tree: Tree, shape: Shape) -> Seeker:
    """Compiled: the first member that is set without being honoured; "" if there is none."""
    kind = shape.type_name if shape is not None else ""
    if kind == "list":
        return _each(_seeker(tree, shape.member), lambda value: value)
    if kind == "map":
        return _each(_seeker(tree, shape.value), lambda value: value.values())
    inner: dict[str, Seeker | None] = {
        name: None if below is True else _seeker(below, shape.members[name])
        for name, below in tree.items()
    }

    def seek(value: Any, at: str) -> str:
        for name, item in value.items():
            if not item and type(item) not in (int, float):
                continue  # None, False, "" and what is empty: not set
            path = f"{at}.{name}" if at else name
            if name not in inner:
                return path
            below = inner[name]
            if below is not None and (found := below(item, path)):
                return found
        return ""

    return seek


def _each(seek: Seeker, items: Callable[[Any], Iterable[Any]]) -> Seeker:
    """Lists and maps are transparent: a path goes on below what they hold."""

    def each(value: Any, at: str) -> str:
        return next((found for item in items(value) if (found := seek(item, at))), "")

    return each


def _check_path(operation: Operation, path: str) -> None:
    shape: Shape | None = operation.input
    for name in path.split("."):
        while shape is not None and shape.type_name in ("list", "map"):
            shape = shape.member if shape.type_name == "list" else shape.value
        if shape is None or shape.type_name != "structure" or name not in shape.members:
            raise ValueError(f"{operation.full_name} has no input member {path}")
        shape = shape.members[name]
