"""What pages say of a tool that is installed here is so in the installed version."""

import ast
import importlib.util
import re
from pathlib import Path

from tests.rules import tree


def _source(module: str, file: str) -> ast.Module:
    """A tool's source, read and not imported."""
    found = importlib.util.find_spec(module)
    assert found
    assert found.origin
    return ast.parse((Path(found.origin).parent / file).read_text(encoding="utf-8"))


def _defaults(source: ast.Module, function: str) -> dict[str, str]:
    """The defaults of a function's parameters, by name, where it is first defined."""
    (node, *_) = (
        one for one in ast.walk(source) if isinstance(one, ast.FunctionDef) and one.name == function
    )
    named = [*node.args.posonlyargs, *node.args.args]
    given = dict(zip((one.arg for one in named[::-1]), node.args.defaults[::-1], strict=False))
    keyword = zip((one.arg for one in node.args.kwonlyargs), node.args.kw_defaults, strict=True)
    return {name: ast.unparse(value) for name, value in [*given.items(), *keyword] if value}


def test_feast_filters_by_creation_time_when_asked_and_not_by_default() -> None:
    found = _defaults(_source("feast", "feature_store.py"), "get_historical_features")
    assert found["filter_by_created_timestamp"] == "False"
    assert "`filter_by_created_timestamp=True`" in tree.read("docs/answers/feature-store.md")


def test_no_read_of_ours_rests_on_that_filter() -> None:
    assert [n for n in tree.code() if "filter_by_created_timestamp" in tree.read(n)] == []


def test_an_alias_of_mlflow_has_a_version_and_no_history() -> None:
    """Its store keeps one row an alias; who was champion is asked of the ledger."""
    models = _source("mlflow", "store/model_registry/dbmodels/models.py")
    (table,) = (
        one
        for one in ast.walk(models)
        if isinstance(one, ast.ClassDef) and one.name == "SqlRegisteredModelAlias"
    )
    columns = [ast.unparse(node) for node in table.body if "Column(" in ast.unparse(node)]
    assert columns
    assert not re.search(r"time|date", "".join(columns))


def test_no_page_or_workflow_speaks_of_a_command_to_come() -> None:
    """A sentence on what is to come is stale on the day on which it comes, and nobody sees that."""
    stale = re.compile(
        r"(joins|comes|follows) when its|does not exist yet|not (yet )?(written|built|wired) yet|"
        r"for a later|will be added|coming soon|TODO|FIXME"
    )
    spoken = r"(docs|\.github|configs|pipeline)/.+\.(md|ya?ml|py)|README\.md|Makefile|dvc\.yaml"
    names = [name for name in tree.files() if re.fullmatch(spoken, name)]
    assert {
        (name, found[0]) for name in names for found in stale.finditer(tree.read(name))
    } == set()
