"""The pages of a generated book, parsed."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from typing_extensions import override


class ParsedPage(HTMLParser):
    """A page: its links, its ids (possible link targets), its elements and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.text += " " if tag in {"td", "th", "dd"} else ""
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def parse_pages(folder: Path) -> dict[str, ParsedPage]:
    """Return the pages of a book."""
    return {page.name: ParsedPage(page) for page in folder.glob("*.html")}


def dead_links(folder: Path) -> list[str]:
    """Return the links without a target."""
    pages = parse_pages(folder)
    dead = []
    for name, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if not (folder / unquote(target or name)).is_file() or (
                anchor and unquote(anchor) not in pages[unquote(target or name)].ids
            ):
                dead.append(f"{name}: {link}")
    return dead
