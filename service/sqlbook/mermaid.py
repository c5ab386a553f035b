"""The entity diagram as Mermaid text, which GitHub and other tools draw.

Source: https://mermaid.js.org/syntax/entityRelationshipDiagram.html
"""

import re
from collections.abc import Iterator

from service.sqlbook.diagram import is_optional, is_unique, marks, short
from service.sqlcheck import Schema, Table


def mermaid(schema: Schema) -> str:
    """Return the content of schema.mmd: the tables with their columns, and the foreign keys."""
    lines = ["erDiagram"]
    for table in schema.tables.values():
        lines += [f"    {_quoted(table.name)} {{", *_columns(table), "    }"]
    for table in schema.tables.values():
        for key in table.foreign_keys:
            if key.refers_to:
                one = "|o" if is_optional(table, key.columns) else "||"
                many = "o|" if is_unique(table, key.columns) else "o{"
                deletion = f"; on delete {key.on_delete}" if key.on_delete else ""
                label = _quoted(", ".join(key.columns) + deletion)
                lines.append(f"    {_quoted(key.refers_to)} {one}--{many} {_quoted(table.name)} : {label}")
    return "\n".join(lines) + "\n"


def _columns(table: Table) -> Iterator[str]:
    for column in table.columns:
        keys = ", ".join(marks(table, column.name))
        null = "" if column.not_null or table.view else '"null"'
        words = (_word(short(column.type)), _word(column.name), keys, null)
        yield "        " + " ".join(word for word in words if word)


def _word(text: str) -> str:
    """Replace the characters that Mermaid does not accept in types and column names."""
    word = re.sub(r"[^\w()\[\]-]+", "_", text, flags=re.ASCII)
    return word if word[:1].isalpha() else f"_{word.lstrip('_')}"


def _quoted(text: str) -> str:
    return '"' + re.sub(r'["%\\]', "'", text) + '"'
