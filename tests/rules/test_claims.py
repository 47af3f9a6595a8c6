"""Law 6: no unchecked claim. A command, path or symbol in a page is one that exists."""

import ast
import re
from pathlib import PurePosixPath

import pytest

from tests.rules import tree

PAGES = [
    name
    for name in tree.files()
    if name.endswith(".md") and name.split("/")[0] in ("README.md", "CHANGELOG.md", "docs")
]
SOURCE = (".py", ".md", ".yaml", ".yml", ".toml", ".lock", ".sh")
README_BYTES = 6_000


def _fences(page: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", tree.read(page), re.MULTILINE | re.DOTALL)


def _spans(page: str) -> list[str]:
    """What stands in backticks within a page's prose."""
    prose = re.sub(r"^```.*?^```", "", tree.read(page), flags=re.MULTILINE | re.DOTALL)
    return [span.strip() for span in re.findall(r"`([^`\n]+)`", prose)]


def _commands(page: str) -> list[str]:
    """Every line that a reader could type: in backticks, in a fence, after `try:` in a header."""
    lines = [
        line.strip().removeprefix("$ ") for fence in _fences(page) for line in fence.split("\n")
    ]
    tried = re.findall(r"^(?:try|drill): *(.+)$", tree.read(page), re.MULTILINE)
    return [part for line in [*lines, *_spans(page), *tried] for part in re.split(r"&&|;|\|", line)]


def _literals() -> set[str]:
    """Every string in the pipeline's code and configs: what a stage can write to."""
    texts = {
        node.value
        for name in tree.code()
        for node in ast.walk(tree.parsed(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return texts | {tree.read(name) for name in tree.files() if name.startswith("configs/")}


def _is_written(path: str) -> bool:
    """Whether a path below data/ or state/ is an output of the graph, or named in the code."""
    written = [out for stage in tree.graph().values() for out in tree.outs(stage)]
    if any(tree.covers(out, path) or tree.covers(path, out) for out in written):
        return True
    folders = {*tree.data_folders().values(), "state", "data"}
    name = PurePosixPath(path).name
    return path in folders or (
        any(path.startswith(f"{folder}/") for folder in folders)
        and any(name in text for text in _literals())
    )


def _looks_like_a_path(span: str) -> bool:
    if not re.fullmatch(r"\.?[\w.-]+(/[\w.-]+)*/?", span):
        return False  # has a space, a placeholder such as <stage>, a symbol's colon
    top = {name.split("/")[0] for name in tree.files()} | {"data", "state"}
    return span.split("/")[0] in top or span.endswith(SOURCE)


def _exists(span: str) -> bool:
    path = span.rstrip("/")
    if any(tree.covers(path, name) or name.endswith(f"/{path}") for name in tree.files()):
        return True
    return path.split("/")[0] in ("data", "state") and _is_written(path)


def _defines(module: str, symbol: str) -> bool:
    """Whether a module's text defines a name, or a class of it an attribute."""
    body = tree.parsed(tree.file_of(module)).body
    for part in symbol.split("."):
        found = [
            node
            for node in body
            if getattr(node, "name", None) == part
            or (isinstance(node, ast.Assign) and part in map(ast.unparse, node.targets))
            or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == part)
        ]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert "README.md" in tree.files()
    assert (tree.ROOT / "README.md").stat().st_size <= README_BYTES


@tree.each(PAGES)
def test_every_command_in_a_page_exists(page: str) -> None:
    for line in map(str.strip, _commands(page)):
        known = {"make": set(tree.targets()), "python -m pipeline": set(tree.commands())}
        for program, words in known.items():
            if line.startswith(f"{program} "):
                named = re.match(r"(?:[a-z][a-z-]*(?: |$))*", line.removeprefix(f"{program} "))
                assert named
                assert set(named[0].split()) - words == set(), line


@tree.each([name for name in tree.files() if name.endswith(SOURCE)])
def test_every_benchmark_that_a_file_names_exists(name: str) -> None:
    named = re.findall(r"[ `\n]M=([a-z-]+)", tree.read(name))
    assert {f"measure M={one}" for one in named} - tree.offered() == set()


@pytest.mark.long
@tree.each(PAGES)
def test_every_path_in_a_page_is_in_git_or_written_by_a_stage(page: str) -> None:
    assert [s for s in _spans(page) if _looks_like_a_path(s) and not _exists(s)] == []


@tree.each(PAGES)
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|^ *click \w+ \"([^\"]+)\"", tree.read(page), re.M)
    local = [a or b for a, b in links if "://" not in (a or b)]
    here = (tree.ROOT / page).parent
    assert [link for link in local if not (here / link).resolve().exists()] == []


@tree.each(PAGES)
def test_every_symbol_in_a_page_is_defined(page: str) -> None:
    symbols = re.findall(r"\b(pipeline(?:\.\w+)+):(\w+(?:\.\w+)*)", tree.read(page))
    assert [f"{m}:{name}" for m, name in symbols if not _defines(m, name)] == []


@tree.each(PAGES)
def test_no_page_counts_lines(page: str) -> None:
    text = tree.read(page)
    assert re.findall(r"\blines? \d+|\b\w+\.(?:py|ya?ml|toml|md):\d+|#L\d+", text) == []


def test_no_file_names_a_place_on_one_machine_or_a_package_host() -> None:
    patterns = [
        r"(?<![\w.~}-])/(?:home|root|work|Users|mnt|opt)/\S*",
        r"--(?:extra-)?index-url|--find-links|--registry|--trusted-host",
        r"//[^/\s]*(?:pypi|pythonhosted|npm|conda|debian|mirror)[^/\s]*",
    ]
    found = {
        (name, place)
        for name in tree.files()
        if name not in ("LICENSE", "tests/rules/test_claims.py") and not name.endswith(".zip")
        for pattern in patterns
        for place in re.findall(pattern, tree.read(name))
    }
    assert found == set()


def test_no_page_holds_a_merge_conflict() -> None:
    marked = re.compile(r"^(<{7}|>{7}) |^={7}$|-->@<!--", re.MULTILINE)
    texts = [name for name in tree.files() if name.endswith((".md", ".yaml", ".yml"))]
    assert [name for name in texts if marked.search(tree.read(name))] == []
