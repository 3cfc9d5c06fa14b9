"""A picture of cost against size as SVG, drawn by hand: two logarithmic axes and a line for each kind."""

import math
from html import escape

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 24, 56
# Told apart without seeing colours, too: by the marks.
_COLOURS = ("#0b6e99", "#b3541e", "#5b7f2b", "#7a4a9c")


def costs(lines, x_title, y_title):
    """`lines`: name to points (size, cost), all positive."""
    sizes = sorted({size for points in lines.values() for size, _ in points})
    values = [cost for points in lines.values() for _, cost in points]
    low, high = _decade(min(values), math.floor), _decade(max(values), math.ceil)
    high = max(high, low * 10)
    x = _scale(sizes[0], max(sizes[-1], sizes[0] * 10), _LEFT, _WIDTH - _RIGHT)
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>']
    parts += _grid(sizes, x, _decades(low, high), y)
    # What ends at the same height is written below each other.
    taken = []
    for colour, (name, points) in zip(_COLOURS, sorted(lines.items(), key=lambda line: -line[1][-1][1])):
        parts += _line(name, points, x, y, colour, taken)
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text(_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2, _HEIGHT - 12, x_title, "middle"))
    parts.append(f'<g transform="translate(16 {middle}) rotate(-90)">{_text(0, 0, y_title, "middle")}</g>')
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {style}>\n' + "\n".join(parts) + "\n</svg>\n"


def _grid(sizes, x, decades, y):
    for value in decades:
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
        yield _text(_LEFT - 8, y(value) + 4, f"{value:g}", "end")
    for size in sizes:
        yield _text(x(size), _HEIGHT - _BOTTOM + 20, f"{size:,}", "middle")


def _line(name, points, x, y, colour, taken):
    path = " ".join(f"{x(size):.1f},{y(cost):.1f}" for size, cost in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for size, cost in points:
        yield f'<circle cx="{x(size):.1f}" cy="{y(cost):.1f}" r="3.5" fill="{colour}"><title>{size:,}: {cost:.1f}</title></circle>'
    height = y(points[-1][1]) + 4
    while any(abs(height - other) < 16 for other in taken):
        height += 4
    taken.append(height)
    yield f'<text x="{x(points[-1][0]) + 10:.1f}" y="{height:.1f}" fill="{colour}">{escape(name)}</text>'


def _text(x, y, text, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'


def _scale(low, high, start, end):
    span = math.log(high / low)
    return lambda value: start + (end - start) * math.log(value / low) / span


def _decade(value, rounded):
    return 10.0 ** rounded(math.log10(value))


def _decades(low, high):
    return [low * 10**power for power in range(round(math.log10(high / low)) + 1)]
