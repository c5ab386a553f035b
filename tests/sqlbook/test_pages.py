"""The pages: contents, links, and the replacement of an earlier book."""

import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote

import attrs
import pytest

from service.embedded import EmbeddedPostgres
from service.sqlbook.contents import Contents, Size
from service.sqlbook.pages import TEMPLATES, FolderError, file, highlighted, prose, size, write
from service.sqlbook.plan_tree import PlanNode
from service.sqlbook.psql import psql
from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.findings import Finding
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree
from tests.support.book import dead_links, parse_pages
from tests.support.processes import ROOT
from tests.support.small_tree import HOSTILE

pytestmark = pytest.mark.slow  # writes whole books


@pytest.fixture(scope="module")
def folder(small_book: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a written book."""
    out = tmp_path_factory.mktemp("book") / "new" / "folder"
    write(small_book, out)
    return out


def test_every_link_leads_into_the_folder(folder: Path) -> None:
    assert len(parse_pages(folder)) == 17
    assert dead_links(folder) == []


def test_every_search_entry_leads_somewhere(folder: Path) -> None:
    pages = parse_pages(folder)
    places = re.findall(r'"([^"]+?\.html)(?:#([^"]+))?","', (folder / "search.js").read_text())

    assert len(places) > 20
    for target, anchor in places:
        assert not anchor or unquote(anchor) in pages[unquote(target)].ids, (target, anchor)


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_cells_of_narrow_screens_repeat_the_headings(template: Path) -> None:
    for table in re.findall("<table.*?</table>", template.read_text("utf-8"), re.DOTALL):
        headings = re.findall(r'<th scope="col".*?>([^<]+)</', table)
        labels = re.findall(r'data-label="(.*?)"', table)

        assert labels == [each for each in headings if each in labels], "data-label is the heading of its column"


def test_id_appears_once_on_a_page(folder: Path) -> None:
    for name, page in parse_pages(folder).items():
        assert len(page.ids) == len(set(page.ids)), name


def test_hostile_text_is_escaped(folder: Path) -> None:
    pages = parse_pages(folder)

    assert {page.elements.count("script") for page in pages.values()} == {2}
    assert HOSTILE in pages[file("table", "shelves")].text
    assert HOSTILE in pages[file("query", "shelves.find_shelf")].text
    assert "Show <b>one</b> shelf." in pages["endpoints.html"].text
    assert HOSTILE in pages["live-database.html"].text
    assert "</script>" not in (folder / "search.js").read_text()


def test_lines_have_the_numbers_of_the_file() -> None:
    assert '<span class="line" id=L3><span class="k">select' in highlighted("\n\nselect 1;\n", "L")


def test_names_become_valid_file_names() -> None:
    assert file("table", "Odd name/<i>") == "table-~4f~dd~20~name~2f~~3c~i~3e~.html"
    assert file("query", "users.show_me") == "query-users.show_me.html"
    assert file("table", "Odd") != file("table", "保")


def test_long_names_become_different_file_names() -> None:
    names = [file("table", "Ä" * 63 + last) for last in "ab"]

    assert names[0] != names[1]
    assert all(len(name) <= 255 for name in names)  # bytes that file systems allow


def test_pages_of_a_long_book_list_their_own_group(small_book: Contents, tmp_path: Path) -> None:
    """With full lists, 133 tables with 700 queries made 53 MB."""
    one = next(iter(small_book.migrations.values()))
    many = {name: attrs.evolve(one, name=name) for name in (f"{number:04}" for number in range(300))}

    write(attrs.evolve(small_book, migrations=many), tmp_path)

    pages = parse_pages(tmp_path)
    migrations = set(map(file, ["migration"] * len(many), many))
    assert migrations <= set(pages[file("migration", "0007")].links)
    assert not migrations & set(pages[file("query", "shelves.find_shelf")].links)
    assert dead_links(tmp_path) == []


def test_query_shows_parameters_and_columns(folder: Path) -> None:
    text = " ".join(parse_pages(folder)[file("query", "shelves.find_shelf")].text.split())

    assert "maybe Shelf" in text
    assert "GET /shelves/{shelf_id}" in text
    assert "service/shelves.py:12" in text
    assert "$1 id bigint the shelf" in text
    assert "feeling mood yes: shelves.feeling allows it Shelf.feeling: str | None" in text
    assert "select ACCESS SHARE the statement" in text
    assert "Index Scan using shelves_pkey on shelves" in text
    assert "psql \"$DATABASE_URL\" -c '\\bind 1' -f sql/shelves/find_shelf.sql" in text


def test_refused_query_shows_the_reason(folder: Path) -> None:
    text = parse_pages(folder)[file("query", "shelves.lose_shelf")].text

    assert 'relation "lost" does not exist' in text
    assert "no endpoint" in text


def test_review_file_shows_its_command_and_columns(folder: Path) -> None:
    text = " ".join(parse_pages(folder)["live-database.html"].text.split())

    assert f"How large each shelf is, {HOSTILE}. The largest first." in text
    assert 'psql "$DATABASE_URL" -f sql/review/shelf_sizes.sql' in text
    assert "Size <b> integer feeling mood text text" in text
    assert "from shelves order by 1 desc;" in text


def test_review_file_needing_an_extension_has_no_columns(folder: Path) -> None:
    text = parse_pages(folder)["live-database.html"].text

    assert 'cannot describe its columns: relation "pg_stat_statements" does not exist' in text
    assert "select /* review.statements */ calls from pg_stat_statements;" in text


def test_contents_and_search_lead_to_review_files(folder: Path) -> None:
    assert "live-database.html" in parse_pages(folder)["index.html"].links
    assert '"live-database.html#review.shelf_sizes"' in (folder / "search.js").read_text()


def test_finding_links_to_its_line(folder: Path) -> None:
    page = parse_pages(folder)["findings.html"]

    assert "query-shelves.lose_shelf.html#L3" in page.links
    assert "service/sql.pyi:1" in page.text


def test_finding_of_a_migration_links_to_its_page(small_book: Contents, tmp_path: Path) -> None:
    found = [Finding("migrations/0001_create_shelves.sql", 5, "slow", "rewrite"), Finding("sql/a/b.sql", 1, "x", "y")]

    write(attrs.evolve(small_book, findings=found), tmp_path)

    assert "migration-0001_create_shelves.html#L5" in parse_pages(tmp_path)["findings.html"].links


def test_page_says_that_there_are_no_findings(small_book: Contents, tmp_path: Path) -> None:
    write(attrs.evolve(small_book, findings=[]), tmp_path)

    assert "None." in parse_pages(tmp_path)["findings.html"].text


def test_measured_sizes_are_shown(small_book: Contents, tmp_path: Path) -> None:
    sizes = {
        ("public", "shelves"): Size(1_000_000, 68_000_000, 184_500_000),
        ("public", "shelves_pkey"): Size(0, 999, 0),
    }

    write(attrs.evolve(small_book, sizes=sizes), tmp_path)
    text = parse_pages(tmp_path)[file("table", "shelves")].text

    assert "1,000,000 rows, 68 MB; with indexes 184 MB" in text
    assert "999 bytes" in text


def test_old_pages_are_removed_and_other_files_kept(small_book: Contents, tmp_path: Path) -> None:
    write(small_book, tmp_path)
    (tmp_path / "index.html").rename(tmp_path / "table-gone.html")
    (tmp_path / "notes.html").write_text("mine")

    write(small_book, tmp_path)

    assert not (tmp_path / "table-gone.html").exists()
    assert (tmp_path / "notes.html").read_text() == "mine"


def test_another_site_is_not_overwritten(small_book: Contents, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Home</h1>")

    with pytest.raises(FolderError, match=r"index.html is not part of a book: choose another folder \(--out DIR\)"):
        write(small_book, tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>Home</h1>"


def test_folder_that_cannot_be_created_is_one_sentence(small_book: Contents, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FolderError, match=r"file: File exists; choose another folder|Not a directory; choose another"):
        write(small_book, tmp_path / "file")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (68_000_000, "68 MB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_human_readable(number: float, text: str) -> None:
    assert size(number) == text


def test_backticks_become_code() -> None:
    assert prose("a `b` and ``<c>``, <d>") == "a <code>b</code> and <code>&lt;c&gt;</code>, &lt;d&gt;"


def test_analyzed_plan_shows_what_it_read() -> None:
    leaf = {
        "Node Type": "Index Scan",
        "Scan Direction": "Backward",
        "Startup Cost": 0,
        "Total Cost": 30,
        "Plan Rows": 1,
        "Actual Rows": 2.5,
        "Actual Loops": 4,
        "Shared Hit Blocks": 3,
        "Shared Read Blocks": 4,
    }
    idle = leaf | {"Actual Loops": 0, "Subplan Name": "CTE x", "Node Type": "Aggregate", "Strategy": "Hashed"}
    join = leaf | {
        "Node Type": "Hash Join",
        "Join Type": "Left",
        "Total Cost": 80,
        "Plans": [leaf, idle],
        "Actual Rows": 1,
        "Actual Loops": 1,
    }

    node = PlanNode.of(join | {"Scan Direction": "Forward"})

    assert [(each.title, each.measured) for each in node.nodes()] == [
        ("Hash Join (left join)", "1 row, 7 blocks"),
        ("Index Scan, backward", "2.5 rows, 4 times, 7 blocks"),
        ("Hashed aggregate, backward", "never run"),
    ]
    assert node.share == pytest.approx(0.25)


@pytest.mark.slow
def test_every_psql_line_runs(server: EmbeddedPostgres, own_database_url: str) -> None:
    tree = Tree.read(ROOT)
    with connect(own_database_url) as connection:
        describer = Describer(connection)
        lines = [psql(each, describer.describe(each)) for each in tree.statements.values()]
    for line in lines:
        command = shlex.split(line.replace('"$DATABASE_URL"', shlex.quote(own_database_url)))
        undone = [
            str(server.binaries / "psql"),
            command[1],
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            "begin",
            *command[2:],
            "-c",
            "rollback",
        ]
        done = subprocess.run(undone, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line


@pytest.mark.parametrize(("sizes", "said"), [(None, True), ({("public", "shelves"): Size(1, 1, 1)}, False)])
def test_plan_on_empty_tables_names_the_better_index(
    small_book: Contents, tmp_path: Path, sizes: dict[tuple[str, str], Size] | None, *, said: bool
) -> None:
    query = small_book.queries["shelves.find_shelf"]
    assert query.plan
    [node] = [each for each in query.plan.nodes() if each.table == "shelves"]
    chosen = attrs.evolve(query, plan=attrs.evolve(node, index="shelves_inner_id_idx"))

    write(attrs.evolve(small_book, queries={query.name: chosen}, sizes=sizes), tmp_path)

    assert ("shelves_pkey (id) matches more of these" in parse_pages(tmp_path)[file("query", query.name)].text) is said
