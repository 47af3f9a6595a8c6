"""The manifests for clusters: their keys are known, and what they serve is named by digest.

KServe's keys are held against the types of its Python package, which are generated from its own.
Seldon publishes none, so the types here were written by hand from its documentation.
"""

import re
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.rules import tree

pytestmark = pytest.mark.answer("model-server")

FOLDER = "configs/serve"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Percent = Annotated[int, Field(ge=0, le=100)]


class Metadata(Part):
    name: str


class Candidate(Part):
    name: str
    weight: Percent


class Mirror(Part):
    name: str
    percent: Percent


class ExperimentSpec(Part):
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    default: str | None = None
    mirror: Mirror | None = None
    resourceType: str | None = None  # noqa: N815  Seldon's word


class ModelSpec(Part):
    """Those fields of a model that one without an explainer or a language model may have."""

    storageUri: str  # noqa: N815
    artifactVersion: int | None = None  # noqa: N815
    schemaUri: str | None = None  # noqa: N815
    secretName: str | None = None  # noqa: N815
    modelType: str | None = None  # noqa: N815
    requirements: list[str] = []
    memory: Annotated[str, Field(pattern=r"^[0-9]+([KMGTPE]i?)?$")] | None = None
    server: str | None = None
    replicas: int | None = None
    minReplicas: int | None = None  # noqa: N815
    maxReplicas: int | None = None  # noqa: N815


DIGEST = r"[0-9a-f]{64}"
NAMED = r"flight-delay-[0-9a-f]{12}"
"""A model of Seldon: the start of the digest of its release; a name has no room for all of it."""
SPECS = {"Model": ModelSpec, "Experiment": ExperimentSpec}


def seldon(content: Any) -> Any:
    """The spec of a manifest of Seldon Core 2, if it is one."""
    assert set(content) == {"apiVersion", "kind", "metadata", "spec"}
    assert content["apiVersion"] == "mlops.seldon.io/v1alpha1"
    Metadata.model_validate(content["metadata"])
    return SPECS[content["kind"]].model_validate(content["spec"])


def unknown(value: Any, kind: str, models: Any) -> set[str]:
    """The keys of a manifest that KServe's generated types do not have."""
    if found := re.fullmatch(r"[lL]ist\[(.+)\]", kind):
        return {key for item in value for key in unknown(item, found[1], models)}
    model = models(kind) if kind.isidentifier() else None
    if not hasattr(model, "openapi_types"):
        return set()
    names = {name: attribute for attribute, name in model.attribute_map.items()}
    below = {
        key
        for name in value.keys() & names.keys()
        for key in unknown(value[name], model.openapi_types[names[name]], models)
    }
    return below | (value.keys() - names.keys())


@pytest.fixture(scope="module")
def models():
    """A type by its name: KServe's, or Kubernetes', which gives them only when asked."""
    import kserve
    from kubernetes import client

    return lambda name: getattr(kserve, name, None) or getattr(client, name, None)


@pytest.mark.parametrize("name", ["seldon-model", "seldon-experiment"])
def test_a_manifest_for_seldon_has_the_fields_that_there_are(name):
    seldon(tree.load(f"{FOLDER}/{name}.yaml"))


def test_the_experiment_gives_control_and_challenger_as_much_and_all_of_it_away():
    spec = seldon(tree.load(f"{FOLDER}/seldon-experiment.yaml"))
    assert sum(candidate.weight for candidate in spec.candidates) == 100
    assert spec.candidates[1].weight == spec.candidates[2].weight
    assert spec.default == spec.candidates[0].name
    assert spec.mirror.name not in {candidate.name for candidate in spec.candidates}


@pytest.mark.parametrize("change", [{"candidtes": []}, {"mirror": {"name": "x", "percent": "all"}}])
def test_a_field_that_there_is_not_would_be_found(change):
    content = tree.load(f"{FOLDER}/seldon-experiment.yaml")
    content["spec"] |= change
    with pytest.raises(ValidationError):
        seldon(content)


@pytest.mark.slow
def test_the_manifest_for_kserve_has_the_fields_that_there_are(models):
    content = tree.load(f"{FOLDER}/inferenceservice.yaml")
    assert unknown(content, "V1beta1InferenceService", models) == set()
    content["spec"]["predictor"]["containers"][0]["readynessProbe"] = {}
    content["spec"]["predictor"]["canaryTraffic"] = 10
    assert unknown(content, "V1beta1InferenceService", models) == {
        "canaryTraffic",
        "readynessProbe",
    }


def test_the_manifest_for_kserve_runs_what_there_is():
    (container,) = tree.load(f"{FOLDER}/inferenceservice.yaml")["spec"]["predictor"]["containers"]
    assert container["command"] == ["python", "-m", "pipeline.serve.kserve"]
    assert container["name"] == "kserve-container"
    settings = {entry["name"] for entry in container["env"]}
    assert settings == {"PIPELINE_ONLINE_URL", "PIPELINE_TRACKING_URL", "PIPELINE_ARTIFACTS_URL"}
    assert all("value" not in entry for entry in container["env"])


def test_the_manifest_for_kserve_names_release_and_image_by_their_digests(record_property):
    content = tree.load(f"{FOLDER}/inferenceservice.yaml")
    (container,) = content["spec"]["predictor"]["containers"]
    (release,) = [one for one in container["args"] if one.startswith("--release=")]
    assert re.fullmatch(f"--release={DIGEST}", release)
    assert re.fullmatch(f".+@sha256:{DIGEST}", container["image"])
    record_property("release and image of KServe's manifest named by digest", 2)


def test_a_share_for_a_canary_stands_with_the_mode_that_has_one():
    content = tree.load(f"{FOLDER}/inferenceservice.yaml")
    assert "canaryTrafficPercent" in content["spec"]["predictor"]
    mode = content["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
    assert mode == "Serverless"


def test_seldons_models_are_named_by_the_digests_of_their_releases():
    model = tree.load(f"{FOLDER}/seldon-model.yaml")
    digest = model["spec"]["storageUri"].rpartition("/")[2]
    assert re.fullmatch(DIGEST, digest)
    assert model["metadata"]["name"] == f"flight-delay-{digest[:12]}"
    spec = seldon(tree.load(f"{FOLDER}/seldon-experiment.yaml"))
    names = [spec.default, spec.mirror.name, *(one.name for one in spec.candidates)]
    assert all(re.fullmatch(f"{NAMED}(-control)?", name) for name in names)
    champion, control, challenger = (one.name for one in spec.candidates)
    assert control == f"{champion}-control"
    assert challenger != champion


@pytest.mark.slow
@pytest.mark.parametrize("named", ["champion", "2", "2" * 12, "A" * 64, ""])
def test_a_pod_takes_the_digest_of_a_release_and_no_alias(named, capsys):
    from pipeline.serve import kserve

    assert kserve.release_digest("2" * 64) == "2" * 64
    with pytest.raises(SystemExit, match="2"):
        kserve.main([f"--release={named}"])
    said = capsys.readouterr().err
    assert f"{len(named)} characters, a digest has 64" in said
    assert "`make lineage VERSION=champion`" in said


@pytest.mark.parametrize("name", ["inferenceservice", "seldon-model", "seldon-experiment"])
def test_a_manifest_says_that_it_was_not_run_here(name):
    assert "# Not run here, for want of a cluster" in tree.read(f"{FOLDER}/{name}.yaml")
