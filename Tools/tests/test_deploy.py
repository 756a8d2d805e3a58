"""What deploy/ has: settings that the service takes, manifests that are valid and fit together. Whether the packages made
of it can be installed and run is shown by `Tools/verify --only packages`."""

import os
import re
import runpy
import ssl
import subprocess
import sys
import urllib.request

import kubernetes_validate
import pytest
import yaml
from conftest import BINARY, ROOT, Server

DEPLOY = ROOT / "deploy"
KUBERNETES = {
    (document["kind"], path.name): document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
[POD] = [document["spec"]["template"]["spec"] for (kind, _), document in KUBERNETES.items() if kind == "StatefulSet"]
[CONTAINER] = POD["containers"]
[MAP] = [document for (kind, _), document in KUBERNETES.items() if kind == "ConfigMap"]


def version():
    told = subprocess.run([BINARY, "version"], capture_output=True, text=True, check=True).stdout
    return told.removeprefix("tollgate ").strip()


def ready_with(settings, directory, *flags):
    """A service with a file of settings, on any free port and in a directory of the test's."""
    path = directory / "settings.yaml"
    path.write_text(settings)
    return Server("--config", str(path), "--data-dir", str(directory / "data"), *flags, limits=None, auth=True)


def certificates(directory):
    subprocess.run([ROOT / "Tools/dev-certificates", directory], check=True, capture_output=True, timeout=120)
    return directory


@pytest.mark.parametrize("name", ["tollgate.yaml", "container/tollgate.yaml"])
def test_settings_of_the_packages(name, tmp_path):
    server = ready_with((DEPLOY / name).read_text(), tmp_path)
    assert server.stop() == 0


def test_settings_that_stand_as_comments(tmp_path):
    """Whoever takes the sign away has a setting that is right."""
    text = (DEPLOY / "tollgate.yaml").read_text()
    commented = re.findall(r"(?m)^# ([a-z-]+: \S+)$", text)
    assert len(commented) == 3
    made = certificates(tmp_path / "certificates")
    limits = tmp_path / "limits.yaml"
    limits.write_text((ROOT / "Tools/examples/limits.yaml").read_text())
    settings = "\n".join(commented)
    settings = settings.replace("/etc/tollgate/limits.yaml", str(limits)).replace("/etc/tollgate", str(made))
    server = ready_with(settings, tmp_path)
    assert server.stop() == 0


def test_the_container_listens_everywhere_only_with_tls(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text((DEPLOY / "container/tollgate.yaml").read_text())
    done = subprocess.run([BINARY, "serve", "--config", path, "--data-dir", tmp_path / "data"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 64 and "0.0.0.0:50051 is not on loopback, and would be served without TLS" in done.stderr


@pytest.mark.parametrize("kind,name", sorted(KUBERNETES))
def test_manifests_are_valid(kind, name):
    kubernetes_validate.validate(KUBERNETES[kind, name], "1.37", strict=True)


def test_manifests_fit_together():
    labels = {"app.kubernetes.io/name": "tollgate"}
    kinds = {kind: document for (kind, _), document in KUBERNETES.items()}
    assert set(kinds) == {"ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"}
    stateful = kinds["StatefulSet"]["spec"]
    assert stateful["template"]["metadata"]["labels"] == stateful["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert stateful["serviceName"] == kinds["Service"]["metadata"]["name"]
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert {port["targetPort"]: port["port"] for port in kinds["Service"]["spec"]["ports"]} == ports
    settings = yaml.safe_load(MAP["data"]["tollgate.yaml"])
    assert all(settings[f"{name}-listen"] == f"0.0.0.0:{port}" for name, port in ports.items())
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    volumes = {volume["name"] for volume in POD["volumes"] + [
        {"name": claim["metadata"]["name"]} for claim in stateful["volumeClaimTemplates"]]}
    assert set(mounts) == volumes and settings["data-dir"].startswith(mounts["data"] + "/")
    assert settings["tls-key"].startswith(mounts["tls"] + "/")
    assert CONTAINER["image"] == f"tollgate:{version()}"


def test_the_pod_runs_as_the_image_and_as_nobody_else():
    image = (ROOT / "Tools/lib/package/image.sh").read_text()
    user = int(re.search(r"(?m)^IMAGE_USER=(\d+)$", image)[1])
    security = POD["securityContext"]
    assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {user}


def test_settings_and_probes_of_kubernetes(tmp_path):
    """The service starts with the map's settings, and a probe without a certificate is answered where each looks."""
    made = certificates(tmp_path / "certificates")
    for name, path in (("server.pem", "tls.crt"), ("server-key.pem", "tls.key")):
        (made / name).rename(made / path)
    settings = MAP["data"]["tollgate.yaml"].replace("/etc/tollgate-tls", str(made))
    server = ready_with(settings, tmp_path, "--tls-client-ca", str(made / "ca.pem"))
    try:
        trusting = ssl.create_default_context(cafile=made / "ca.pem")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = CONTAINER[probe]["httpGet"]
            assert (asked["port"], asked["scheme"]) == ("http", "HTTPS")
            url = f"https://{server.http}{asked['path']}"
            with urllib.request.urlopen(url, context=trusting, timeout=60) as answer:
                assert answer.status == 200
    finally:
        assert server.stop() == 0


def test_workflows_only_call_the_tests():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert workflows
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows],
        capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for path in workflows:
        jobs = yaml.safe_load(path.read_text())["jobs"]
        steps = [step for job in jobs.values() for step in job["steps"]]
        assert [step["run"] for step in steps if "run" in step] == ["Tools/test"], path
        assert [step["uses"].split("@")[0] for step in steps if "uses" in step] == ["actions/checkout"], path


def test_manual_pages(tmp_path):
    """Each command for people has its page, with all of its flags."""
    manuals = ROOT / "Tools/lib/package/manuals.py"
    subprocess.run([sys.executable, "-B", manuals, BINARY, tmp_path], check=True,
                   env={**os.environ, "SOURCE_DATE_EPOCH": "1796042000"})
    told = runpy.run_path(str(manuals))
    pages = {path.stem: path.read_text() for path in tmp_path.glob("*.1")}
    help_of_serve = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    assert len(pages) > 15 and {"tollgate", "tollgate-serve", "tollgate-tenants"} <= set(pages)
    flags = re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", help_of_serve)
    assert len(flags) > 60
    assert [flag for flag in flags if told["text"](flag) not in pages["tollgate-serve"]] == []
    for name, page in pages.items():
        assert page.startswith(".TH ") and "2026-11-30" in page.splitlines()[0].replace("\\-", "-"), name
