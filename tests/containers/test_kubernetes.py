"""The Kubernetes manifests: valid, whole, and the same service that the compose file makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from config.settings import load_settings
from tests.containers.support import CONTAINERS, REPOSITORY, compose

FOLDER = CONTAINERS / "kubernetes"
#: What others make: the overlay, or the administrator by hand.
MADE_ELSEWHERE = {
    ("Secret", "fountain-passwords"),
    ("Secret", "fountain-tls"),
    ("ConfigMap", "fountain-surveys"),
}
PROCESSES = {
    "fountain-web": "web-1",
    "fountain-worker-high": "worker-high",
    "fountain-worker": "worker",
    "fountain-reconciler": "reconciler",
    "fountain-upgrade": "upgrade",
}


@cache
def manifests() -> tuple[Any, ...]:
    """Every object of every file that the kustomizations name."""
    found = []
    for folder in (FOLDER, FOLDER / "autoscaling"):
        for name in kustomization(folder)["resources"]:
            found += yaml.safe_load_all((folder / name).read_text())
    return tuple(found)


def kustomization(folder: Any) -> Any:
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


def named(kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in manifests() if found["kind"] == kind}


def pods() -> dict[str, Any]:
    """Pod specifications by the name of who makes them."""
    return {
        found["metadata"]["name"]: found["spec"]["template"]["spec"]
        for found in manifests()
        if found["kind"] in ("Deployment", "Job")
    }


def values(node: Any, key: str) -> Iterator[Any]:
    """Whatever stands under a key, anywhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from values(item, key)


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "autoscaling"], ids=lambda folder: folder.name)
def test_every_file_is_named_once(folder: Any) -> None:
    listed = kustomization(folder)["resources"]
    assert sorted(listed) == sorted({file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"})


def test_no_two_objects_have_the_same_name() -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in manifests()]
    assert len(names) == len(set(names))


def test_the_manifests_are_valid() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    checked = 0
    for found in manifests():
        if not found["apiVersion"].startswith("keda.sh/"):  # not of Kubernetes itself
            validator.validate(found, "1.32", strict=True)
            checked += 1
    assert checked > 10


def test_kustomize_puts_them_together(tmp_path: Any) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(FOLDER, tmp_path / "fountain")
    overlay = {
        "resources": ["fountain"],
        "components": ["fountain/autoscaling"],
        "images": [{"name": "sodafountain", "newName": "registry.example.org/fountain", "newTag": "7"}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    built = subprocess.run(
        [kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert built.returncode == 0, built.stderr
    made = list(yaml.safe_load_all(built.stdout))
    assert len(made) == len(manifests())
    images = {
        container["image"] for spec in made for many in values(spec, "containers") for container in many
    }
    assert images == {"registry.example.org/fountain:7"}


def test_what_is_referred_to_is_there() -> None:
    made = {(found["kind"], found["metadata"]["name"]) for found in manifests()} | MADE_ELSEWHERE
    wanted: set[tuple[str, str]] = set()
    for found in manifests():
        wanted |= {("PersistentVolumeClaim", name) for name in values(found, "claimName")}
        wanted |= {("Secret", name) for name in values(found, "secretName")}
        wanted |= {("ConfigMap", ref["name"]) for ref in values(found, "configMapRef")}
        wanted |= {("ConfigMap", ref["name"]) for ref in values(found, "configMap")}
        wanted |= {("Service", ref["name"]) for ref in values(found, "service")}
        wanted |= {(ref.get("kind", "Deployment"), ref["name"]) for ref in values(found, "scaleTargetRef")}
    assert wanted <= made
    for spec in pods().values():
        volumes = {volume["name"] for volume in spec["volumes"]}
        (container,) = spec["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_selectors_find_pods() -> None:
    labels = [
        found["spec"]["template"]["metadata"]["labels"]
        for found in manifests()
        if found["kind"] == "Deployment"
    ]
    for found in manifests():
        if found["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert found["spec"]["selector"]["matchLabels"] in labels
        elif found["kind"] == "Service" and found["metadata"]["name"] != "fountain-nothing":
            assert found["spec"]["selector"] in labels


def test_the_processes_are_those_of_the_compose_file() -> None:
    services = compose()["services"]
    assert set(pods()) == set(PROCESSES)
    for name, spec in pods().items():
        (container,) = spec["containers"]
        assert container["args"] == services[PROCESSES[name]]["command"], name
        assert "command" not in container  # tini stays in front
        assert container["image"] == "sodafountain"
        checked = services[PROCESSES[name]].get("healthcheck", {}).get("test")
        for probe in values(container, "exec"):
            if "healthcheck.py" in str(probe):
                assert ["CMD", *probe["command"]] == checked


def test_ports_agree() -> None:
    dockerfile = (CONTAINERS / "Dockerfile").read_text()
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    (container,) = pods()["fountain-web"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [int(exposed)]
    assert int(exposed) == load_settings({}).server.port


def test_pods_have_no_rights() -> None:
    dockerfile = (CONTAINERS / "Dockerfile").read_text()
    for name, spec in pods().items():
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"], name
        ids = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
        assert f"\nUSER {ids}\n" in dockerfile
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_the_settings_are_settings() -> None:
    (found,) = [found for found in manifests() if found["metadata"]["name"] == "fountain-settings"]
    environ = dict(found["data"])
    passwords = environ.pop("FOUNTAIN_CONFIG")
    assert load_settings(environ).jobs.results_url == "/results"
    for spec in pods().values():
        # The names of services would else become variables that begin like settings.
        assert spec["enableServiceLinks"] is False
        (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "passwords"]
        assert passwords == f"{mount['mountPath']}/settings.toml"


def test_who_is_stopped_may_finish() -> None:
    settings = load_settings({})
    for name, spec in pods().items():
        if name != "fountain-upgrade":
            grace_s = spec["terminationGracePeriodSeconds"]
            assert grace_s > settings.server.graceful_stop_s + 5
            assert grace_s > settings.jobs.drain_s
    for service in ("web-1", "worker", "worker-high", "reconciler"):
        assert (
            int(compose()["services"][service]["stop_grace_period"].rstrip("s"))
            > settings.server.graceful_stop_s
        )


def test_no_secret_is_in_the_repository() -> None:
    assert not named("Secret")


def test_workers_are_scaled_by_what_waits() -> None:
    queries = [query for found in manifests() for query in values(found, "query")]
    for query in queries:
        metric, lane = re.fullmatch(r'max\((\w+)\{lane="(\w+)"\}\)', query).groups()
        assert metric in ("fountain_queue_depth", "fountain_oldest_wait_seconds")
        assert lane in ("high", "low")
    assert len(queries) == 3


def test_the_overlay_of_the_guide_is_one(tmp_path: Any) -> None:
    text = (REPOSITORY / "docs" / "deployment.md").read_text()
    (overlay,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert set(yaml.safe_load(overlay)["resources"]) == {"fountain"}
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(FOLDER, tmp_path / "fountain")
    (tmp_path / "surveys").mkdir()
    (tmp_path / "surveys" / "mine.toml").write_text('title = "Mine"\n')
    (tmp_path / "kustomization.yaml").write_text(overlay)
    built = subprocess.run(
        [kubectl, "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert built.returncode == 0, built.stderr
    (survey,) = set(re.findall(r"name: (fountain-surveys-\w+)", built.stdout))
    assert built.stdout.count(survey) == 1 + 4  # itself, and whoever mounts it
    assert "cutouts.example.org" not in built.stdout
