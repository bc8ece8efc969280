#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Installs the packages of scripts/package.sh for a try, without touching this
system: the binary runs from there as a node that answers, and dpkg and rpm
install, upgrade and remove them in a copy of this system that is gone afterwards
(where an overlay can be mounted). It needs root, dpkg and rpm.

    scripts/package-smoke.sh FOLDER
TEXT
}

case ${1-} in
-h | --help) help && exit ;;
"") help >&2 && exit 2 ;;
esac
folder=$(cd "$1" && pwd)
deb=$(ls "$folder"/covey_*.deb) rpm=$(ls "$folder"/covey-*.rpm)
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
say "all of it is root's, and nobody else may write it"
if dpkg-deb --contents "$deb" | grep -vE '^(l.........|.{5}-.{2}-.) root/root '; then exit 1; fi
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
kill "$pid"
wait "$pid"
pid=

# installed checks a system that has the package; it runs in the copy.
installed() {
	for line in "750 root:covey /etc/covey" "640 root:covey /etc/covey/covey.yaml" "700 covey:covey /var/lib/covey" "755 root:root /usr/bin/covey"; do
		[ "$(stat -c '%a %U:%G %n' "${line##* }")" = "$line" ] || { stat -c '%a %U:%G %n' "${line##* }" >&2; return 1; }
	done
}
# quietly COMMAND... is heard only when it fails.
quietly() { "$@" >/tmp/said 2>&1 </dev/null || { cat /tmp/said >&2; return 1; }; }
# manage installs, upgrades and removes with dpkg and with rpm; it runs in the copy.
manage() {
	set -euo pipefail
	quietly dpkg --install /tmp/covey.deb
	installed
	echo "# changed" >>/etc/covey/covey.yaml
	touch /var/lib/covey/data
	quietly dpkg --install /tmp/covey.deb
	installed
	tail -n 1 /etc/covey/covey.yaml | grep -q changed
	quietly dpkg --purge covey
	[ -e /var/lib/covey/data ] && [ ! -e /usr/bin/covey ]
	echo "== dpkg installs, upgrades and removes; the data stays"
	userdel covey
	rm -rf /var/lib/covey "$(command -v systemd-sysusers)" "$(command -v systemd-tmpfiles)"
	groupadd --system covey
	quietly rpm --install --nodeps /tmp/covey.rpm
	installed
	quietly rpm --upgrade --replacepkgs --nodeps /tmp/covey.rpm
	installed
	quietly rpm --erase covey
	[ -d /var/lib/covey ] && [ ! -e /usr/bin/covey ]
	echo "== rpm does so without systemd's tools"
}
export -f installed quietly manage

mkdir "$root/copy"
# The mounts are of a namespace of their own and end with it.
DEB=$deb RPM=$rpm unshare --mount bash -euo pipefail -s "$root/copy" <<'COPY'
mount -t tmpfs none "$1"
mkdir "$1/changed" "$1/work" "$1/all"
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/all" 2>/dev/null; then
	echo "== no overlay can be mounted here: dpkg and rpm are not tried"
	exit
fi
cd "$1/all"
mount --rbind /dev dev
mount -t proc none proc
mount -t tmpfs none tmp
mount -t tmpfs none run
mount -t tmpfs none var/lib/rpm
cp "$DEB" tmp/covey.deb
cp "$RPM" tmp/covey.rpm
chroot . bash -c manage
COPY
say "all is well"
