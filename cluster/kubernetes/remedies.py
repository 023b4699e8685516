"""What to do about something that a cluster lacks."""

from __future__ import annotations

from cluster.kubernetes.references import GPU, Reference

_OPERATORS = {
    "ray.io": "Install KubeRay 1.7 or later, by its chart kuberay-operator.",
    "monitoring.coreos.com": "Install the Prometheus operator, or set metrics.podMonitor: false.",
    "cert-manager.io": "Install cert-manager, or choose another way to tls.certificates.",
    "cilium.io": "This network is not Cilium's: empty network.storeNames, and name addresses in network.storeCidrs.",
}
_VALUES = {
    "auth_token": '--from-literal auth_token="$(openssl rand -base64 32)"',
    "keys.json": "--from-file keys.json (s2i serve key writes the file)",
    "token": "--from-literal token=… (a key of the service, by s2i serve key)",
    "ca.crt": "--from-file ca.crt",
}
_BY_KIND = {
    "Secret": "kubectl -n {namespace} create secret generic {name} {value}",
    "ConfigMap": "kubectl -n {namespace} create configmap {name} {value}",
    "ServiceAccount": "Have the chart make it (create: true), or: kubectl -n {namespace} create serviceaccount {name}",
    "Namespace": "Correct the names under network, where what is to be let in lives in another one.",
    "Machine": "Label the nodes meant for it (kubectl label node NODE {name}), or correct nodeSelector.",
}


def remedy(reference: Reference, namespace: str) -> str:
    """How to make it, or what to change so that it is not wanted."""
    kind, name, key = reference.kind, reference.name, reference.key
    if kind == "Kind":
        return _OPERATORS.get(name.partition("/")[0], f"Install what brings {name}.")
    if name == GPU:
        return f"Add nodes with GPUs and NVIDIA's device plugin, or a node pool of Karpenter with a limit of {GPU}."
    if key.startswith("tls."):
        return f"kubectl -n {namespace} create secret tls {name} --cert … --key …"
    value = _VALUES.get(key) or f"--from-literal {key or 'KEY'}=…"
    general = "Make it, or correct its name in the values: kubectl get {kind}"
    return _BY_KIND.get(kind, general).format(namespace=namespace, name=name, value=value, kind=kind.lower())
