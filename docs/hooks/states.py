"""
The states of a connection, drawn and written out from the tables that the library itself looks at.

A hook of mkdocs (`hooks:` in `mkdocs.yml`). In a page, the comment `<!-- SENDING as a diagram -->` becomes a drawing
of `lilya._state.SENDING`, and `<!-- SENDING as a table -->` a table of it; likewise RECEIVING. What a page shows cannot
differ from what the code does, since it is made from it.

The drawing is SVG and not a Mermaid block, because the theme loads Mermaid from somebody else's server.
"""

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, TypeAlias

from lilya._state import RECEIVING, SENDING
from lilya.enums import WebSocketState

__all__ = ["draw", "on_page_markdown", "write_table"]

Table: TypeAlias = Mapping[tuple[WebSocketState, str], WebSocketState]

TABLES: Mapping[str, Table] = {"SENDING": SENDING, "RECEIVING": RECEIVING}

# Centre of each state's box. A state that is added to the library must be given a place here: a KeyError says so.
PLACES = {
    WebSocketState.CONNECTING: (90, 140),
    WebSocketState.CONNECTED: (390, 60),
    WebSocketState.RESPONSE: (390, 220),
    WebSocketState.DISCONNECTED: (690, 140),
}
WIDTH = 780
HALF_WIDTH, HALF_HEIGHT = 72, 18

_MARKER = re.compile(r"<!-- (\w+) as a (diagram|table) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the drawings and tables in the place of their comments."""
    return _MARKER.sub(lambda marker: FORMS[marker[2]](marker[1]), markdown)


def write_table(name: str) -> str:
    """A Markdown table: a row for each state, a column for each message, in a cell the state after it."""
    table = TABLES[name]
    kinds = list(dict.fromkeys(kind for _, kind in table))
    lines = [
        "| state | " + " | ".join(f"`{kind}`" for kind in kinds) + " |",
        "| --- |" + " --- |" * len(kinds),
    ]
    for state in sorted(_states_of(table)):
        cells = [after.name if (after := table.get((state, kind))) is not None else "–" for kind in kinds]
        lines.append(f"| **{state.name}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(name: str) -> str:
    """An SVG drawing: a box for each state that the table mentions, an arrow for each of its rows."""
    table = TABLES[name]
    states = _states_of(table)
    height = max(PLACES[state][1] for state in states) + HALF_HEIGHT + 10
    arrows: dict[tuple[WebSocketState, WebSocketState], list[str]] = {}
    for (state, kind), after in table.items():
        arrows.setdefault((state, after), []).append(kind)
    look = "width: 100%; color: var(--md-default-fg-color); font: 13px monospace"
    parts = [
        f'<figure><svg viewBox="0 0 {WIDTH} {height}" style="{look}" role="img" aria-label="{name}">',
        f'<defs><marker id="head-{name}" viewBox="0 0 8 8" refX="8" refY="4" orient="auto" markerWidth="8" ',
        'markerHeight="8"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>',
        f'<g fill="none" stroke="currentColor" marker-end="url(#head-{name})">',
        *(_draw_line(state, after) for state, after in arrows),
        '</g><g text-anchor="middle">',
        *(_draw_labels(state, after, kinds) for (state, after), kinds in arrows.items()),
        *map(_draw_box, sorted(states)),
        "</g></svg></figure>",
    ]
    return "\n".join(parts)


def _draw_box(state: WebSocketState) -> str:
    x, y = PLACES[state]
    return (
        f'<rect x="{x - HALF_WIDTH}" y="{y - HALF_HEIGHT}" width="{2 * HALF_WIDTH}" height="{2 * HALF_HEIGHT}" rx="6" '
        f'fill="var(--md-default-bg-color)" stroke="currentColor"/>'
        f'<text x="{x}" y="{y + 5}" fill="currentColor">{state.name}</text>'
    )


def _draw_line(state: WebSocketState, after: WebSocketState) -> str:
    (x1, y1), (x2, y2) = PLACES[state], PLACES[after]
    if state is after:
        top = y1 - HALF_HEIGHT
        return f'<path d="M{x1 - 30} {top} C{x1 - 30} {top - 32} {x1 + 30} {top - 32} {x1 + 30} {top}"/>'
    dx, dy = x2 - x1, y2 - y1
    # How much of the way from centre to centre lies within a box.
    inside = min(HALF_WIDTH / abs(dx) if dx else 1.0, HALF_HEIGHT / abs(dy) if dy else 1.0)
    return f'<path d="M{x1 + dx * inside:.0f} {y1 + dy * inside:.0f} L{x2 - dx * inside:.0f} {y2 - dy * inside:.0f}"/>'


def _draw_labels(state: WebSocketState, after: WebSocketState, kinds: list[str]) -> str:
    (x1, y1), (x2, y2) = PLACES[state], PLACES[after]
    x, y = (x1, y1 - HALF_HEIGHT - 28) if state is after else ((x1 + x2) // 2, (y1 + y2) // 2)
    return "".join(_draw_label(kind, x, y + 18 * row) for row, kind in enumerate(kinds))


def _draw_label(kind: str, x: int, y: int) -> str:
    text = kind.removeprefix("websocket.")
    width = 8 * len(text) + 8
    return (
        f'<rect x="{x - width // 2}" y="{y - 9}" width="{width}" height="18" fill="var(--md-default-bg-color)"/>'
        f'<text x="{x}" y="{y + 4}" fill="currentColor"><title>{escape(kind)}</title>{escape(text)}</text>'
    )


def _states_of(table: Table) -> set[WebSocketState]:
    return {state for state, _ in table} | set(table.values())


FORMS: Mapping[str, Callable[[str], str]] = {"diagram": draw, "table": write_table}
