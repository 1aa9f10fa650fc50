"""What a handler honours, against what a caller sets (kernel/operation.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from bastide.kernel.errors import unsupported
from bastide.kernel.operation import Honours
from bastide.wire.model import Operation, Shape

Tree = dict[str, Any]  # member → Tree, or True where all below is honoured
Checker = Callable[[Mapping[str, Any]], None]


def checker(operation: Operation, honours: Honours) -> Checker:
    """Raises `unsupported` for a member that is set and neither honoured nor accepted.
    ValueError, at start-up, for a path that the model does not have."""
    tree: Tree = {}
    for path in (*honours.members, *honours.accepted):
        _check_path(operation, path)
        _plant(tree, path)

    def check(params: Mapping[str, Any]) -> None:
        stranger = _stranger(tree, params, "")
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


def _stranger(tree: Tree, value: Any, at: str) -> str:
    """The first member that is set without being honoured; "" if there is none."""
    if isinstance(value, list):
        for item in value:
            found = _stranger(tree, item, at)
            if found:
                return found
        return ""
    if not isinstance(value, Mapping):
        return ""
    for name, inner in value.items():
        if inner is None or inner is False or inner == {} or inner == []:
            continue
        known = tree.get(name)
        path = f"{at}.{name}" if at else name
        if known is None:
            return path
        if known is not True:
            found = _stranger(known, inner, path)
            if found:
                return found
    return ""


def _check_path(operation: Operation, path: str) -> None:
    shape: Shape | None = operation.input
    for name in path.split("."):
        while shape is not None and shape.type_name in ("list", "map"):
            shape = shape.member if shape.type_name == "list" else shape.value
        if shape is None or shape.type_name != "structure" or name not in shape.members:
            raise ValueError(f"{operation.full_name} has no input member {path}")
        shape = shape.members[name]
