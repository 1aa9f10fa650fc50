"""Which functions a function of ours can reach by names that are plain to see in its text, and the
codes of the errors that each of them raises. What arrives through a Protocol is out of sight."""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
Place = tuple[str, str]  # module, and the name in it: `f` or `Class.method`
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """One file's functions, classes' fields, and where its imported names are from."""

    path: Path
    functions: dict[str, Function] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)  # class → field → annotation
    imports: dict[str, Place] = field(default_factory=dict)


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        found[name] = _read(path)
    return found


def _read(path: Path) -> Module:
    made = Module(path)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, Function):
            made.functions[node.name] = node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                made.imports[alias.asname or alias.name] = (node.module or "", alias.name)
        if isinstance(node, ast.ClassDef):
            made.fields[node.name] = {}
            for item in node.body:
                if isinstance(item, Function):
                    made.functions[f"{node.name}.{item.name}"] = item
                if isinstance(item, ast.AnnAssign):
                    made.fields[node.name][ast.unparse(item.target)] = ast.unparse(item.annotation)
    return made


def operations() -> list[tuple[Place, str]]:
    """Every method that is marked as an AWS operation, and its name."""
    return [
        ((name, qualified), function.name)
        for name, module in modules().items()
        for qualified, function in module.functions.items()
        if any(_called(mark) == "operation" for mark in function.decorator_list)
    ]


def _called(node: ast.expr) -> str:
    func = node.func if isinstance(node, ast.Call) else node
    return getattr(func, "id", getattr(func, "attr", ""))


def reached(start: Place) -> set[Place]:
    seen, todo = {start}, [start]
    while todo:
        fresh = _named_in(todo.pop()) - seen
        seen |= fresh
        todo += fresh
    return seen


@cache
def _named_in(place: Place) -> frozenset[Place]:
    """The functions that are named in a function: called, or handed on to be called."""
    name, qualified = place
    owner = qualified.rpartition(".")[0]
    found = {
        _resolved(name, owner, node)
        for node in ast.walk(modules()[name].functions[qualified])
        if isinstance(node, ast.Name | ast.Attribute)
    }
    return frozenset(each for each in found if each)


def _resolved(name: str, owner: str, node: ast.expr) -> Place | None:
    module = modules()[name]
    if isinstance(node, ast.Name):
        if node.id in module.functions:
            return name, node.id
        return _function(*module.imports.get(node.id, ("", "")))
    assert isinstance(node, ast.Attribute)
    if isinstance(node.value, ast.Name) and node.value.id in module.imports:
        return _function(".".join(module.imports[node.value.id]), node.attr)
    held = _class_of(name, owner, node.value)
    return _function(held[0], f"{held[1]}.{node.attr}") if held else None


def _class_of(name: str, owner: str, node: ast.expr) -> Place | None:
    """The class of `self`, `self.field`, `self.field.field`."""
    if isinstance(node, ast.Name):
        return (name, owner) if node.id == "self" and owner else None
    if not isinstance(node, ast.Attribute):
        return None
    above = _class_of(name, owner, node.value)
    if above is None or above[0] not in modules():
        return None
    module = modules()[above[0]]
    annotation = module.fields.get(above[1], {}).get(node.attr, "")
    return (above[0], annotation) if annotation in module.fields else module.imports.get(annotation)


def _function(name: str, qualified: str) -> Place | None:
    module = modules().get(name)
    return (name, qualified) if module and qualified in module.functions else None


@cache
def codes_in(place: Place) -> frozenset[str]:
    """The codes that stand in the text of a function; "" where one is worked out."""
    found = modules()[place[0]].functions[place[1]]
    return frozenset(code_of(node) for node in ast.walk(found) if is_error(node))


def is_error(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _called(node) == "ServiceError"


def code_of(node: ast.AST) -> str:
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ""
