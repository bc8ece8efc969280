#!/usr/bin/env bash
set -euo pipefail

# What builds the packages. It is no part of go.mod: nothing of it is in Covey.
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4

help() {
	cat <<'TEXT'
Builds the deb and the rpm into a folder, with a static binary in them.

    scripts/package.sh [--version V] [--arch amd64|arm64] [FOLDER]

  --version V   such as 1.2.3; that of the last tag otherwise, or 0.0.0
  --arch A      this machine's otherwise
  FOLDER        dist otherwise

  BINARY        a static binary to pack in place of building one
  NFPM          nfpm in place of the pinned one from the Go module proxy
TEXT
}

version='' arch='' folder=''
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) help && exit ;;
	--version | --arch)
		[ $# -gt 1 ] || { help >&2 && exit 2; }
		if [ "$1" = --arch ]; then arch=$2; else version=$2; fi
		shift
		;;
	-*) help >&2 && exit 2 ;;
	*) folder=$1 ;;
	esac
	shift
done

cd "$(dirname "$0")/.."
go=${GO:-go}
[ -n "$version" ] || version=$(git describe --tags --abbrev=0 2>/dev/null || echo 0.0.0)
export VERSION=${version#v} ARCH=${arch:-$("$go" env GOARCH)}
folder=${folder:-dist}
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${BINARY-}" ]; then
	BINARY=$work/covey
	CGO_ENABLED=0 GOARCH=$ARCH "$go" build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o "$BINARY" ./cmd/covey
fi
export BINARY COMPLETION=$work/completion
# The completion is text and the same everywhere: for another architecture it is
# that of a binary for this machine.
if ! "$BINARY" completion bash >"$COMPLETION" 2>/dev/null; then
	"$go" run ./cmd/covey completion bash >"$COMPLETION"
fi
for kind in deb rpm; do
	${NFPM:-env GOFLAGS= "$go" run "$nfpm"} package --config deploy/packages/nfpm.yaml --packager "$kind" --target "$folder"
done
