#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Starts docker-compose.yml for real and tries what it is for: a client writes
through node 1, node 2 is killed, the cluster goes on, node 2 comes back. Nothing
is left at the end. It needs a Docker engine and Compose, pulls no image, and
takes about a minute.

    scripts/compose-smoke.sh [--keep]

  --keep   leave the containers running

  COMPOSE  how Compose is called (docker compose, or docker-compose)
  DOCKER   how docker is called (docker); one that builds with BuildKit
  COVEY    a static binary for this machine (it is built otherwise)
  COVEY_PORT_N1, _N2, _N3   ports of this machine to use (18700, 18710, 18720)
TEXT
}

keep=
case ${1-} in
"") ;;
--keep) keep=yes ;;
-h | --help) help && exit ;;
*) help >&2 && exit 2 ;;
esac

cd "$(dirname "$0")/.."
docker=${DOCKER:-docker}
compose=${COMPOSE-}
if [ -z "$compose" ]; then
	if $docker compose version >/dev/null 2>&1; then compose="$docker compose"; else compose="docker-compose"; fi
fi
$docker info >/dev/null 2>&1 || { echo "compose-smoke.sh: no Docker engine answers: $docker info" >&2; exit 2; }

work=$(mktemp -d) started=''
export COMPOSE_PROJECT_NAME=covey-smoke COVEY_TARGET=local COVEY_IMAGE=covey:smoke
export COVEY_SECRETS=$work/secrets COVEY_UID
export COVEY_PORT_N1=${COVEY_PORT_N1:-18700} COVEY_PORT_N2=${COVEY_PORT_N2:-18710} COVEY_PORT_N3=${COVEY_PORT_N3:-18720}
end() {
	status=$?
	[ $status = 0 ] || [ -z "$started" ] || $compose logs --tail 20 >&2 || true
	if [ -z "$keep" ]; then
		$compose down --volumes --timeout 15 >/dev/null 2>&1 || true
		$docker image rm covey:smoke >/dev/null 2>&1 || true
		rm -rf "$work"
	fi
	exit $status
}
trap end EXIT

# The image of a folder of its own, so that a binary elsewhere can be packed.
mkdir -p "$work/context/bin"
cp -r Dockerfile deploy "$work/context/"
if [ -n "${COVEY-}" ]; then
	cp "$COVEY" "$work/context/bin/covey"
else
	CGO_ENABLED=0 "${GO:-go}" build -trimpath -ldflags '-s -w' -o "$work/context/bin/covey" ./cmd/covey
fi
DOCKER_BUILDKIT=1 $docker build --quiet --target local --tag covey:smoke "$work/context" >/dev/null
owner=()
COVEY_UID=$(id -u)
if [ "$COVEY_UID" = 0 ]; then
	COVEY_UID=10001 # not the image's own: any user of group 0 will do
	owner=(--owner "$COVEY_UID")
fi
chmod 755 "$work"
COVEY=$work/context/bin/covey scripts/secrets.sh ${owner[@]+"${owner[@]}"} "$COVEY_SECRETS" 2>/dev/null
chmod 711 "$COVEY_SECRETS"

# up starts services; Compose is heard only when it fails.
up() { $compose up --no-build --detach "$@" >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; return 1; }; }
say() { echo "== $*"; }
# eventually COMMAND... tries for a minute.
eventually() {
	for _ in $(seq 120); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.5
	done
	echo "compose-smoke.sh: in vain: $*" >&2
	return 1
}
healthy() { [ "$($docker inspect --format '{{.State.Health.Status}}' "$($compose ps -q "$1")")" = healthy ]; }
get() { [ "$(curl -fsS --max-time 10 "$1")" = "$2" ]; }

say "three nodes start and are healthy"
started=yes
up
for n in n1 n2 n3; do eventually healthy $n; done

say "a client writes through n1 and reads through n3"
b=$(curl -fsS -X POST "http://127.0.0.1:$COVEY_PORT_N1/")
curl -fsS -X PUT -d world "http://127.0.0.1:$COVEY_PORT_N1/$b/hello" >/dev/null
get "http://127.0.0.1:$COVEY_PORT_N3/$b/hello" world

say "n2 is killed, and the cluster goes on"
$compose kill n2 >/dev/null 2>&1
eventually curl -fsS --max-time 10 -X PUT -d again "http://127.0.0.1:$COVEY_PORT_N1/$b/hello"
get "http://127.0.0.1:$COVEY_PORT_N3/$b/hello" again
curl -fsS -X PATCH -d +1 "http://127.0.0.1:$COVEY_PORT_N1/$b/hits" >/dev/null

say "n2 comes back with what was written meanwhile"
up n2
eventually healthy n2
get "http://127.0.0.1:$COVEY_PORT_N2/$b/hello" again

say "the containers are as they should be"
container=$($compose ps -q n1)
$docker inspect --format 'user {{.Config.User}}, read-only {{.HostConfig.ReadonlyRootfs}}, dropped {{.HostConfig.CapDrop}}' "$container"
[ "$($docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$container")" = true ]
$docker exec "$container" /covey cluster status --root-key-file /run/secrets/root.key
$docker exec "$container" /covey doctor

say "all is well"
