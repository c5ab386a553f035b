"""Positions the boxes of a diagram: connected boxes stay together, in as many columns as keep the diagram compact."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import attrs

GAP_X, GAP_Y, GAP_ALONE = 100, 28, 26
# The width of a page, in pixels; a block of connected boxes can be wider.
WIDTH = 880
SWEEPS = 6
# The largest ratio of height to width of a block.
MAX_ASPECT_RATIO = 1.1
# A layer up to this height is not split into columns.
MIN_SPLIT_HEIGHT = 720

Point = tuple[float, float]
Position = tuple[float, float, float]  # x, y and width


@attrs.frozen
class Item:
    """A box to draw, and the names of the boxes that it refers to."""

    name: str
    width: float
    height: float
    targets: frozenset[str]


@attrs.frozen
class Block:
    """A group of boxes with their positions."""

    positions: Mapping[str, Position]
    width: float
    height: float

    def moved(self, x: float, y: float) -> Mapping[str, Position]:
        """Return the positions of the boxes, shifted by `x` and `y`."""
        return {name: (left + x, top + y, width) for name, (left, top, width) in self.positions.items()}


def arrange(items: Sequence[Item]) -> Block:
    """Position the boxes: the largest connected group first, unconnected boxes side by side at the end."""
    parts = sorted(_connected(items), key=lambda part: (-len(part), part[0].name))
    alone = [part[0] for part in parts if len(part) == 1 and part[0].name not in part[0].targets]
    blocks = [_layered(part) for part in parts if part[0] not in alone]
    limit = max([WIDTH, *(block.width for block in blocks)])
    if alone:
        number = int((limit + GAP_ALONE) // (max(item.width for item in alone) + GAP_ALONE))
        columns: list[list[Item]] = [[] for _ in range(max(1, min(number, len(alone))))]
        for item in alone:
            min(columns, key=lambda column: _height(column, GAP_ALONE)).append(item)
        blocks.append(_beside(columns, GAP_ALONE, GAP_ALONE, middle=False))
    positions: dict[str, Position] = {}
    offsets, width, height = in_rows(blocks, limit)
    for block, offset in zip(blocks, offsets, strict=True):
        positions |= block.moved(*offset)
    return Block(positions, width, height)


def in_rows(blocks: Sequence[Block], limit: float, gap: float = GAP_Y) -> tuple[list[Point], float, float]:
    """Return the offsets of blocks placed in rows up to a width of `limit`, and their total width and height."""
    offsets: list[Point] = []
    x = y = width = row = 0.0
    for block in blocks:
        if x + block.width > limit:
            x, y, row = 0.0, y + row + gap, 0.0
        offsets.append((x, y))
        width, row = max(width, x + block.width), max(row, block.height)
        x += block.width + gap
    return offsets, width, y + row


def _connected(items: Sequence[Item]) -> list[list[Item]]:
    """Return the groups of boxes that are connected, directly or indirectly."""
    groups = [{item.name} for item in items]
    for item in items:
        linked = {item.name, *item.targets}
        joined = [group for group in groups if group & linked]
        groups = [*(group for group in groups if not group & linked), set().union(*joined)]
    return [[item for item in items if item.name in group] for group in groups]


def _layered(part: Sequence[Item]) -> Block:
    """Position each box to the right of those that it refers to; a layer that is too high becomes several columns."""
    ranks = _ranks({item.name: item.targets for item in part})
    layers: list[list[Item]] = [[] for _ in range(max(ranks.values()) + 1)]
    for item in part:
        layers[ranks[item.name]].append(item)
    area = sum((item.width + GAP_X) * (item.height + GAP_Y) for item in part)
    limit = max(MIN_SPLIT_HEIGHT, math.sqrt(area * MAX_ASPECT_RATIO), *(item.height for item in part))
    for _ in range(SWEEPS):
        _untangle(layers)
    block = _beside([column for layer in layers for column in _split(layer, limit)], GAP_X, GAP_Y, middle=True)
    loops = any(item.name in item.targets for item in part)
    return attrs.evolve(block, width=block.width + (GAP_X / 2 if loops else 0))


def _ranks(targets: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the layer of each name, from the left; in a cycle, the first one found is leftmost."""
    ranks: dict[str, int] = {}

    def rank(name: str, way: tuple[str, ...] = ()) -> int:
        if name not in ranks:
            others = [each for each in targets[name] if each in targets and each not in {*way, name}]
            ranks[name] = max((rank(each, (*way, name)) + 1 for each in others), default=0)
        return ranks[name]

    for name in targets:
        rank(name)
    return ranks


def _untangle(layers: list[list[Item]]) -> None:
    """Move each box towards the boxes that it is connected with, so that fewer lines cross."""
    middles = {item.name: (position + 0.5) / len(layer) for layer in layers for position, item in enumerate(layer)}
    around: dict[str, list[str]] = {name: [] for name in middles}
    for item in (item for layer in layers for item in layer):
        for target in item.targets & middles.keys() - {item.name}:
            around[item.name].append(target)
            around[target].append(item.name)
    for layer in layers:
        layer.sort(key=lambda item: fmean([middles[name] for name in around[item.name] or [item.name]]))
        middles |= {item.name: (position + 0.5) / len(layer) for position, item in enumerate(layer)}


def _split(layer: list[Item], limit: float) -> Iterator[list[Item]]:
    """Yield columns of similar height, none much higher than `limit`."""
    number = math.ceil(_height(layer, GAP_Y) / limit)
    ends = [round(len(layer) * part / number) for part in range(number + 1)]
    yield from (layer[start:end] for start, end in pairwise(ends) if start < end)


def _height(column: Sequence[Item], gap: float) -> float:
    return sum(item.height + gap for item in column) - gap


def _beside(columns: Sequence[Sequence[Item]], gap_x: float, gap_y: float, *, middle: bool) -> Block:
    """Position columns from left to right, each box as wide as its column."""
    tallest = max(_height(column, gap_y) for column in columns)
    positions: dict[str, Position] = {}
    x = 0.0
    for column in columns:
        width = max(item.width for item in column)
        y = (tallest - _height(column, gap_y)) / 2 if middle else 0.0
        for item in column:
            positions[item.name] = (x, y, width)
            y += item.height + gap_y
        x += width + gap_x
    return Block(positions, x - gap_x, tallest)
