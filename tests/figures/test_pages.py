"""Pages show what was recorded: their generated parts are those that would be made now."""

from docs import book


def test_generated_parts_are_fresh():
    for path, text in book.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make fill`"
