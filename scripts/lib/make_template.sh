#!/usr/bin/env bash
# A root for containers out of this host's own shell: /bin/sh, sleep, and the libraries they load.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: scripts/lib/make_template.sh FILE.tar

Writes a tar of a root directory that holds this host's /bin/sh, sleep, date and cat with their
libraries, and the empty directories that a container wants. Nothing is downloaded.
EOF
}

case "${1-}" in
    -h | --help) usage; exit 0 ;;
    '' | -*) usage >&2; exit 2 ;;
esac
[ $# -eq 1 ] || { usage >&2; exit 2; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# Copies a file to its own path below the tree, a link as what it points to.
take() {
    mkdir -p "$tree$(dirname "$1")"
    cp -L "$1" "$tree$1"
}

for program in sh sleep date cat; do
    path=$(command -v "$program")
    mkdir -p "$tree/bin"
    cp -L "$path" "$tree/bin/$program"
    # ldd prints "NAME => PATH (ADDRESS)" or "PATH (ADDRESS)" for the loader itself.
    while read -r library; do
        [ -e "$tree$library" ] || take "$library"
    done < <(ldd "$path" 2>/dev/null | grep -oE '/[^ ]+')
done
mkdir -p "$tree"/{proc,sys,dev,tmp,etc,root}
chmod 755 "$tree"
chmod 1777 "$tree/tmp"
tar --create --file "$1" --directory "$tree" --owner=0 --group=0 .
