#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Restarts the nodes of a cluster one at a time, as an upgrade needs it: each has to
be ready again, and the cluster has to survive the loss of one, before the next
goes down. The node that leads comes last, so that the lead moves once.

    scripts/rolling-restart.sh --root-key-file FILE COMMAND [ENDPOINT...]

  COMMAND    restarts one node; {} is replaced with its id, {host} with the host
             of its HTTP address: 'ssh {host} systemctl restart covey'
  ENDPOINT   of some nodes (http://127.0.0.1:8700)

  --dry-run  only say in which order

  COVEY      the binary (covey). It needs jq.
TEXT
}

die() {
	echo "rolling-restart.sh: $*" >&2
	exit 1
}

key='' dry='' words=()
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) help && exit ;;
	--root-key-file) [ $# -gt 1 ] || die "--root-key-file needs a file"; key=$2; shift ;;
	--dry-run) dry=yes ;;
	-*) help >&2 && exit 2 ;;
	*) words+=("$1") ;;
	esac
	shift
done
if [ ${#words[@]} = 0 ] || [ -z "$key" ]; then help >&2 && exit 2; fi
command=${words[0]}
endpoints=$(IFS=,; echo "${words[*]:1}")
covey=${COVEY:-covey}
command -v jq >/dev/null || die "jq is not installed"
status() { "$covey" cluster status -o json --root-key-file "$key" --endpoint "${endpoints:-http://127.0.0.1:8700}" 2>/dev/null; }

# whole: every member is alive and none is behind.
whole() {
	status | jq -e '.quorum and .leader != "" and all(.members[]; .alive and .role != "not a member" and .applied_lag < 1000)' >/dev/null
}
wait_whole() {
	for _ in $(seq 300); do
		if whole; then return; fi
		sleep 1
	done
	die "the cluster is not whole after five minutes: $covey doctor says why. The other nodes were not restarted"
}

whole || die "the cluster is not whole, so no node is restarted: $covey doctor says why"
nodes=$(status | jq -r '.members | sort_by(.leader)[] | "\(.id) \(.http_addr)"')
while read -r id addr; do
	host=${addr%:*} host=${host#[} host=${host%]} # ssh takes no brackets
	this=${command//\{host\}/$host}
	this=${this//\{\}/$id}
	echo "== $id: $this"
	[ -z "$dry" ] || continue
	sh -c "$this" </dev/null || die "the command failed for $id; the nodes after it were not restarted"
	# Time to go down: a node that has not begun to stop still looks whole.
	sleep 3
	wait_whole
done <<<"$nodes"
[ -n "$dry" ] || echo "== all nodes were restarted"
