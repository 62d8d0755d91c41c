"""The manifests of deploy/kubernetes: by the schemas that Kubernetes publishes, and by what an operator expects."""

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
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in load(built)}


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


def test_a_shipper_gets_out(overlay):
    """To where its settings send events, on that port."""
    name, objects = overlay
    settings = next(each["data"] for key, each in objects.items() if key.startswith("ConfigMap/dashcam-shipping"))
    if settings["LOG_BACKEND"] == "stdout":
        assert "NetworkPolicy/dashcam-shipping" not in objects
        return
    policy = objects["NetworkPolicy/dashcam-shipping"]["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {"loggly": {443}, "elk": {24224}, "elasticsearch": {9200}}[settings["LOG_BACKEND"]]
    who = policy["podSelector"]["matchExpressions"][0]["values"]
    assert who == (["shipper"] if "daemonset" in name else ["cars", "parts"])


def test_images_are_those_that_are_built():
    """By the names that `make images` gives them."""
    names = set(re.findall(r"image: (dashcam/\w+)", "".join(path.read_text() for path in FOLDER.rglob("*.yaml"))))
    built = YAML(typ="safe", pure=True).load(ROOT / "deploy" / "compose" / "images.yml")["services"]

    assert names == {"dashcam/cars", "dashcam/parts", "dashcam/shipper"}
    assert names <= {each["image"] for each in built.values()}
    assert {each["image"].partition("/")[2]: each["build"]["target"] for each in built.values()} == {
        name: name for name in built
    }
