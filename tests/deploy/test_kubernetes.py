"""The manifests of deploy/kubernetes: by the schemas that Kubernetes publishes, and by what an operator expects."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.33")  # native sidecars are on by default since 1.29
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
MANIFESTS = [*sorted((FOLDER / "base").glob("*.yaml")), *sorted(FOLDER.glob("*/*/egress.yaml"))]
MANIFESTS.append(FOLDER / "components" / "daemonset" / "shipper.yaml")

pytestmark = pytest.mark.together  # an overlay is built once


def load(text):
    return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]


def kustomize():
    """The command that builds an overlay."""
    found = shutil.which("kustomize") or shutil.which("kustomize", path=Path.home() / "go" / "bin")
    if found:
        return [found, "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip("needs kustomize: go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1")
    return []


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    """What an overlay gives, by kind and name."""
    return request.param, build(tuple(kustomize()), request.param)


@cache
def build(command, name):
    """An overlay, built once for all tests: they only read it."""
    command = [*command, str(FOLDER / "overlays" / name)]
    built = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return as_objects(built)


def as_objects(text):
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in load(text)}


def pods_of(objects):
    """The pod of each workload, by its name."""
    return {
        name.partition("/")[2]: each["spec"]["template"]["spec"]
        for name, each in objects.items()
        if "template" in each.get("spec", {})
    }


def containers_of(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_schemas_of_kubernetes(path, version):
    """Each object, strictly: an unknown field is a fault."""
    for document in load(path.read_text()):
        if "kustomize" not in document["apiVersion"]:
            kubernetes_validate.validate(document, version, strict=True)


def test_overlays_build_and_keep_to_the_schemas(overlay):
    """With everything that they add and change."""
    _, objects = overlay
    assert {"Deployment/cars", "Deployment/parts", "StatefulSet/postgres"} <= set(objects)
    for each in objects.values():
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


def test_every_container_is_confined(overlay):
    """One is root, with one capability, to give a node's folder away; nobody else."""
    _, objects = overlay
    roots = []
    for name, pod in pods_of(objects).items():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers_of(pod):
            context = {**pod["securityContext"], **container["securityContext"]}
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]
            if not context.get("runAsNonRoot"):
                roots.append((name, container["name"], context["capabilities"].get("add")))
    assert roots in ([], [("shipper", "own-spool", ["CHOWN"])])


def test_secrets_are_references(overlay):
    """No object holds one; none is made here."""
    _, objects = overlay
    assert not [name for name in objects if name.startswith("Secret/")]
    for pod in pods_of(objects).values():
        for container in containers_of(pod):
            values = {each["name"]: each.get("value", "") for each in container.get("env", [])}
            assert all(
                value.startswith("/run/secrets/")
                for name, value in values.items()
                if re.search("PASSWORD|TOKEN|KEY", name)
            )
            assert not any(re.search(r"://[^/@]*:[^/@]*@", value) for value in values.values())


def test_services_can_be_replaced_without_a_pause(overlay):
    """A pod that ends is forgotten by the balancer first, and there is time for all that follows."""
    _, objects = overlay
    for name in ("cars", "parts"):
        deployment, pod = objects[f"Deployment/{name}"], pods_of(objects)[name]
        service = next(each for each in pod["containers"] if each["name"] == name)
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert deployment["spec"]["replicas"] >= 2
        assert objects[f"PodDisruptionBudget/{name}"]["spec"]["minAvailable"] == 1
        assert service["lifecycle"]["preStop"]
        assert service["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert service["livenessProbe"]["httpGet"]["path"] == "/healthz"
        # preStop, gunicorn's graceful_timeout, and the shipper's own end
        assert pod["terminationGracePeriodSeconds"] >= 5 + 20 + 15


def test_every_spool_has_a_shipper(overlay):
    """In the pod, or on the node; never both, and with the folder that the services write."""
    name, objects = overlay
    for service in ("cars", "parts"):
        pod = pods_of(objects)[service]
        spool = next(volume for volume in pod["volumes"] if volume["name"] == "spool")
        sidecars = [each for each in containers_of(pod) if each["name"] == "shipper"]
        if "daemonset" in name:
            node = next(v for v in pods_of(objects)["shipper"]["volumes"] if v["name"] == "spool")
            assert (sidecars, spool["hostPath"]) == ([], node["hostPath"])
        else:
            assert [each["restartPolicy"] for each in sidecars] == ["Always"]
            assert spool["emptyDir"]["sizeLimit"]


def selects(selector, labels):
    """Whether a selector of a policy means a pod with these labels."""
    named = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return named and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))


