"""The endpoints and the queries that each can run, read from the syntax tree without running the code.

A handler is a function with one of Litestar's decorators, in a Controller or by itself. Its calls of functions, of
methods of the same class, and of methods of its parameters (``throttle: LoginThrottle``) are followed.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import product

import attrs

from service.sqlcheck import Code, Module

METHODS = {f"litestar.{name}": [name.upper()] for name in ("get", "post", "put", "patch", "delete", "head")}
Function = ast.FunctionDef | ast.AsyncFunctionDef
# A function, with its module, and its class if it is a method.
Definition = tuple[Module, ast.ClassDef | None, Function]


@attrs.frozen(order=True)
class Endpoint:
    """A method and a path, their handler, and the queries in the order in which they are found."""

    path: str
    method: str
    handler: str
    file: str
    line: int
    purpose: str
    guarded: bool
    queries: tuple[str, ...]


def endpoints(code: Code) -> list[Endpoint]:
    """Return all endpoints, sorted by path."""
    return sorted(endpoint for module in code.modules.values() for endpoint in _of_module(_Calls(code), module))


def _of_module(calls: "_Calls", module: Module) -> Iterator[Endpoint]:
    for node in module.source.body:
        owner = node if isinstance(node, ast.ClassDef) else None
        for function in owner.body if owner else [node]:
            if isinstance(function, Function):
                yield from _of_function(calls, module, owner, function)


def _of_function(calls: "_Calls", module: Module, owner: ast.ClassDef | None, function: Function) -> Iterator[Endpoint]:
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        options = {word.arg: word.value for word in call.keywords}
        prefixes = _strings(module, _assigned(owner, "path")) or [""]
        paths = _strings(module, call.args[0] if call.args else options.get("path")) or [""]
        security = options.get("security") or _assigned(owner, "security")
        for method, prefix, path in product(_methods(module, call.func, options), prefixes, paths):
            yield Endpoint(
                path=_joined(prefix, path),
                method=method,
                handler=f"{owner.name}.{function.name}" if owner else function.name,
                file=module.path.as_posix(),
                line=function.lineno,
                purpose=" ".join((ast.get_docstring(function) or "").partition("\n\n")[0].split()),
                guarded=security is not None and ast.unparse(security) not in {"[]", "()"},
                queries=tuple(dict.fromkeys(calls.queries(module, owner, function))),
            )


def _methods(module: Module, decorator: ast.expr, options: Mapping[str | None, ast.expr]) -> list[str]:
    """Return the methods that a handler serves; none if the decorator is not Litestar's."""
    name = module.annotation(decorator).name
    return _strings(module, options.get("http_method")) if name == "litestar.route" else METHODS.get(name, [])


def _strings(module: Module, node: ast.expr | None) -> list[str]:
    """Return the strings in an expression: literals, constants of modules, and members of HttpMethod."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.List(elts=nodes) | ast.Tuple(elts=nodes):
            return [text for each in nodes for text in _strings(module, each)]
        case ast.Name(id=name) if not isinstance(found := module.find(name), str):
            return _strings(found[0], getattr(found[1], "value", None))
        case ast.Attribute(value=ast.Name(id="HttpMethod"), attr=name):
            return [name]
        case _:
            return []


def _assigned(owner: ast.ClassDef | None, name: str) -> ast.expr | None:
    """Return the value that a class assigns to `name`, or None."""
    for node in owner.body if owner else []:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return node.value
    return None


def _joined(*parts: str) -> str:
    """Join the parts of a path, without the types of its parameters, which clients do not see."""
    path = "/".join(part.strip("/") for part in parts if part.strip("/"))
    return "/" + re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


class _Calls:
    """Follows calls, visiting each function once."""

    def __init__(self, code: Code) -> None:
        self._by_line = {(reference.path, reference.line): reference.query for reference in code.references}

    def queries(self, module: Module, owner: ast.ClassDef | None, function: Function) -> Iterator[str]:
        """Yield the queries that a function, or a function that it calls, refers to."""
        seen: set[ast.AST] = {function}
        queue: list[Definition] = [(module, owner, function)]
        while queue:
            definition = queue.pop(0)
            for node in ast.walk(definition[2]):
                if query := self._query(definition[0], node):
                    yield query
                called = self._called(definition, node)
                if called and called[2] not in seen:
                    seen.add(called[2])
                    queue.append(called)

    def _query(self, module: Module, node: ast.AST) -> str | None:
        """Return the query that a name stands for, or that a call reads directly."""
        if isinstance(node, ast.Name) and not isinstance(found := module.find(node.id), str):
            module, node = found[0], getattr(found[1], "value", node)
        return self._by_line.get((module.path.as_posix(), node.lineno)) if isinstance(node, ast.Call) else None

    def _called(self, definition: Definition, node: ast.AST) -> Definition | None:
        """Return the function of the service that a name or an attribute refers to."""
        module, owner, function = definition
        if isinstance(node, ast.Name):
            found = module.find(node.id)
            return (found[0], None, found[1]) if isinstance(found, tuple) and isinstance(found[1], Function) else None
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            return None
        if node.value.id == "self" and owner:
            return _method(module, owner, node.attr)
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        given = next((each.annotation for each in arguments if each.arg == node.value.id), None)
        for name in ast.walk(given) if given else []:
            found = module.find(name.id) if isinstance(name, ast.Name) else ""
            if not isinstance(found, str) and isinstance(found[1], ast.ClassDef):
                return _method(found[0], found[1], node.attr)
        return None


def _method(module: Module, owner: ast.ClassDef, name: str) -> Definition | None:
    found = [node for node in owner.body if isinstance(node, Function) and node.name == name]
    return (module, owner, found[0]) if found else None
