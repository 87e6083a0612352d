"""The pictures of the documentation say what the tables of the library say."""

import pytest

from docs.hooks.states import FORMS, TABLES, draw, on_page_markdown, write_table
from tests.support.servers import ROOT

PAGE = ROOT / "docs" / "explanation" / "connection-states.md"


@pytest.mark.parametrize("name", TABLES)
def test_states_drawing_has_every_row(name: str) -> None:
    """Each message of a table is a label of the drawing, each state a box, each pair of states an arrow."""
    table = TABLES[name]
    drawing = draw(name)
    states = {state for state, _ in table} | set(table.values())
    assert drawing.count("<title>") == len(table)
    assert all(f"<title>{kind}</title>" in drawing for _, kind in table)
    assert all(f">{state.name}</text>" in drawing for state in states)
    assert drawing.count("<path") - 1 == len({(state, after) for (state, _), after in table.items()})


@pytest.mark.parametrize("name", TABLES)
def test_states_table_has_every_row(name: str) -> None:
    """Reading the cells of the Markdown table gives the table again."""
    head, _, *lines = ([cell.strip(" *`") for cell in line.split("|")[1:-1]] for line in write_table(name).splitlines())
    read = {
        (state, kind): after
        for state, *cells in lines
        for kind, after in zip(head[1:], cells, strict=True)
        if after != "–"
    }
    assert read == {(state.name, kind): after.name for (state, kind), after in TABLES[name].items()}


def test_states_page_shows_both_tables_in_both_forms() -> None:
    """Every comment of the page is known, and there is one for each form of each table."""
    shown = on_page_markdown(PAGE.read_text(encoding="utf-8"))
    assert "<!--" not in shown
    assert all(form(name) in shown for form in FORMS.values() for name in TABLES)
