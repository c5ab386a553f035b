"""The plot: bars, in SVG that suits light pages and dark ones."""

from html import escape
from statistics import median

from tests.benchmarks.contestants import SERVICE
from tests.benchmarks.measure import Measurement

WIDTH, NAMES, BAR, GAP = 720, 190, 16, 6
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #222 } .title { font-weight: 600 }
  .bar { fill: #9ab } .ours { fill: #2a7 } .spread { stroke: #222 }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #567 } .spread { stroke: #ddd } }
"""


def bars(results: dict[str, dict[str, list[Measurement]]]) -> str:
    """Draw the processor time of a request, a group for each operation; the thin line is the spread of the rounds."""
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
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">\n'
        f"<title>Server CPU a request</title><style>{STYLE}</style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )
