"""The texts that a CHECK constraint allows in a column: ``check (kind in ('cat', 'dog'))``."""

from collections.abc import Iterator

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.query_parts import conjuncts
from service.sqlcheck.analysis.query_tree import CASTS, CHAR, Node, constant_text, strip_relabels, type_of, walk
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem
from service.sqlcheck.rules.writes import target_lists, writing_queries

COLUMN_LABELS = {"VAR", "COERCETODOMAINVALUE", "RELABELTYPE"}  # without casts that change the text
TEXT_TYPES = {25, CHAR, 1043}  # text, char and varchar, by oid
VARHDRSZ = 4  # in the modifier of a type, the maximum length includes it
VALUE_LABELS = {"CONST", "ARRAYEXPR", "CASETESTEXPR"}


def allowed_values(description: Description, number: int) -> set[str]:
    """Return the texts that the CHECKs of a result column (from 1), or of its domain, allow; nothing for any text."""
    scope, expression = description.scope, description.expression(number)
    return _allowed(scope, expression) if scope and expression else set()


def find_disallowed_values(description: Description) -> Iterator[Problem]:
    """Find constants that are compared with a column, or written to it, although its CHECK does not allow them."""
    for allowed, value in _uses(description.scope) if description.scope else ():
        parts = [part for part, _ in walk(value)]
        constants = [part for part in parts if part.consttype in TEXT_TYPES]
        is_constant = {part.label for part in parts} <= VALUE_LABELS | CASTS | {"COERCETODOMAIN"}
        for text in map(constant_text, constants) if allowed and is_constant else ():
            if text and text.rstrip() not in {each.rstrip() for each in allowed}:
                sentence = f"'{text}' is none of the values that a CHECK allows: {', '.join(sorted(allowed))}"
                yield "disallowed-value", description.parsed.line_of_text(text), sentence


def _uses(scope: Scope) -> Iterator[tuple[set[str], Node]]:
    """Yield the texts that CHECKs allow, with each expression that is compared with such a text or becomes one."""
    for inner, node in scope.nodes():
        if node.opno in inner.catalogue.equalities and node.inputcollid not in inner.catalogue.nondeterministic:
            one, other = node.args
            yield from ((_allowed(inner, one), other), (_allowed(inner, other), one))
    for written in writing_queries(scope):
        table = written.relation(written.query.resultRelation).relid
        if {(table, pg.INSERT), (table, pg.UPDATE)} & written.catalogue.triggers:
            continue  # the trigger can replace the value
        for target in (target for targets, _ in target_lists(written.query) for target in targets):
            yield _texts(written.catalogue, (type_of(target.expr), 0), (table, target.resno)), target.expr


def _allowed(scope: Scope, expression: Node) -> set[str]:
    """Return the texts that the CHECKs of a column that an expression shows, or of its domain, allow."""
    expression = strip_relabels(expression)
    owners = [(type_of(expression), 0)]
    if expression.label == "VAR" and (origin := scope.column_origin(expression, written=True)):
        around, column = origin
        owners.append((around.relation(column.varno).relid, column.varattno))
    return _texts(scope.catalogue, *owners)


def _texts(catalogue: Catalogue, *owners: tuple[int, int]) -> set[str]:
    """Return the texts that the CHECKs of a domain (an oid and 0) or of a column of a table (an oid) allow."""
    checks = [check for owner in owners for check in catalogue.checks.get(owner, [])]
    found = [_values(each, catalogue) for check in checks for each in conjuncts(check)]
    return next((values for values in found if values), set())


def _is_null_test(condition: Node) -> bool:
    """Return whether a condition is ``kind is null``, which no text fulfils."""
    return condition.nulltesttype == pg.IS_NULL and strip_relabels(condition.arg).label in COLUMN_LABELS


def _values(condition: Node, catalogue: Catalogue) -> set[str]:
    """Return the texts for which a condition on a column is true; nothing if it can be true for any other text."""
    if condition.boolop == "or":
        arms = [_values(each, catalogue) for each in condition.args if not _is_null_test(each)]
        return set().union(*arms) if all(arms) else set()
    equal = condition.label in {"OPEXPR", "SCALARARRAYOPEXPR"}
    if not equal or condition.opno not in catalogue.equalities or condition.inputcollid in catalogue.nondeterministic:
        return set()
    column, values = ([node for node, _ in walk(side)] for side in condition.args)
    constants = [node for node in values if node.label == "CONST"]
    is_column = {node.label for node in column} <= COLUMN_LABELS
    is_list = is_column and {node.label for node in values} <= VALUE_LABELS | CASTS
    # A CHECK accepts null, which the comparison with a null among the values returns for any other text.
    are_texts = all(each.consttype in TEXT_TYPES and not each.constisnull for each in constants)
    # PostgreSQL returns the values of char(n) with n characters.
    width = max((each.vartypmod - VARHDRSZ for each in column if each.vartype == CHAR), default=0)
    return {constant_text(each).ljust(width) for each in constants} if is_list and are_texts else set()
