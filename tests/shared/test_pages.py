"""What fills a page cannot become markup, and a page needs no folder to be rendered in."""

import pytest
from jinja2 import UndefinedError

from pipeline.evaluate.verdict_report import verdict_report
from pipeline.shared import pages
from tests.builders import verdict


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """Renders a template of these words, as a file with this ending."""
    monkeypatch.setattr(pages, "_ROOTS", [tmp_path])
    pages._environment.cache_clear()

    def render(name, text, **values):
        (tmp_path / name).write_text(text)
        return pages.render(name, **values)

    yield render
    pages._environment.cache_clear()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.html", "<b>&lt;i&gt; | \n x</b>"),
        ("a.md", "<b><i> / x</b>"),
        ("a.txt", "<b><i> | \n x</b>"),
    ],
)
def test_a_value_stays_text_in_html_and_one_cell_in_markdown(filled, name, shown):
    assert filled(name, "<b>{{ value }}</b>", value="<i> | \n x") == shown


@pytest.mark.parametrize("name", ["a.html", "a.md", "a.txt"])
@pytest.mark.parametrize(
    "text", ["{{ valeu }}", "{{ value.nothing }}", "{{ valeu | number(',') }}"]
)
def test_a_name_that_is_not_there_is_no_empty_place_on_a_page(filled, name, text):
    with pytest.raises((UndefinedError, TypeError)):
        filled(name, text, value="x")


def test_a_page_is_rendered_wherever_the_process_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "passed" in verdict_report(verdict())
