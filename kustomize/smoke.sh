#!/usr/bin/env bash
# Prove an overlay on the cluster that kubectl points at: apply it, wait, inject a fault through the admin Service, see
# the metric and the rules in Prometheus, clean up. Needs kubectl and curl.
#
#   kustomize/smoke.sh [local|training|production|FOLDER]
#
# Where the namespace was not there before, all that was applied is removed at the end; where it was, only the fault is.
# Nobody else is hit: the fault is for requests with a header of its own.
# PROMETHEUS=NAMESPACE/SERVICE  where the operator's Prometheus is [monitoring/prometheus-operated]
# KEEP=1                        leave everything running
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
overlay=${1:-local}
if [ "$overlay" = --help ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
    exit
fi
# The name first: a folder called `local` may well stand where the script is started.
[ ! -f "$here/overlays/$overlay/kustomization.yaml" ] || overlay=$here/overlays/$overlay
patience=${PATIENCE:-300} # seconds that a condition may take to come true
fault='{"effect": {"type": "error", "status": 503}, "target": {"headers": {"x-smoke-test": "yes"}},
        "schedule": {"duration": "10m"}, "reason": "kustomize/smoke.sh"}'
created=
forwards=()

say() { echo "smoke: $*"; }
fail() {
    echo "smoke: $*" >&2
    exit 1
}

# until_true WHAT COMMAND...: try a command every second until it succeeds.
until_true() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not within $patience s: $what"
        sleep 1
    done
    say "$what"
}

# forward NAMESPACE SERVICE PORT: open a port of this machine to a Service; its address is then in $address.
forward() {
    local log
    log=$(mktemp)
    kubectl --namespace "$1" port-forward "service/$2" ":$3" >"$log" 2>&1 &
    forwards+=($!)
    until grep -q '^Forwarding from 127' "$log"; do
        kill -0 $! 2>/dev/null || fail "cannot reach service/$2 in $1: $(cat "$log")"
        sleep 0.2
    done
    address=http://$(sed -n 's/^Forwarding from \(127[^ ]*\) .*/\1/p' "$log" | head -n 1)
    rm -f "$log"
}

# The token comes by a pipe: whoever lists processes sees their arguments.
admin() { curl --silent --show-error --fail-with-body --max-time 20 --header @- "$@" <<<"authorization: Bearer $token"; }
prometheus() { curl --silent --max-time 10 --get --data-urlencode "query=$1" "$watcher/api/v1/query"; }
shop_fails() { [ "$(curl --silent --output /dev/null --write-out '%{http_code}' --header 'x-smoke-test: yes' "$shop/api/products")" = 503 ]; }
counted() { admin "$control/admin/metrics" | grep -q '^chaosapi_fault_injected_total{.*fault="smoke-test".* [1-9]'; }
recorded() { prometheus 'sum(chaosapi_fault_injected_total{job="chaosapi", fault="smoke-test"}) > 0' | grep -q '"value"'; }
loaded() { curl --silent --max-time 10 "$watcher/api/v1/rules?type=alert" | grep -q '"name":"ErrorBudgetBurn"'; }

clean() {
    local status=$?
    trap - EXIT
    if [ -n "${control:-}" ]; then
        admin --request DELETE --output /dev/null "$control/admin/faults/smoke-test" || true
    fi
    [ ${#forwards[@]} -eq 0 ] || kill "${forwards[@]}" 2>/dev/null || true
    if [ -n "$created" ] && [ -z "${KEEP:-}" ]; then
        say "removing what was applied"
        kubectl delete --kustomize "$overlay" --ignore-not-found >/dev/null
    fi
    exit "$status"
}

for program in kubectl curl; do
    command -v "$program" >/dev/null || fail "$program is not installed"
done
[ -f "$overlay/kustomization.yaml" ] || fail "no overlay at $overlay: local, training, production or a folder"
secret=$here/components/token/token.env
rendered=$(kubectl kustomize "$overlay") || {
    [ -f "$secret" ] || fail "no token: echo \"CHAOSAPI_ADMIN_TOKEN=\$(openssl rand -hex 32)\" > $secret"
    fail "$overlay does not render: see above"
}
namespace=$(awk '$1 == "kind:" { kind = $2 } kind == "Namespace" && $1 == "name:" { print $2 }' <<<"$rendered")
token=$(awk '$1 == "CHAOSAPI_ADMIN_TOKEN:" { print $2 }' <<<"$rendered" | base64 -d)
[ -n "$namespace" ] || fail "$overlay has no Namespace"
[ -n "$token" ] || fail "$overlay has no Secret with CHAOSAPI_ADMIN_TOKEN"
kubectl version --output json >/dev/null 2>&1 || fail "kubectl reaches no cluster: see 'kubectl cluster-info'"

trap clean EXIT
trap 'exit 130' INT TERM
# An error is no answer: what is taken for new here is deleted at the end.
there=$(kubectl get namespace "$namespace" --ignore-not-found --output name) || fail "cannot tell whether $namespace is there"
[ -n "$there" ] || created=yes
kubectl apply --kustomize "$overlay" >/dev/null
say "applied $overlay in the namespace $namespace"
kubectl --namespace "$namespace" wait --for=condition=Available deployment --all --timeout "${patience}s" >/dev/null
kubectl --namespace "$namespace" rollout status deployment/chaosapi --timeout "${patience}s" >/dev/null
say "all deployments are available"

forward "$namespace" chaosapi 8000
shop=$address
forward "$namespace" chaosapi-admin 8001
control=$address
answer=$(admin --request PUT --header 'content-type: application/json' --data "$fault" "$control/admin/faults/smoke-test?wait=10s") ||
    fail "the fault was refused: $answer"
say "fault injected; replicas: $(echo "$answer" | grep -o '"replicas":{[^}]*}')"
until_true "requests with the header fail" shop_fails
until_true "the service counts them" counted

if kubectl --namespace "$namespace" get service chaosapi-prometheus >/dev/null 2>&1; then
    forward "$namespace" chaosapi-prometheus 9090
else
    found=${PROMETHEUS:-monitoring/prometheus-operated}
    forward "${found%/*}" "${found#*/}" 9090
fi
watcher=$address
until_true "Prometheus has loaded the rules" loaded
until_true "Prometheus has recorded the fault" recorded
say "all is well"