def test_pods_reach_what_they_need_and_nothing_else(overlay):
    """By the policies that select them, as a cluster reads those: names, the database, parts, and the backend."""
    _, objects = overlay
    settings = next(each["data"] for key, each in objects.items() if key.startswith("ConfigMap/dashcam-shipping"))
    backend = {"stdout": set(), "loggly": {443}, "elk": {24224, 9200}, "elasticsearch": {9200}}[settings["LOG_BACKEND"]]
    policies = [each["spec"] for key, each in objects.items() if key.startswith("NetworkPolicy/")]
    workloads = {key.partition("/")[2]: each for key, each in objects.items() if "template" in each.get("spec", {})}
    ports, closed = {}, set()
    for name, each in workloads.items():
        labels = each["spec"]["template"]["metadata"]["labels"]
        own = [policy for policy in policies if selects(policy["podSelector"], labels)]
        ports[name] = {port["port"] for policy in own for rule in policy.get("egress", []) for port in rule["ports"]}
        closed |= {name} if any("Ingress" in policy["policyTypes"] for policy in own) else set()

    near = set() if "shipper" in workloads else backend
    wanted = {"cars": {53, 8000, 5432} | near, "parts": {53, 5432} | near, "postgres": {53}, "shipper": {53} | backend}
    assert ports == {name: wanted[name] for name in workloads}
    assert closed == set(workloads)


def test_postgresql_starts_as_under_compose():
    """By the same script and the same check, which make a cluster anew whose making a kill cut off."""
    pod = load((FOLDER / "base" / "postgres.yaml").read_text())[0]["spec"]["template"]["spec"]["containers"][0]
    compose = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")["services"]["postgres"]

    entrypoint, check = (
        [word.replace("$$", "$") for word in words] for words in (compose["entrypoint"], compose["healthcheck"]["test"])
    )
    assert (pod["command"], pod["args"]) == (entrypoint, compose["command"])
    assert pod["startupProbe"]["exec"]["command"] == ["sh", "-c", check[1]]


def test_images_are_those_that_are_built():
    """By the names that `make images` gives them."""
    names = set(re.findall(r"image: (dashcam/\w+)", "".join(path.read_text() for path in FOLDER.rglob("*.yaml"))))
    built = YAML(typ="safe", pure=True).load(ROOT / "deploy" / "compose" / "images.yml")["services"]

    assert names == {"dashcam/cars", "dashcam/parts", "dashcam/shipper"}
    assert names <= {each["image"] for each in built.values()}
    assert {each["image"].partition("/")[2]: each["build"]["target"] for each in built.values()} == {
        name: name for name in built
    }


def test_images_come_from_a_registry(tmp_path):
    """By the overlay of docs/deployment.md: every container of ours, wherever it is; settings are added to ours."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    text = re.search(r"```yaml\n(# kustomization\.yaml.*?)```", page, re.DOTALL)[1]
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(text.replace("dashcam/deploy/", f"{os.path.relpath(tmp_path, mine)}/"))

    built = subprocess.run([*kustomize(), str(mine)], capture_output=True, text=True, check=True, timeout=60).stdout

    objects = as_objects(built)
    images = {each["image"] for pod in pods_of(objects).values() for each in containers_of(pod)}
    ours = {f"registry.example/dashcam/{name}:0.1.0" for name in ("cars", "parts", "shipper")}
    assert images == ours | {"postgres:18.6-bookworm"}
    settings = next(each["data"] for key, each in objects.items() if key.startswith("ConfigMap/dashcam-shipping"))
    assert (settings["LOG_BACKEND"], settings["LOGGLY_TAGS"]) == ("loggly", "shop")
