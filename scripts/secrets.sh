#!/usr/bin/env bash
set -euo pipefail

help() {
	cat <<'TEXT'
Makes the secrets that the nodes of one cluster share: root.key (the operator's
credential), keyring.json (seals secrets in the data) and gossip.key (encrypts
gossip). Files that are there already stay as they are. Keep a copy: without the
keyring what it has sealed is lost.

    scripts/secrets.sh [--owner UID] FOLDER

  --owner UID   give the files to this user, such as 65532 for the image's own
                (only root can); they are open to nobody else

The binary is that in $COVEY, or bin/covey (make build), or covey in $PATH.
TEXT
}

die() {
	echo "secrets.sh: $*" >&2
	exit 2
}

owner='' folder=''
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) help && exit ;;
	--owner) [ $# -gt 1 ] || die "--owner needs a user id"; owner=$2; shift ;;
	-*) die "unknown flag $1, see --help" ;;
	*) [ -z "$folder" ] || die "one folder, please"; folder=$1 ;;
	esac
	shift
done
[ -n "$folder" ] || { help >&2 && exit 2; }

covey=${COVEY:-$(dirname "$0")/../bin/covey}
[ -x "$covey" ] || covey=$(command -v covey) || die "no binary: run make build, or set COVEY"

umask 077
mkdir -p "$folder"
# key FILE makes a file with 32 random bytes, whole or not at all.
key() {
	[ -e "$folder/$1" ] && { echo "$folder/$1 is there already" >&2; return; }
	head -c 32 /dev/urandom | base64 >"$folder/$1.new"
	mv "$folder/$1.new" "$folder/$1"
	echo "made $folder/$1" >&2
}
key root.key
key gossip.key
if [ -e "$folder/keyring.json" ]; then
	echo "$folder/keyring.json is there already" >&2
else
	"$covey" keyring master new "$folder/keyring.json" >/dev/null
	echo "made $folder/keyring.json" >&2
fi
[ -z "$owner" ] || chown "$owner" "$folder"/{root.key,gossip.key,keyring.json}
