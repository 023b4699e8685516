#!/usr/bin/env bash
# Walk through docs/operate.md on one machine: infra/kind/walk.sh IMAGE [--dry-run]. Needs Docker, kind, kubectl, helm, curl
# and an IMAGE of infra/docker that is on this machine, name:tag. --dry-run prints the steps and does none of them.
# What it shows: a head that is killed keeps its workers (Redis); the service is upgraded with no failed request; a helm
# upgrade in the midst of a scale-up loses no pod. It ends with 1 where one of these does not hold.
# The cluster stays, to be looked at: kind delete cluster --name s2i-trial
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-}
dry=${2:-}
name=s2i-trial
KUBERAY=$(sed -n 's/^kuberay: {version: \([^,]*\),.*/\1/p' infra/versions.yaml)
say() { printf '\033[1m› %s\033[0m\n' "$*" >&2; }
die() { printf 'walk: %s\n' "$*" >&2; exit 1; }
run() { printf '  $ %s\n' "$*" >&2; [ -n "$dry" ] || "$@"; }
[ -n "$image" ] || die "name the image: infra/kind/walk.sh registry.example/s2i:0.1.0"
case $image in *:*) ;; *) die "the image wants a tag: $image:0.1.0" ;; esac
[ -z "$dry" ] || [ "$dry" = --dry-run ] || die "there is no $dry; --dry-run prints the steps"
if [ -z "$dry" ]; then
  for program in docker kind kubectl helm curl openssl; do
    command -v "$program" >/dev/null || die "$program is not on the PATH"
  done
  docker info >/dev/null 2>&1 || die "Docker does not answer: start it, or add yourself to its group"
fi

k() { run kubectl --context "kind-$name" -n s2i "$@"; }
secret() { # name, then key=value; made once, so that the walk can be taken again
  [ -z "$dry" ] && kubectl --context "kind-$name" -n s2i get secret "$1" >/dev/null 2>&1 && return
  printf '  $ kubectl create secret generic %s --from-literal=%s=…\n' "$1" "${2%%=*}" >&2
  [ -n "$dry" ] || kubectl --context "kind-$name" -n s2i create secret generic "$1" "--from-literal=$2"
}
install_chart() {
  run helm --kube-context "kind-$name" upgrade --install s2i infra/kuberay -n s2i \
    -f infra/kuberay/values-small.yaml -f infra/kind/values.yaml \
    --set "image.repository=${image%:*},image.tag=${image##*:},image.gpuTag=${image##*:}" "$@"
}
pods() { kubectl --context "kind-$name" -n s2i get pods -l "app.kubernetes.io/component=$1,s2i/role=$2" -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}' | sort; }
ready() { k wait pod --for=condition=Ready -l "app.kubernetes.io/component=$1,s2i/role=$2" --timeout=600s; }

say "a cluster with two nodes, one of which says that it has a GPU"
if [ -n "$dry" ] || ! kind get clusters | grep -qx "$name"; then
  run kind create cluster --name "$name" --config infra/kind/nodes.yaml --wait 300s
fi
run kind load docker-image "$image" --name "$name"
run kubectl --context "kind-$name" patch node "$name-worker2" --subresource=status --type=merge \
  -p '{"status":{"capacity":{"nvidia.com/gpu":"1"},"allocatable":{"nvidia.com/gpu":"1"}}}'

say "KubeRay $KUBERAY, secrets, a Redis, and the chart"
run helm --kube-context "kind-$name" upgrade --install kuberay-operator kuberay-operator -n kuberay-system \
  --create-namespace --repo https://ray-project.github.io/kuberay-helm --version "$KUBERAY" --wait
if [ -n "$dry" ] || ! kubectl --context "kind-$name" get namespace s2i >/dev/null 2>&1; then
  run kubectl --context "kind-$name" create namespace s2i
fi
secret s2i-ray-token "auth_token=$(openssl rand -hex 16 2>/dev/null || echo dry)"
secret s2i-redis "password=$(openssl rand -hex 16 2>/dev/null || echo dry)"
secret s2i-serve-keys 'keys.json={}'
k apply -f infra/kind/redis.yaml
k rollout status deployment/redis --timeout=300s
install_chart
sleep "$([ -n "$dry" ] && echo 0 || echo 10)"    # KubeRay makes the pods
ready batch head
ready batch worker    # one of them where the fake GPU is
k wait rayservice/s2i-serve --for=condition=Ready --timeout=900s

say "the head is killed: the workers stay, as the new head knows them from Redis"
[ -n "$dry" ] || before=$(pods batch worker)
k delete pod -l app.kubernetes.io/component=batch,s2i/role=head --wait=true
sleep "$([ -n "$dry" ] && echo 0 || echo 10)"
ready batch head
[ -n "$dry" ] || [ "$before" = "$(pods batch worker)" ] || die "workers were made anew after the head was killed"

say "the service is upgraded: a new cluster beside the old, and no request fails"
if [ -n "$dry" ] || ! kubectl --context "kind-$name" get namespace ingress-nginx >/dev/null 2>&1; then
  run kubectl --context "kind-$name" create namespace ingress-nginx    # from where the network lets requests in
fi
ask='
import time, urllib.request
for number in range(100000):
    try:
        urllib.request.urlopen("http://s2i-serve-serve-svc.s2i:8000/readyz", timeout=10).read()
    except OSError as error:
        print("FAILED", number, error, flush=True)
    time.sleep(0.2)
'
run kubectl --context "kind-$name" -n ingress-nginx delete pod asks --ignore-not-found
run kubectl --context "kind-$name" -n ingress-nginx run asks --restart=Never --image="$image" --command -- python -c "$ask"
run kubectl --context "kind-$name" -n ingress-nginx wait pod/asks --for=condition=Ready --timeout=300s
active() { kubectl --context "kind-$name" -n s2i get rayservice s2i-serve -o jsonpath='{.status.activeServiceStatus.rayClusterName}'; }
[ -n "$dry" ] || old=$(active)
install_chart --set service.annotations.walk="$(date +%s)"
if [ -z "$dry" ]; then
  for _ in $(seq 180); do
    [ "$(active)" = "$old" ] || break
    sleep 5
  done
  [ "$(active)" != "$old" ] || die "the service was not upgraded within 15 minutes"
  sleep 60    # the old cluster is drained
  failed=$(kubectl --context "kind-$name" -n ingress-nginx logs asks | grep -c FAILED || true)
  [ "$failed" = 0 ] || die "$failed requests failed during the upgrade: kubectl -n ingress-nginx logs asks"
fi

say "helm upgrade in a scale-up: no worker that is there goes"
[ -n "$dry" ] || before=$(pods batch worker)
install_chart --set cluster.cpu.minReplicas=3
install_chart --set cluster.cpu.minReplicas=3,cluster.cpu.maxReplicas=4
sleep "$([ -n "$dry" ] && echo 0 || echo 10)"
ready batch worker
if [ -z "$dry" ]; then
  [ -z "$(comm -23 <(echo "$before") <(pods batch worker))" ] || die "workers went in the scale-up"
  say "all of it held. kind delete cluster --name $name"
fi
