"""The diagram of a large schema, and the pages of objects that belong to no table."""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.sqlbook.contents import Contents
from service.sqlbook.diagram import Diagram, diagram
from service.sqlbook.layout import GAP_X, GAP_Y, Item, arrange
from service.sqlbook.mermaid import mermaid
from service.sqlbook.pages import file, write
from service.sqlbook.plan_tree import PlanNode, better_index
from service.sqlcheck import Schema, read_grants, read_schema
from service.sqlcheck.scratch import connect, scratch_database
from tests.sqlcheck.corpus import FOLDER
from tests.support.book import dead_links, parse_pages

# Thirty tables, and features that other test schemas lack: schemas, a shared key, triggers, sequences and grants.
MORE = """
    create schema billing;
    create table billing.account (
        customer_id bigint primary key references customer on delete cascade,
        sale_id bigint unique references sale on delete set null
    );
    create table billing.entry (account_id bigint not null references billing.account on delete restrict, note text);
    create sequence ticket_number as integer minvalue 10 maxvalue 99 cycle;
    comment on sequence ticket_number is 'What customers see.';
    create function touch() returns trigger language plpgsql as 'begin return new; end';
    create trigger stock_touched before update on stock for each row execute function touch();
    alter table stock disable trigger stock_touched;
    create function remember() returns event_trigger language plpgsql as 'begin end';
    create event trigger remember_changes on ddl_command_end execute function remember();
    comment on type sale_status is 'How far it is.';
    create index sale_open on sale (customer_id) where status = 'open';
    create index entry_account on billing.entry (account_id);
    create unique index entry_without_note on billing.entry (account_id) where note is null;
    create index sale_of_customer on sale (customer_id, placed_at);
    grant select on customer to pg_monitor;
    grant select (email) on customer to pg_read_all_stats;
    revoke all on function touch() from public;
"""


@pytest.fixture(scope="module")
def connection(server: EmbeddedPostgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Return a connection to a shop."""
    with scratch_database(server.url("postgres")) as url, connect(url) as connection:
        connection.execute((FOLDER / "schema.sql").read_bytes() + MORE.encode())
        yield connection


@pytest.fixture(scope="module")
def shop(connection: psycopg.Connection[object]) -> Schema:
    """Return its schema."""
    return read_schema(connection)


@pytest.fixture(scope="module")
def drawn(shop: Schema) -> Diagram:
    """Return its diagram."""
    return diagram(shop)


@pytest.fixture(scope="module")
def folder(
    shop: Schema,
    connection: psycopg.Connection[object],
    small_book: Contents,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a written book of it."""
    out = tmp_path_factory.mktemp("shop") / "book"
    write(attrs.evolve(small_book, schema=shop, grants=read_grants(connection), queries={}), out)
    return out


def test_large_schema_is_compact_and_no_box_covers_another(drawn: Diagram) -> None:
    assert len(drawn.boxes) > 35
    assert drawn.height < drawn.width < 2200
    for one, other in combinations(drawn.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y, (one.table, other.table)


def test_line_of_a_table_to_itself_covers_no_other() -> None:
    block = arrange([Item("alone", 90, 50, frozenset()), Item("own", 90, 50, frozenset({"own"}))])

    assert block.positions == {"own": (0, 0, 90), "alone": (90 + GAP_X / 2 + GAP_Y, 0, 90)}


def test_boxes_follow_the_order_of_their_targets() -> None:
    targets = {"a": "", "b": "", "of_b": "b", "of_both": "ab", "of_a": "a"}

    block = arrange([Item(name, 90, 50, frozenset(of)) for name, of in targets.items()])

    a, b, of_b, _, of_a = (block.positions[name][1] for name in targets)
    assert (a < b) is (of_a < of_b)


def test_each_schema_has_a_frame_around_its_tables(drawn: Diagram) -> None:
    frames = {frame.name: frame for frame in drawn.frames}

    assert list(frames) == ["public", "billing"]
    for box in drawn.boxes:
        frame = frames[box.table.schema]
        assert frame.x < box.x < box.x + box.width < frame.x + frame.width
        assert frame.y < box.y < box.y + box.height < frame.y + frame.height


def test_tables_are_right_of_those_they_reference(drawn: Diagram) -> None:
    x = {box.table.name: box.x for box in drawn.boxes}

    assert x["country"] < x["address"] < x["sale"] < x["sale_line"] < x["shipment_line"]
    assert "event_new" not in x, "a partition looks like its table"


def test_columns_show_keys_and_nullability(drawn: Diagram) -> None:
    shown = {(box.table.name, line.name): (line.marks, line.type) for box in drawn.boxes for line in box.lines}

    assert shown["stock", "product_id"] == ("PK FK", "bigint")
    assert shown["billing.account", "sale_id"] == ("FK UK", "bigint?")
    assert shown["product", "sku"] == ("UK", "text")
    assert shown["customer", "full_name"] == ("", "text?")
    assert shown["product_stock", "name"] == ("", "text"), "of a view nobody knows"


def test_wide_table_shows_keys_and_a_count(drawn: Diagram) -> None:
    [product] = [box for box in drawn.boxes if box.table.name == "product"]

    assert (len(product.lines), product.more) == (8, 2)
    assert {"id", "sku", "category_id"} < {line.name for line in product.lines}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("account_customer_id_fkey", ("cascade", True, False)),
        ("account_sale_id_fkey", ("set null", True, True)),
        ("entry_account_id_fkey", ("restrict", False, False)),
        ("employee_manager_id_fkey", ("", False, True)),
    ],
)
def test_line_shows_deletion_and_numbers(drawn: Diagram, key: str, expected: tuple[str, bool, bool]) -> None:
    [edge] = [edge for edge in drawn.edges if edge.key.name == key]

    assert (edge.key.on_delete, edge.unique, edge.optional) == expected


