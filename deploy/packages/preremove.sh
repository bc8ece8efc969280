#!/bin/sh
# Before the files go for good, not before an upgrade: deb says remove, rpm 0.
# The data and the settings stay.
set -e
if [ "$1" = remove ] || [ "$1" = 0 ]; then
	if [ -d /run/systemd/system ]; then
		systemctl disable --now covey.service || true
	fi
fi
