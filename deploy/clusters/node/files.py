"""The configuration files of the node's programs, with their paths below the state folder."""

import json
from pathlib import Path

from deploy.clusters.node.network import ADDRESS, DNS_SERVICE, PODS

HELPER_IMAGE = "docker.io/ecommerce-lambda/node-helper:1"
POLICIES_IMAGE = "docker.io/ecommerce-lambda/node-network-policies:1"
PAUSE_IMAGE = "docker.io/ecommerce-lambda/node-pause:1"


def write(state: Path) -> None:
    """Writes them all."""
    conf = state / "conf"
    files = {
        "containerd.toml": containerd(state),
        "cni/10-bridge.conflist": json.dumps(CNI, indent=1),
        "kubelet.json": json.dumps(kubelet(state), indent=1),
        "Corefile": corefile(state),
        "resolv.conf": "",
        "local-path.json": json.dumps(
            {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(state / "volumes")]}]}
        ),
        "helper-pod.yaml": HELPER_POD,
    }
    for name, text in files.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)


def containerd(state: Path) -> str:
    # Without CAP_SYS_RESOURCE, as in many sandboxes, a container's OOM score cannot be lowered; asking for it fails.
    return f"""\
version = 2
root = "{state}/containerd"
state = "{state}/run/containerd"
[grpc]
  address = "{state}/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/conf/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                     "dataDir": "/run/ecommerce-node-cni"},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}  # fmt: skip


def kubelet(state: Path) -> dict[str, object]:
    """Source: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/"""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": f"{state}/pki/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{state}/conf/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{state}/run/containerd.sock",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "healthzBindAddress": "127.0.0.1",
        "maxPods": 110,
        "podLogsDir": f"{state}/run/pod-logs",
        "readOnlyPort": 0,
        "shutdownGracePeriod": "0s",
        "tlsCertFile": f"{state}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{state}/pki/kubelet.key",
        "volumePluginDir": f"{state}/run/volume-plugins",
    }


def corefile(state: Path) -> str:
    return f"""\
cluster.local 10.in-addr.arpa {{
    bind {ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {state}/pki/admin-inside.kubeconfig
        ttl 2
    }}
    cache 2
}}
. {{
    bind {ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


HELPER_POD = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: helper-pod}}
spec:
  tolerations: [{{operator: Exists}}]
  containers:
    - {{name: helper-pod, image: {HELPER_IMAGE}, imagePullPolicy: Never}}
"""
