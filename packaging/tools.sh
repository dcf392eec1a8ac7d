# shellcheck shell=bash
# What packaging/build and packaging/prove need from the system. The caller has `die`.

PATH=$PATH:/usr/sbin:/sbin # icupkg, debootstrap; Debian leaves these out for ordinary users

# Every program that is missing, in one sentence with the line that installs them.
need() { # program package ...
    local missing=()
    while (($#)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    ((${#missing[@]} == 0)) || die "programs are missing; install them with: sudo apt-get install -y ${missing[*]}"
}

# Sets `python` to an interpreter whose library can be packed: the system's own, with its shared library.
need_python() {
    local candidate
    for candidate in /usr/bin/python3.11 /usr/bin/python3; do
        python=$candidate
        "$python" -c 'import sys, venv, ensurepip, sysconfig, pathlib
library = pathlib.Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
sys.exit(not ((3, 11) <= sys.version_info < (3, 14) and library.is_file()))' 2>/dev/null && return
    done
    die "Python 3.11 to 3.13 with its shared library is missing; install it with: sudo apt-get install -y python3-venv python3-dev"
}
