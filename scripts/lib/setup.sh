# shellcheck shell=bash
# Shared by the scripts: a virtual environment in the tree with everything, and the generated stubs.
# To be sourced from bash; needs `root`, the checkout's directory. Quick where all is there already.

PYTHON_MINOR_MIN=11
venv=${root:?}/.venv
stamp=$venv/.cubelet-setup

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# The environment and the stubs, under a lock, so that two runs at once do not collide. The lock is
# on a file that is there anyhow, and only this subshell's children hold it.
set_up_python() {
    (
        flock 9
        venv_is_fresh || make_venv
        stubs_are_fresh || "$venv/bin/python" "$root/scripts/gen_proto.py"
    ) 9<"$root/pyproject.toml" || die "the Python environment could not be set up, see above"
}

wanted_stamp() { sha256sum <"$root/pyproject.toml"; }

venv_is_fresh() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted_stamp)" ] && "$venv/bin/python" -c '' 2>/dev/null
}

make_venv() {
    # set -e does not reach into a function that is called behind || or in a condition.
    local python log
    python=$(find_python) || return 1
    log=$(mktemp)
    say "setting up $venv (about a minute, once)"
    if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        has_venv "$python" || return 1
        "$python" -m venv --clear "$venv" || return 1
    fi
    # pip knows dependency groups from 25.1 on. Which index it asks is the machine's own affair.
    if pip_install --upgrade 'pip>=25.1' && pip_install --group dev --editable .; then
        wanted_stamp >"$stamp"
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

pip_install() { (cd "$root" && "$venv/bin/python" -m pip install --quiet "$@") >>"$log" 2>&1; }

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$name" -c "import sys; sys.exit(sys.version_info < (3, $PYTHON_MINOR_MIN))" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    if is_root && apt_install python3 python3-venv; then
        echo /usr/bin/python3
        return
    fi
    say "no Python 3.$PYTHON_MINOR_MIN or newer here; as root: apt-get install python3 python3-venv" >&2
    return 1
}

has_venv() {
    "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    is_root && apt_install python3-venv && "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    say "$1 has no module venv; as root: apt-get install python3-venv" >&2
    return 1
}

stubs_are_fresh() {
    local proto stub
    while IFS= read -r -d '' proto; do
        stub=${proto#"$root/proto/"}
        stub=$root/${stub%.proto}_pb2.py
        [ -f "$stub" ] && [ ! "$proto" -nt "$stub" ] || return 1
    done < <(find "$root/proto" -name '*.proto' -print0)
}

# The real shim and runc; false where they are missing and cannot be had.
set_up_runc() {
    has_runc && return
    if is_root; then
        say "installing containerd and runc"
        apt_install containerd runc && has_runc && return
    fi
    return 1
}

has_runc() { command -v containerd-shim-runc-v2 && command -v runc; } >/dev/null

apt_install() {
    command -v apt-get >/dev/null || return 1
    local log status=0
    log=$(mktemp)
    {
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
    } >"$log" 2>&1 || status=1
    [ "$status" -eq 0 ] || tail -n 5 "$log" >&2
    rm -f "$log"
    return "$status"
}
