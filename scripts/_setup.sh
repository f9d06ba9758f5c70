# Read by the scripts beside it. Makes .venv and what it needs; whatever it says goes to stderr.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
python="$root/.venv/bin/python"
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"

say() {
    printf 'forbear: %s\n' "$*" >&2
}

# install_packages NAME...   from the distribution when we are root; else says which line does it, and ends.
install_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "some packages of the distribution are missing; run this line, then try again:"
        printf '    sudo apt-get install -y %s\n' "$*" >&2
        exit 1
    fi
    say "installing $* from the distribution"
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } </dev/null >/dev/null
}

# need THING:PACKAGE...   installs the packages of those programs and libraries that are not there.
need() {
    local pair missing=()
    for pair in "$@"; do
        _has "${pair%%:*}" || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

_has() {
    command -v "$1" >/dev/null || /sbin/ldconfig -p | grep -qF "$1"
}

# prepare LOCK...   makes .venv hold what the first lock file names; any of them that is installed will do.
prepare() {
    _is_prepared "$@" && return
    # The folder itself is the lock, so that two that are called at once do not install into each other.
    exec 9<"$root"
    flock --nonblock 9 || { say "waiting for another set-up of $root/.venv"; flock 9; }
    _is_prepared "$@" || _install "$1"
    exec 9<&-
}

_is_prepared() {
    local lock
    for lock in "$@"; do
        [ -x "$python" ] && [ -f "$root/.venv/$lock.installed" ] &&
            [ "$(<"$root/.venv/$lock.installed")" = "$(_checksum "$lock")" ] && return
    done
    return 1
}

_checksum() {
    sha256sum <"$root/$1"
}

_install() {
    local lock=$1
    if [ ! -w "$root" ]; then
        say "$root/.venv must be made, and you may not write there: let its owner call this once"
        exit 1
    fi
    "$python" -m pip --version >/dev/null 2>&1 || _make_venv
    rm -f "$root"/.venv/*.installed
    say "installing $(grep -c '==' "$root/$lock") packages into $root/.venv, this once (about a minute)"
    "$python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$root/$lock" </dev/null >&2
    _checksum "$lock" >"$root/.venv/$lock.installed"
    say "installed ($SECONDS s)"
}

_make_venv() {
    local base version
    _find_python >/dev/null || install_packages python3 python3-venv
    if ! base=$(_find_python); then
        say "Python 3.11 or newer is needed and was not found"
        exit 1
    fi
    version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$base" -c 'import ensurepip, venv' 2>/dev/null || install_packages "python$version-venv"
    say "making $root/.venv with Python $version"
    "$base" -m venv --clear "$root/.venv" >&2
}

_find_python() {
    local candidate
    while read -r candidate; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done < <(type -aP python3 python3.14 python3.13 python3.12 python3.11)
    return 1
}
