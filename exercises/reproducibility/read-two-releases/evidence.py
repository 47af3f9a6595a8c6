"""Two release manifests of fixed content, and what the real code makes of them."""

import json

from pipeline.registry.release import Release
from pipeline.shared.files import text_hash

FILES = ("dvc.lock", "requirements.lock", "data/ingest/manifest.json", "configs/features.yaml")
CHANGED = {"commit", "data", "model", "papers"}
"""What the second release has of its own: code, newer data, and so another model."""


def _manifest(name: str, lock: str, data: str) -> Release:
    papers = {file: text_hash(f"{file} of both") for file in FILES}
    papers |= {"dvc.lock": text_hash(f"lock {lock}")}
    papers |= {"data/ingest/manifest.json": text_hash(f"manifest {data}")}
    return Release(
        commit=text_hash(name)[:40],
        patch=None,
        data=text_hash(f"data {data}"),
        model=text_hash(f"model {name}"),
        features="flight_delay-53c0f2a91b7e",
        config=text_hash("configs"),
        python="3.11.9",
        machine="x86_64",
        papers=papers,
    )


def releases() -> dict[str, Release]:
    """The champion's manifest and the challenger's."""
    return {
        "champion": _manifest("one", "one", "to April"),
        "challenger": _manifest("two", "two", "to May"),
    }


def differing() -> list[str]:
    """The fields in which the two manifests differ, by the records themselves."""
    one, two = (release.model_dump() for release in releases().values())
    return sorted(name for name in one if one[name] != two[name])


def files() -> dict[str, str]:
    """Both manifests as a person gets them."""
    return {
        f"evidence/{name}.json": json.dumps(release.model_dump(), indent=1) + "\n"
        for name, release in releases().items()
    }
