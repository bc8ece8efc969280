#!/bin/sh
# After the files are there: the user, the folders. The node is neither enabled
# nor started: it needs a name and a cluster first, see /etc/covey/covey.yaml.
# One that runs is not restarted: nodes are upgraded one at a time.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers covey.conf
elif ! getent passwd covey >/dev/null 2>&1 && command -v useradd >/dev/null 2>&1; then
	getent group covey >/dev/null 2>&1 || groupadd --system covey
	useradd --system --gid covey --home-dir /var/lib/covey --shell /usr/sbin/nologin covey
fi
if command -v systemd-tmpfiles >/dev/null 2>&1; then
	systemd-tmpfiles --create covey.conf || true
elif getent passwd covey >/dev/null 2>&1; then
	install -d -o covey -g covey -m 700 /var/lib/covey
fi
if getent group covey >/dev/null 2>&1; then
	chgrp covey /etc/covey /etc/covey/covey.yaml
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
