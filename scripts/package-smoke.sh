#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Installs the packages of scripts/package.sh for a try, without touching this
system, and runs the binary from there as a node that answers. It needs root for
chroot, dpkg-deb for the deb and rpm for the rpm.

    scripts/package-smoke.sh FOLDER
TEXT
}

case ${1-} in
-h | --help) help && exit ;;
"") help >&2 && exit 2 ;;
esac
deb=$(ls "$1"/covey_*.deb) rpm=$(ls "$1"/covey-*.rpm)
root=$(mktemp -d)
pid=
end() {
	status=$?
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ -z "$pid" ] || wait "$pid" 2>/dev/null || true
	rm -rf "$root"
	exit $status
}
trap end EXIT

say() { echo "== $*"; }
say "the deb's fields and files"
dpkg-deb --field "$deb" Package Version Architecture
dpkg-deb --extract "$deb" "$root"
say "the rpm has the same files"
diff <(cd "$root" && find . -not -type d | sed 's/^\.//' | sort) <(rpm -qlp "$rpm" 2>/dev/null | while read -r f; do [ -d "$root$f" ] || echo "$f"; done | sort)
say "the settings are in order, but for the files that an operator makes"
"$root/usr/bin/covey" config check "$root/etc/covey/covey.yaml"
say "the installed binary serves, without root and without a shell"
install -d -o 65532 -g 65532 -m 700 "$root/var/lib/covey"
chgrp -R 65532 "$root/etc/covey" # as postinstall.sh gives it to the node's group
mkdir -p "$root/tmp" "$root/proc"
chmod 755 "$root"
chroot --userspec=65532:65532 "$root" /usr/bin/covey serve --config /etc/covey/covey.yaml --bootstrap-expect 1 \
	--http-addr 127.0.0.1:28700 --peer-addr 127.0.0.1:28701 --gossip-addr 127.0.0.1:28702 2>"$root/log" &
pid=$!
for _ in $(seq 60); do
	if "$root/usr/bin/covey" health --ready --http-addr 127.0.0.1:28700 >/dev/null 2>&1; then break; fi
	kill -0 "$pid" 2>/dev/null || { cat "$root/log" >&2; exit 1; }
	sleep 0.5
done
"$root/usr/bin/covey" health --ready --http-addr 127.0.0.1:28700 || { cat "$root/log" >&2; exit 1; }
say "all is well"
