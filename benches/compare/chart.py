"""The chart: an SVG written by hand, readable on light and on dark pages, with no font or script of its own."""

from xml.sax.saxutils import escape

WIDTH = 860
LEFT = 90
BAR = 18
GAP = 4
GROUP_GAP = 16
TOP = 66
LONGEST = 470

# Blue, orange, grey: told apart also by those who do not see red and green alike.
COLORS = {"tidemill": ("#0b63ce", "#58a6ff"), "DuckDB": ("#b35900", "#f0a04b"), "Postgres": ("#6e7681", "#9aa4af")}


def css_name(name):
    return name.lower()


def svg(groups, caption):
    """Bars of speed, of each work the fastest engine's the longest. `groups`: (title, [(engine, speed, beside
    tidemill's, remark)])."""
    light = "".join(f".{css_name(name)}{{fill:{colors[0]}}}" for name, colors in COLORS.items())
    dark = "".join(f".{css_name(name)}{{fill:{colors[1]}}}" for name, colors in COLORS.items())
    body, y = [], TOP
    for title, lines in groups:
        body.append(f'<text class="title" x="10" y="{y}">{escape(title)}</text>')
        y += 9
        longest = max(beside for _, _, beside, _ in lines)
        for engine, speed, beside, remark in lines:
            width = max(2.0, LONGEST * beside / longest)
            middle = y + BAR - 5
            body.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(engine)}</text>')
            body.append(f'<rect class="{css_name(engine)}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
            label = f"{speed}, {remark}" if remark else speed
            body.append(f'<text x="{LEFT + width + 8:.1f}" y="{middle}">{escape(label)}</text>')
            y += BAR + GAP
        y += GROUP_GAP + 8
    height = y - GROUP_GAP + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'role="img" aria-labelledby="name">',
        '<title id="name">Speed of the same works by tidemill and other engines</title>',
        "<style>text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}.title{font-weight:600}"
        f".head{{font-size:15px;font-weight:600}}{light}.page{{fill:#fff}}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.page{{fill:#0d1117}}{dark}}}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="head" x="10" y="22">Speed until durable, whole processes; longer is faster</text>',
        f'<text x="10" y="39">{escape(caption)}</text>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
