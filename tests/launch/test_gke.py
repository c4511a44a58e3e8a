"""launch/gke.py: manifests that the cluster takes, and that say what JAX needs."""

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.launch.openapi import problems

RUN = ("--config=configs/imdb.py:lstm", "--workdir=/mnt/shared/imdb", "--image=i:1", "--claim=disk")
TPU = (
    "--accelerator=tpu-v5-lite-podslice",
    "--topology=4x4",
    "--slices=2",
    "--spot",
    "--restarts=3",
)
GPU = ("--accelerator=nvidia-h100-80gb", "--nodes=4", "--gpus_per_node=8")


def some(**properties):
    """Schema of an object with these fields, required but for those that end with `_`."""
    return {
        "type": "object",
        "properties": {k.removesuffix("_"): v for k, v in properties.items()},
        "required": [k for k in properties if not k.endswith("_")],
    }


def of(*values):
    return {"type": "string", "enum": list(values)} if values else {"type": "string"}


def many(items):
    return {"type": "array", "items": items}


NUMBER, FREE = {"type": "integer"}, {"type": "object", "additionalProperties": of()}
# Written by hand from what we use of the custom resource's published schema (JobSet v1alpha2, as of
# August 2026) and of Kubernetes' batch/v1 and core/v1 inside it: no field beyond these, no wrong type.
RULE = some(
    action=of("FailJob", "Ignore", "Count", "FailIndex"),
    onExitCodes_=some(containerName_=of(), operator=of("In", "NotIn"), values=many(NUMBER)),
    onPodConditions_=many(some(type=of(), status=of("True", "False", "Unknown"))),
)
CONTAINER = some(
    name=of(),
    image_=of(),
    command_=many(of()),
    env_=many(some(name=of(), value_=of(), valueFrom_=some(fieldRef_=some(fieldPath=of())))),
    resources_=some(limits_=FREE),
    securityContext_=some(privileged_={"type": "boolean"}),
    volumeMounts_=many(some(name=of(), mountPath=of())),
)
POD = some(
    containers=many(CONTAINER),
    restartPolicy=of("Never"),  # podFailurePolicy asks for it
    hostNetwork_={"type": "boolean"},
    dnsPolicy_=of("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
    terminationGracePeriodSeconds_=NUMBER,
    nodeSelector_=FREE,
    tolerations_=many(
        some(key_=of(), operator_=of("Exists", "Equal"), value_=of(), effect_=of("NoSchedule"))
    ),
    volumes_=many(
        some(
            name=of(),
            persistentVolumeClaim_=some(claimName=of()),
            emptyDir_=some(medium_=of("", "Memory")),
        )
    ),
)
JOB = some(
    template=some(spec=POD),
    completionMode_=of("Indexed", "NonIndexed"),
    completions_=NUMBER,
    parallelism_=NUMBER,
    backoffLimit_=NUMBER,
    podFailurePolicy_=some(rules=many(RULE)),
)
RESTARTS = ("RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "FailJobSet")
JOBSET = some(
    apiVersion=of("jobset.x-k8s.io/v1alpha2"),
    kind=of("JobSet"),
    metadata=some(name=of(), annotations_=FREE),
    spec=some(
        failurePolicy_=some(
            maxRestarts_=NUMBER,
            rules_=many(
                some(
                    name=of(),
                    action=of(*RESTARTS),
                    onJobFailureReasons_=many(of("PodFailurePolicy")),
                )
            ),
        ),
        replicatedJobs_=many(some(name=of(), replicas_=NUMBER, template=some(spec=JOB))),
    ),
)


def manifest(stage, *words):
    done = stage.launch("gke", *RUN, "--dry_run", *words)
    assert done.returncode == 0, done.stderr
    return json.JSONDecoder().raw_decode(done.stdout)[0]


@pytest.mark.parametrize("words", [TPU, GPU], ids=["tpu", "gpu"])
def test_the_manifest_is_of_the_schema_and_a_broken_one_is_not(words, stage):
    made = manifest(stage, *words)
    assert problems(made, JOBSET) == []
    job = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    job["template"]["spec"]["containers"][0]["img"] = job["completions"] = "four"
    made["spec"]["failurePolicy"]["rules"][0]["action"] = "Restart"
    assert len(problems(made, JOBSET)) == 3


@pytest.mark.parametrize("words", [TPU, GPU], ids=["tpu", "gpu"])
def test_the_manifest_is_of_the_published_schema(words, stage):
    folder = Path(os.environ.get("BIGMODEL_TEST_DATA", ""))
    path = folder / "jobset.x-k8s.io_jobsets.yaml"
    if not path.is_file():
        pytest.skip("the CustomResourceDefinition of JobSet is not in BIGMODEL_TEST_DATA")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(path.read_text(), Loader=loader)["spec"]["versions"]
    (schema,) = [v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1alpha2"]
    assert problems(manifest(stage, *words), schema) == []


def test_a_tpu_slice_is_a_job_with_a_pod_a_host(stage):
    made = manifest(stage, *TPU)
    assert made["metadata"]["name"] == "imdb"
    assert list(made["metadata"]["annotations"].values()) == ["cloud.google.com/gke-nodepool"]
    (workers,) = made["spec"]["replicatedJobs"]
    job = workers["template"]["spec"]
    assert workers["replicas"] == 2 and job["completions"] == job["parallelism"] == 4
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
        "cloud.google.com/gke-spot": "true",
    }
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    assert container["command"][-1] == "--stopped_exit_code=75"
    assert [e["name"] for e in container["env"]] == ["PYTHONUNBUFFERED"]  # JAX finds the others
    assert made["spec"]["failurePolicy"]["maxRestarts"] == 3


def test_gpu_nodes_are_told_where_the_first_is(stage):
    (workers,) = manifest(stage, *GPU)["spec"]["replicatedJobs"]
    job = workers["template"]["spec"]
    assert workers["replicas"] == 1 and job["completions"] == 4 and workers["name"] == "workers"
    (container,) = job["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    # <jobset>-<replicated job>-<job index>-<pod index>.<subdomain, the jobset's name>
    assert env["BIGMODEL_COORDINATOR"] == "imdb-workers-0-0.imdb:8476"
    assert env["BIGMODEL_PROCESSES"] == "4" and env["BIGMODEL_PROCESS"] is None
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_only_a_run_that_stopped_or_lost_its_node_restarts_without_limit(stage):
    made = manifest(stage, *TPU)
    codes, conditions = made["spec"]["replicatedJobs"][0]["template"]["spec"]["podFailurePolicy"][
        "rules"
    ]
    assert codes["onExitCodes"]["values"] == [75]
    assert codes["onExitCodes"]["containerName"] == "main"
    assert conditions["onPodConditions"][0]["type"] == "DisruptionTarget"
    (rule,) = made["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"


def test_kubectl_gets_what_the_dry_run_shows(stage):
    stage.play("kubectl", "open('applied', 'w').write(sys.stdin.read()); sys.exit(len(seen))")
    done = stage.launch("gke", *RUN, *TPU)
    assert done.returncode == 0, done.stderr
    assert stage.calls("kubectl") == [["apply", "--namespace=default", "--filename=-"]]
    assert json.loads((stage.folder / "applied").read_text()) == manifest(stage, *TPU)
    assert "+ kubectl logs --namespace=default --follow" in done.stdout
    again = stage.launch("gke", *RUN, *TPU)
    assert again.returncode == 1 and "ended with exit code 1" in again.stderr
