"""Plots bars and curves as SVG for light and dark pages."""

from html import escape
from statistics import median

from tests.benchmarks.contestants import SERVICE
from tests.benchmarks.measure import Measurement

WIDTH, NAMES, BAR, GAP = 720, 190, 16, 6
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #222 } .title { font-weight: 600 }
  .bar { fill: #9ab } .ours { fill: #2a7 } .spread { stroke: #222 }
  .axis { stroke: #999; fill: none } .curve { stroke: #2a7; stroke-width: 2; fill: none }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #567 } .spread { stroke: #ddd } }
"""


def bars(results: dict[str, dict[str, list[Measurement]]]) -> str:
    """Draw the CPU time of a request, grouped by operation; the thin line is the spread of the rounds."""
    longest = max(each.cpu for servers in results.values() for found in servers.values() for each in found)
    scale = (WIDTH - NAMES - 70) / longest
    drawn, y = [], 10
    for name, servers in results.items():
        y += 16
        drawn.append(f'<text class="title" x="{NAMES}" y="{y}">{escape(name)}: server CPU, µs a request</text>')
        y += 8
        for who, found in servers.items():
            cost = [each.cpu for each in found]
            middle, line = median(cost) * scale, y + BAR / 2
            kind = "bar ours" if who == SERVICE.name else "bar"
            drawn += [
                f'<text x="{NAMES - 8}" y="{y + 12}" text-anchor="end">{escape(who)}</text>',
                f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{middle:.1f}" height="{BAR}"/>',
                f'<path class="spread" d="M{NAMES + min(cost) * scale:.1f} {line}H{NAMES + max(cost) * scale:.1f}"/>',
                f'<text x="{NAMES + max(cost) * scale + 6:.1f}" y="{y + 12}">{median(cost) * 1e6:.0f}</text>',
            ]
            y += BAR + GAP
        y += 12
    return _svg(y, "Server CPU a request", drawn)


PANEL, PLOT = 170, 110  # heights


def curves(found: dict[str, dict[str, list[Measurement]]]) -> str:
    """Draw how the CPU time of a request grows, a panel for each kind; the bars are the spread of the rounds."""
    drawn = []
    for number, (what, measured) in enumerate(found.items()):
        left, bottom = 60 + number % 2 * WIDTH / 2, 36 + number // 2 * PANEL + PLOT
        step = (WIDTH / 2 - 90) / max(1, len(measured) - 1)
        scale = PLOT / max(each.cpu for rounds in measured.values() for each in rounds)
        points = []
        for x, (name, rounds) in enumerate(measured.items()):
            at, cost = left + x * step, [each.cpu for each in rounds]
            low, middle, high = (bottom - each * scale for each in (min(cost), median(cost), max(cost)))
            points.append(f"{at:.1f} {middle:.1f}")
            drawn += [
                f'<path class="spread" d="M{at:.1f} {low:.1f}V{high:.1f}"/>',
                f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(name)}</text>',
                f'<text x="{at + 4:.1f}" y="{high - 4:.1f}">{median(cost) * 1e6:.0f}</text>',
            ]
        drawn += [
            f'<text class="title" x="{left - 40:.0f}" y="{bottom - PLOT - 18}">µs by {escape(what)}</text>',
            f'<path class="axis" d="M{left:.0f} {bottom - PLOT}V{bottom}H{left + WIDTH / 2 - 80:.0f}"/>',
            f'<path class="curve" d="M{"L".join(points)}"/>',
        ]
    return _svg(20 + PANEL * ((len(found) + 1) // 2), "Server CPU a request, as things grow", drawn)


def _svg(height: float, title: str, drawn: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img">\n<title>{title}</title><style>{STYLE}</style>\n' + "\n".join(drawn) + "\n</svg>\n"
    )
