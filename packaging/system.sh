# shellcheck shell=bash
# Which Debian or Ubuntu packages are missing, and installing them. Sourced by setup.sh.
# shellcheck disable=SC2154 # python, venv_package and log are setup.sh's

# A required shared object, and the package that contains it. Looking for the file instead of the package also works
# on systems with other package names.
system_libraries='
libGL.so.1 libgl1
libEGL.so.1 libegl1
libglib-2.0.so.0 libglib2.0-0
libxkbcommon.so.0 libxkbcommon0
libfontconfig.so.1 libfontconfig1
libdbus-1.so.3 libdbus-1-3
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-randr.so.0 libxcb-randr0
libxcb-xinerama.so.0 libxcb-xinerama0
libX11-xcb.so.1 libx11-xcb1
'
# Where NVIDIA's driver lists its GPUs, and the device through which Windows lends its GPU to Linux.
nvidia_gpus=/proc/driver/nvidia/gpus
windows_gpu=/dev/dxg
test_programs='
Xvfb xvfb
xauth xauth
xdotool xdotool
openbox openbox
'

missing_packages() { # run|torch|check
    local loadable needed package
    loadable=$(ldconfig -p 2>/dev/null) || true
    while read -r needed package; do
        [[ -z $needed || $loadable == *$'\t'"$needed "* ]] || echo "$package"
    done <<<"$system_libraries"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || echo "$venv_package"
    [[ $1 == check ]] || return 0
    while read -r needed package; do
        [[ -z $needed ]] || command -v "$needed" >/dev/null || echo "$package"
    done <<<"$test_programs"
}

has_nvidia_gpu() {
    [[ -e $windows_gpu ]] || compgen -G "$nvidia_gpus/*" >/dev/null
}

# Ubuntu 24.04 and Debian 13 renamed some libraries when time_t grew (libglib2.0-0t64).
name_here() { # package
    if apt-cache show "$1t64" >/dev/null 2>&1; then echo "$1t64"; else echo "$1"; fi
}

install_system_packages() { # run|torch|check
    local missing=() packages=() package compiler=()
    mapfile -t missing < <(missing_packages "$1")
    command -v g++ >/dev/null || compiler=(g++)
    [[ ${#missing[@]} -gt 0 || ${#compiler[@]} -gt 0 ]] || return 0
    if ! command -v apt-get >/dev/null; then
        [[ ${#missing[@]} -gt 0 ]] || return 0
        die "these libraries are missing (Debian's names; there is no apt-get here, use your package manager): ${missing[*]}"
    fi
    if [[ $(id -u) == 0 ]]; then
        apt_install "${missing[@]}" "${compiler[@]}"
        return
    fi
    for package in "${missing[@]}"; do packages+=("$(name_here "$package")"); done
    if [[ ${#missing[@]} -gt 0 ]]; then
        die "system packages are missing. Install them, then start again:
    sudo apt-get install -y ${packages[*]} ${compiler[*]}"
    fi
    say "  Without g++ the slower torch kernels are used. For the fast ones: sudo apt-get install -y g++, then start again."
}

apt_install() { # package...
    local packages=() package
    export DEBIAN_FRONTEND=noninteractive
    say "  Installing system packages: $*"
    logged "Reading the package lists" apt-get update ||
        say "    The package lists could not be renewed: $(why_it_failed). Trying with those that are here."
    for package in "$@"; do packages+=("$(name_here "$package")"); done
    logged "Installing system packages" apt-get install -y --no-install-recommends "${packages[@]}" && return
    [[ $* == g++ ]] && say "    g++ could not be installed; the slower torch kernels are used." && return
    die "installing system packages failed: $(why_it_failed), then start again. Log: $log"
}
