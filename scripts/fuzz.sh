#!/usr/bin/env bash
# Runs every fuzz test of the module, one after another, FUZZTIME each (30s).
# Go fuzzes one target of one package at a time, so they have to be listed.
# With arguments only packages whose path contains one of them are fuzzed.
set -euo pipefail
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
