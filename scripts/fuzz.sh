#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Runs every fuzz test of the module, one after another: Go fuzzes one target of
one package at a time, so they have to be listed.

    scripts/fuzz.sh [PART...]

  PART       only packages whose path contains one of these

  FUZZTIME   for each target (30s)
TEXT
}

case ${1-} in
-h | --help) help && exit ;;
esac
cd "$(dirname "$0")/.."

go=${GO:-go}
time=${FUZZTIME:-30s}
bad=0

for package in $("$go" list ./...); do
	if [ $# -gt 0 ]; then
		wanted=no
		for part in "$@"; do
			case $package in *"$part"*) wanted=yes ;; esac
		done
		[ "$wanted" = yes ] || continue
	fi
	# Only packages that have fuzz tests are built for the listing.
	folder=$("$go" list -f '{{.Dir}}' "$package")
	grep -qs '^func Fuzz' "$folder"/*_test.go || continue
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz'); do
		echo "== $package $target ($time)"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || {
			echo "!! $package $target found something" >&2
			bad=1
		}
	done
done
exit $bad
