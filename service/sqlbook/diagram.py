"""The entity diagram: a box per table, a frame per schema, a line per foreign key. layout.py positions the boxes."""

from collections.abc import Collection, Sequence

import attrs

from service.sqlbook.layout import GAP_X, WIDTH, Block, Item, arrange, in_rows
from service.sqlcheck import SHORT_TYPE_NAMES, Constraint, Schema, Table

# Sizes in pixels; the widths of a letter in a monospaced font of 12 pixels, and of 9 pixels for the marks.
LETTER, MARK, ROW, HEAD, PADDING, FRAME = 7.3, 5.6, 21, 34, 12, 34
# The largest number of columns in a box, if there are up to FEW_TABLES tables, and if there are more.
FEW_TABLES, ROWS_OF_FEW, ROWS_OF_MANY = 16, 14, 8


@attrs.frozen
class Line:
    """A column in a box; `marks` are PK or FK for a part of a primary or foreign key, UK if it is unique by itself."""

    name: str
    type: str
    marks: str
    y: float


@attrs.frozen
class Box:
    """A table; `more` columns are not shown, and names begin at `indent`."""

    table: Table
    lines: tuple[Line, ...]
    more: int
    indent: float
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Edge:
    """A foreign key, drawn as a line to the referenced columns; it leaves the box to the left (-1) or right (1).

    It is `unique` if at most one row can refer to a given row, and `optional` if its columns can be null.
    """

    key: Constraint
    path: str
    start: tuple[float, float]
    end: tuple[float, float]
    outward: int
    inward: int
    unique: bool
    optional: bool


@attrs.frozen
class Frame:
    """A frame around the tables of a schema, if there are several schemas."""

    name: str
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Diagram:
    """Boxes, lines and frames, and their total size."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    frames: tuple[Frame, ...]
    width: float
    height: float


def short(type_: str) -> str:
    """Return the short form of a type, such as varchar(50) or timestamptz."""
    for long, name in SHORT_TYPE_NAMES.items():
        type_ = type_.replace(long, name)
    return type_


def diagram(schema: Schema, names: Collection[str] | None = None) -> Diagram:
    """Lay out the tables of a schema, or only `names`; without partitions, which look like their table."""
    tables = [
        table
        for table in schema.tables.values()
        if (table.kind != "partition" if names is None else table.name in names)
    ]
    most = ROWS_OF_FEW if len(tables) <= FEW_TABLES else ROWS_OF_MANY
    drawn = {table.name: _box(table, most) for table in tables}
    schemas = list(dict.fromkeys(table.schema for table in tables))
    blocks = [arrange([_item(drawn[table.name]) for table in tables if table.schema == name]) for name in schemas]
    framed = FRAME if len(schemas) > 1 else 0
    outer = [Block({}, block.width + framed, block.height + framed * 1.5) for block in blocks]
    offsets, width, height = in_rows(outer, max([WIDTH, *(each.width for each in outer)]), GAP_X / 2)
    boxes: dict[str, Box] = {}
    for block, (left, top) in zip(blocks, offsets, strict=True):
        for name, (x, y, wide) in block.moved(left + 1 + framed / 2, top + 1 + framed).items():
            box = drawn[name]
            lines = tuple(attrs.evolve(line, y=line.y + y) for line in box.lines)
            boxes[name] = attrs.evolve(box, x=x, y=y, width=wide, lines=lines)
    frames = [
        Frame(name, x + 1, y + 1, each.width, each.height)
        for name, each, (x, y) in zip(schemas, outer, offsets, strict=True)
        if framed
    ]
    edges = [
        _edge(boxes[table.name], boxes[key.refers_to], key)
        for table in tables
        for key in table.foreign_keys
        if key.refers_to in boxes
    ]
    right = max([width, *(x for edge in edges for x in (edge.start[0], edge.end[0])), 0])
    return Diagram(tuple(boxes.values()), tuple(edges), tuple(frames), right + GAP_X / 2, height + 3)


def marks(table: Table, column: str) -> list[str]:
    """Return PK and FK if `column` is part of a primary or foreign key, and UK if it is unique by itself."""
    unique = any(index.unique and index.plain and index.columns == (column,) for index in table.indexes)
    foreign = any(column in key.columns for key in table.foreign_keys)
    primary = column in table.primary_key
    found = {"PK": primary, "FK": foreign, "UK": unique and table.primary_key != (column,)}
    return [mark for mark, applies in found.items() if applies]


def is_unique(table: Table, columns: Sequence[str]) -> bool:
    """Return whether a key makes these columns unique."""
    return any(index.unique and index.plain and {*index.columns} <= {*columns} for index in table.indexes)


def is_optional(table: Table, columns: Collection[str]) -> bool:
    """Return whether one of these columns can be null."""
    return any(column.name in columns and not column.not_null for column in table.columns)


def _box(table: Table, most: int) -> Box:
    """Return the box of `table`, not yet positioned.

    It shows all columns in keys, and others from the first on, up to `most` columns in total.
    """
    marked = {column.name: " ".join(marks(table, column.name)) for column in table.columns}
    wanted = sorted(marked, key=lambda name: not marked[name])[: max(most, sum(map(bool, marked.values())))]
    shown = [column for column in table.columns if column.name in wanted]
    indent = PADDING + max((len(marked[column.name]) * MARK + 7 for column in shown if marked[column.name]), default=0)
    lines = [
        Line(
            column.name,
            short(column.type) + ("" if column.not_null or table.view else "?"),
            marked[column.name],
            HEAD + ROW * (number + 0.5) + 2,
        )
        for number, column in enumerate(shown)
    ]
    more = len(table.columns) - len(shown)
    letters = max((len(line.name) + len(line.type) + 2 for line in lines), default=0)
    width = max(indent + letters * LETTER, len(table.name) * LETTER * 1.15 + PADDING) + PADDING
    return Box(table, tuple(lines), more, indent, 0, 0, width, HEAD + (len(lines) + bool(more)) * ROW + 6)


def _item(box: Box) -> Item:
    return Item(box.table.name, box.width, box.height, frozenset(key.refers_to for key in box.table.foreign_keys))


def _edge(child: Box, parent: Box, key: Constraint) -> Edge:
    """Return the line of a foreign key, on the side of the other box, or on the right if neither side is closer."""
    outward = -1 if parent.x + parent.width <= child.x else 1
    inward = -1 if parent.x >= child.x + child.width else 1
    start = (child.x + (child.width if outward == 1 else 0), _y(child, key.columns))
    end = (parent.x + (parent.width if inward == 1 else 0), _y(parent, key.referred))
    if outward == inward:
        bends = [max(start[0], end[0]) + GAP_X / 2] * 2
    else:
        bend = min(GAP_X / 2 + abs(end[0] - start[0]) / 8, GAP_X)
        bends = [start[0] + bend * outward, end[0] + bend * inward]
    path = f"M{start[0]},{start[1]} C{bends[0]},{start[1]} {bends[1]},{end[1]} {end[0]},{end[1]}"
    unique, optional = is_unique(child.table, key.columns), is_optional(child.table, key.columns)
    return Edge(key, path, start, end, outward, inward, unique, optional)


def _y(box: Box, columns: Collection[str]) -> float:
    return next((line.y for line in box.lines if line.name in columns), box.y + HEAD / 2)


def neighbours(schema: Schema, table: Table) -> set[str]:
    """Return `table`, the tables that it references, and those that reference it."""
    referring = {other.name for other, _ in schema.referring(table)}
    return {table.name, *(key.refers_to for key in table.foreign_keys), *referring}