def test_schema_without_tables_is_drawn_empty(shop: Schema) -> None:
    assert diagram(attrs.evolve(shop, tables={})).boxes == ()


def test_links_of_a_large_book_lead_into_it(folder: Path) -> None:
    assert dead_links(folder) == []


def test_svg_needs_nothing_beside_it(folder: Path) -> None:
    text = (folder / "schema.svg").read_text()

    texts = {each.text for each in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - the project's own SVG
    assert {"billing.account", "set null", "PK FK"} < texts
    assert "var(" not in text
    assert "color-mix(" not in text


def test_mermaid_has_columns_and_lines(shop: Schema, folder: Path, small_book: Contents) -> None:
    text = (folder / "schema.mmd").read_text()

    assert text.startswith('erDiagram\n    "address" {\n        bigint id PK\n        bigint customer_id FK\n')
    assert '        bigint sale_id FK, UK "null"\n' in text
    assert '    "sale" |o--o| "billing.account" : "sale_id; on delete set null"\n' in text
    assert '    "billing.account" ||--o{ "billing.entry" : "account_id; on delete restrict"\n' in text
    assert mermaid(shop) == text
    assert "integer Size_b_" in re.sub("_+", "_", mermaid(small_book.schema))


def test_table_of_an_extension_is_not_drawn(connection: psycopg.Connection[object]) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("create table zone (id integer primary key); alter extension plpgsql add table zone")
        connection.execute("create table place (zone_id integer references zone)")
        schema = read_schema(connection)

    assert '    "place" {\n        integer zone_id FK "null"\n' in mermaid(schema)
    assert '"zone' not in mermaid(schema)
    assert '"place" :' not in mermaid(schema)


def test_sequences_triggers_types_and_grants_have_pages(folder: Path) -> None:
    pages = {name: " ".join(page.text.split()) for name, page in parse_pages(folder).items()}

    assert "ticket_number no column integer 10 1 10 to 99, cycles What customers" in (
        pages["sequences.html"].replace("see.", "")
    )
    assert "sale_id_seq sale.id bigint 1 1 from 1" in pages["sequences.html"]
    assert "stock_touched Table stock Runs touch()" in pages["triggers.html"]
    assert "EXECUTE FUNCTION touch() -- disabled" in pages["triggers.html"]
    assert "remember_changes Kind event trigger Runs remember()" in pages["triggers.html"]
    assert "sale_status enum open, paid, sent, cancelled sale.status How far it is." in pages["types.html"]
    assert "Tables customer pg_monitor select" in pages["grants.html"]
    assert "Columns customer.email pg_read_all_stats select" in pages["grants.html"]
    assert '"triggers.html#stock.stock_touched"' in (folder / "search.js").read_text()
    assert "id PK" in pages[file("table", "sale")]


@pytest.mark.parametrize(
    ("index", "conditions", "better"),
    [
        ("sale_open", "((sale.id = $1) AND (sale.status = 'open'::sale_status))", "sale_pkey"),
        ("sale_open", "(sale.placed_at = $1)", "sale_of_customer"),
        ("sale_open", "((sale.id = $1) OR (sale.id = $2))", None),
        ("sale_open", "(customer.id = $1)", None),
        ("sale_pkey", "(sale.id = $1)", None),
        ("customer_email_key", "(sale.id = $1)", None),
    ],
)
def test_plan_says_which_index_serves_more(shop: Schema, index: str, conditions: str, better: str | None) -> None:
    plan = {
        "Node Type": "Index Scan",
        "Relation Name": "customer" if index == "customer_email_key" else "sale",
        "Index Name": index,
        "Index Cond": "(sale.customer_id = $3)" if index == "sale_open" else "(x = y)",
        "Filter": conditions,
        "Startup Cost": 0,
        "Total Cost": 8,
        "Plan Rows": 1,
    }

    found = better_index(PlanNode.of(plan), shop)

    assert (found and found.name) == better
