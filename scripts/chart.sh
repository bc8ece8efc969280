#!/usr/bin/env bash
set -euo pipefail

# What checks the chart. It is no part of go.mod: nothing of it is in Covey.
helm=helm.sh/helm/v3/cmd/helm@v3.21.4

help() {
	cat <<'TEXT'
Lints the Helm chart and renders it in the ways in which it is meant to be used.

    scripts/chart.sh [FOLDER]

  FOLDER   where the rendered files go; nowhere otherwise

  HELM     helm in place of the pinned one from the Go module proxy, which takes
           minutes to build the first time
TEXT
}

case ${1-} in
-h | --help) help && exit ;;
esac
out=${1-}
[ -z "$out" ] || mkdir -p "$out"
out=${out:+$(cd "$out" && pwd)}
cd "$(dirname "$0")/.."
helm() { ${HELM:-env GOFLAGS= "${GO:-go}" run "$helm"} "$@"; }
chart=deploy/helm/covey
kube=(--kube-version 1.31.0) # a helm that is built from source names an old one
secure=(--set existingSecret=covey --set tls.peerSecret=peers --set tls.httpSecret=clients)

# render NAME VALUES... renders the chart.
render() {
	name=$1
	shift
	text=$(helm template "$name" "$chart" "${kube[@]}" --namespace data "$@")
	[ -z "$out" ] || echo "$text" >"$out/$name.yaml"
	echo "== $name: $(grep -c '^kind:' <<<"$text") objects"
}
# refused TEXT VALUES... must not render, and say why.
refused() {
	want=$1
	shift
	if text=$(helm template refused "$chart" "${kube[@]}" "$@" 2>&1) || ! grep -q "$want" <<<"$text"; then
		echo "chart.sh: not refused with \"$want\": $*" >&2
		echo "$text" >&2
		exit 1
	fi
	echo "== refused: $want"
}

helm lint --strict "$chart" "${secure[@]}"
render secure "${secure[@]}"
render trusted --set existingSecret=covey --set insecure=true
render single --set replicas=1 --set existingSecret=covey --set insecure=true
render peers --set existingSecret=covey --set tls.peerSecret=peers --set insecure=true
render clients --set existingSecret=covey --set tls.httpSecret=clients --set insecure=true --set-string image.tag=1.2
render full "${secure[@]}" --set replicas=5 --set antiAffinity=hard --set serviceMonitor.enabled=true \
	--set settings.kvdb_rate_limit="1000 per hour" --set 'settings.trusted_proxies={10.0.0.0/8,10.1.0.0/16}' \
	--set persistence.storageClass=fast --set 'extraEnv[0].name=COVEY_KOT_PASSWORD' --set 'extraEnv[0].value=x' \
	--set 'tolerations[0].key=data' --set nodeSelector.disk=ssd --set podAnnotations.a=b --set serviceMonitor.labels.release=prometheus
refused "existingSecret is required" --set insecure=true
refused "say with insecure=true" --set existingSecret=covey
refused "say with insecure=true" --set existingSecret=covey --set tls.peerSecret=peers
refused "antiAffinity" "${secure[@]}" --set antiAffinity=none
refused "replicas" "${secure[@]}" --set replicas=0
refused "peersecret" "${secure[@]}" --set tls.peersecret=peers
