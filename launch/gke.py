"""Starts a run on a cluster of Google Kubernetes Engine, as a JobSet on TPU or GPU nodes.

    python launch/gke.py --accelerator=tpu-v5-lite-podslice --topology=4x4 [--slices=2] \\
        --image=IMAGE --claim=CLAIM --config=configs/gpt2_pretrain.py --workdir=/mnt/shared/gpt2 \\
        [--spot] [--restarts=N] [--dry_run] [-- more of bigmodel_jax.main's]
    python launch/gke.py --accelerator=nvidia-h100-80gb --nodes=4 --gpus_per_node=8 ...

The image holds this project and its packages; CLAIM, a PersistentVolumeClaim that many nodes may
write, is mounted at /mnt/shared. A preempted run saves, and starts again without limit; one that
failed starts again --restarts times. Needs kubectl, and JobSet 0.6 or newer in the cluster.
"""

import argparse
import json
import math
import re
import sys

import job

PORT = 8476  # of JAX's coordination service, on the first pod of a GPU job
POOL = "cloud.google.com/gke-nodepool"
FIRST_POD = "jobset.sigs.k8s.io/job-index=0,batch.kubernetes.io/job-completion-index=0"
# Seconds between the signal and the end. Spot nodes of GKE leave 25 at most.
NOTICE = 90


def main() -> int:
    parser = job.parser(__doc__)
    parser.add_argument("--name", help="of the JobSet; by default that of the run")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--image", required=True)
    parser.add_argument("--claim", required=True, help="PersistentVolumeClaim for /mnt/shared")
    parser.add_argument("--accelerator", required=True, help="the node pool's label of this name")
    parser.add_argument("--topology", help="of a TPU slice: 4x4")
    parser.add_argument("--slices", type=int, default=1, help="TPU slices, a node pool each")
    parser.add_argument("--chips_per_node", type=int, help="of a TPU node; by default at most 4")
    parser.add_argument("--nodes", type=int, default=1, help="GPU nodes")
    parser.add_argument("--gpus_per_node", type=int, default=0)
    parser.add_argument("--spot", action="store_true", help="on nodes that may be taken away")
    options = parser.parse_args()
    job.shared_workdir(options)
    job.positive(options, "slices", "nodes")
    if bool(options.topology) == bool(options.gpus_per_node):
        job.fail("TPU nodes need --topology, GPU nodes --gpus_per_node: give one of the two.")
    text = json.dumps(manifest(options), indent=2)
    name, space = job.name(options), f"--namespace={options.namespace}"
    apply = ["kubectl", "apply", space, "--filename=-"]
    if options.dry_run:
        print(text)
        job.show(apply)
    else:
        job.run(apply, input=text)
    selector = f"--selector=jobset.sigs.k8s.io/jobset-name={name},{FIRST_POD}"
    print("Its output, and its end:")
    job.show(["kubectl", "logs", space, "--follow", selector])
    job.show(["kubectl", "delete", "jobset", space, name])
    return 0


def manifest(options: argparse.Namespace) -> dict:
    """The JobSet: a job a slice, or one for all GPU nodes; a pod a node."""
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": job.name(options),
            # All pods of a slice on one node pool, which is the slice, and nobody else's on it.
            "annotations": (
                {"alpha.jobset.sigs.k8s.io/exclusive-topology": POOL} if options.topology else {}
            ),
        },
        "spec": {
            "failurePolicy": {
                "maxRestarts": options.restarts,
                "rules": [
                    {
                        "name": "stopped",
                        "action": "RestartJobSetAndIgnoreMaxRestarts",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [
                {
                    "name": "workers",
                    "replicas": options.slices,
                    "template": {"spec": job_spec(options)},
                }
            ],
        },
    }


def job_spec(options: argparse.Namespace) -> dict:
    nodes = options.nodes if options.gpus_per_node else slice_nodes(options)[0]
    return {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimit": 0,  # one pod alone cannot come back into a run: the JobSet restarts all
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": "main",
                        "operator": "In",
                        "values": [job.STOPPED],
                    },
                },
                {
                    "action": "FailJob",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {"spec": pod_spec(options)},
    }


def pod_spec(options: argparse.Namespace) -> dict:
    gpus = options.gpus_per_node
    kind, count = ("nvidia.com/gpu", gpus) if gpus else ("google.com/tpu", slice_nodes(options)[1])
    label = "cloud.google.com/gke-accelerator" if gpus else "cloud.google.com/gke-tpu-accelerator"
    selector = {label: options.accelerator}
    tolerations = [{"key": kind, "operator": "Exists", "effect": "NoSchedule"}]
    if options.topology:
        selector["cloud.google.com/gke-tpu-topology"] = options.topology
    if options.spot:
        spot = "cloud.google.com/gke-spot"
        selector[spot] = "true"
        tolerations.append(
            {"key": spot, "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        )
    container = {
        "name": "main",
        "image": options.image,
        "command": [
            "python", "-m", "bigmodel_jax.main", *job.arguments(options),
            f"--stopped_exit_code={job.STOPPED}",
        ],
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}, *(coordinator(options) if gpus else [])],
        "resources": {"limits": {kind: str(count)}},
        "volumeMounts": [{"name": "shared", "mountPath": job.MOUNT}],
    }  # fmt: skip
    volumes: list[dict] = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": options.claim}}
    ]
    if gpus:  # NCCL talks through shared memory, of which a container has 64 MB
        container["volumeMounts"].append({"name": "memory", "mountPath": "/dev/shm"})
        volumes.append({"name": "memory", "emptyDir": {"medium": "Memory"}})
    else:  # libtpu locks memory, which else needs settings that differ by GKE's version
        container["securityContext"] = {"privileged": True}
    return {
        "restartPolicy": "Never",
        "hostNetwork": True,  # the pods' own network costs bandwidth between slices and GPU nodes
        "dnsPolicy": "ClusterFirstWithHostNet",
        "terminationGracePeriodSeconds": NOTICE,
        "nodeSelector": selector,
        "tolerations": tolerations,
        "containers": [container],
        "volumes": volumes,
    }


def coordinator(options: argparse.Namespace) -> list[dict]:
    """What `processes.joined` reads. On TPU nodes GKE sets what JAX itself understands."""
    name = job.name(options)
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    return [
        {"name": "BIGMODEL_COORDINATOR", "value": f"{name}-workers-0-0.{name}:{PORT}"},
        {"name": "BIGMODEL_PROCESSES", "value": str(options.nodes)},
        {"name": "BIGMODEL_PROCESS", "valueFrom": {"fieldRef": {"fieldPath": index}}},
    ]


def slice_nodes(options: argparse.Namespace) -> tuple[int, int]:
    """(nodes, chips of each) of a TPU slice: up to 4 chips are one node, more are nodes of 4."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", options.topology):
        job.fail(f"--topology {options.topology!r} is not like 4x4 or 2x2x4.")
    chips = math.prod(int(side) for side in options.topology.split("x"))
    each = options.chips_per_node or min(chips, 4)
    if chips % each:
        job.fail(
            f"--chips_per_node={each} does not divide the {chips} chips of {options.topology}."
        )
    return chips // each, each


if __name__ == "__main__":
    sys.exit(main())
