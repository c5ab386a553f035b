"""The entity diagram: where boxes and lines go; templates/diagram.svg.jinja draws them.

Tables stand in columns: one that refers to others right of them, those that refer to the same beside each other.
"""

from collections.abc import Collection, Iterator

import attrs

from service.sqlcheck import SHORT_TYPE_NAMES, Constraint, Schema, Table

# Pixels. Letters are those of a monospaced font at 12 pixels.
LETTER, ROW, HEAD, PADDING, GAP_X, GAP_Y = 7.3, 21, 34, 14, 96, 34
MOST_ROWS = 14


@attrs.frozen
class Line:
    """A column in a box; `key` says whether it is of the primary key, `foreign` whether it refers to another table."""

    name: str
    type: str
    key: bool
    foreign: bool
    y: float


@attrs.frozen
class Box:
    """A table; `more` columns are not shown."""

    table: Table
    lines: tuple[Line, ...]
    more: int
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Edge:
    """A foreign key: from the column that refers to the one that it refers to, by way of `path`."""

    key: Constraint
    path: str
    start: tuple[float, float]
    end: tuple[float, float]
    outward: int


@attrs.frozen
class Diagram:
    """Boxes and edges, and how much room they take."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    width: float
    height: float


def short(type_: str) -> str:
    """Return a type in its short form: varchar(50), timestamptz."""
    for long, name in SHORT_TYPE_NAMES.items():
        type_ = type_.replace(long, name)
    return type_


def diagram(schema: Schema, names: Collection[str] | None = None) -> Diagram:
    """Lay out the tables of a schema, or those `names` alone."""
    tables = [table for table in schema.tables.values() if names is None or table.name in names]
    shown = {table.name for table in tables}
    columns = _columns(tables, shown)
    heights = [sum(_height(table) + GAP_Y for table in column) - GAP_Y for column in columns]
    tallest = max(heights, default=0)
    boxes: dict[str, Box] = {}
    x = 1.0
    for column, height in zip(columns, heights, strict=True):
        width = max(_width(table) for table in column)
        y = 1.0 + (tallest - height) / 2
        for table in column:
            boxes[table.name] = _box(table, x, y, width)
            y += _height(table) + GAP_Y
        x += width + GAP_X
    edges = tuple(
        _edge(boxes[table.name], boxes[key.refers_to], key)
        for table in tables
        for key in table.foreign_keys
        if key.refers_to in shown
    )
    loops = GAP_X if any(edge.outward > 0 for edge in edges) else 0
    return Diagram(tuple(boxes.values()), edges, x - GAP_X + loops + 1, tallest + 2)


def _columns(tables: list[Table], shown: Collection[str]) -> list[list[Table]]:
    """Put each table right of those that it refers to; circles end where they began."""
    by_name = {table.name: table for table in tables}
    ranks: dict[str, int] = {}

    def rank(name: str, way: tuple[str, ...] = ()) -> int:
        if name not in ranks:
            others = [key.refers_to for key in by_name[name].foreign_keys if key.refers_to in shown]
            ranks[name] = max((rank(each, (*way, name)) + 1 for each in others if each not in {*way, name}), default=0)
        return ranks[name]

    for table in tables:
        rank(table.name)
    columns: list[list[Table]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    referred = {key.refers_to for table in tables for key in table.foreign_keys}
    for table in sorted(tables, key=lambda table: (table.name not in referred, table.name)):
        columns[ranks[table.name]].append(table)
    return columns


def _lines(table: Table) -> list[str]:
    """Return the columns to show: all, or of many those that keys are made of, and then the first."""
    names = [column.name for column in table.columns]
    if len(names) <= MOST_ROWS:
        return names
    keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
    wanted = [*(name for name in names if name in keys), *(name for name in names if name not in keys)][:MOST_ROWS]
    return [name for name in names if name in wanted]


def _height(table: Table) -> float:
    rows = len(_lines(table)) + (len(table.columns) > MOST_ROWS)
    return HEAD + rows * ROW + 8


def _width(table: Table) -> float:
    shown = [column for column in table.columns if column.name in _lines(table)]
    letters = [len(column.name) + len(short(column.type)) + 3 for column in shown]
    return max([len(table.name) * 1.15, *letters]) * LETTER + PADDING * 2 + 14


def _box(table: Table, x: float, y: float, width: float) -> Box:
    names = _lines(table)
    foreign = {name for key in table.foreign_keys for name in key.columns}
    shown = [column for column in table.columns if column.name in names]
    lines = tuple(
        Line(
            column.name,
            short(column.type),
            column.name in table.primary_key,
            column.name in foreign,
            y + HEAD + ROW * (number + 0.5) + 4,
        )
        for number, column in enumerate(shown)
    )
    return Box(table, lines, len(table.columns) - len(names), x, y, width, _height(table))


def _edge(child: Box, parent: Box, key: Constraint) -> Edge:
    start_y, end_y = _y(child, key.columns), _y(parent, key.referred)
    if parent.x < child.x:
        start, end, outward = (child.x, start_y), (parent.x + parent.width, end_y), -1
        bend = GAP_X / 2
        path = f"M{start[0]},{start_y} C{start[0] - bend},{start_y} {end[0] + bend},{end_y} {end[0]},{end_y}"
    else:  # itself, or a circle: by the right
        start, end, outward = (child.x + child.width, start_y), (parent.x + parent.width, end_y), 1
        out = max(start[0], end[0]) + GAP_X / 2
        path = f"M{start[0]},{start_y} C{out},{start_y} {out},{end_y} {end[0]},{end_y}"
    return Edge(key, path, start, end, outward)


def _y(box: Box, columns: Collection[str]) -> float:
    return next((line.y for line in box.lines if line.name in columns), box.y + HEAD / 2)


def neighbours(schema: Schema, table: Table) -> set[str]:
    """Return a table, what it refers to, and what refers to it."""
    referring: Iterator[str] = (other.name for other, _ in schema.referring(table))
    return {table.name, *(key.refers_to for key in table.foreign_keys), *referring}
