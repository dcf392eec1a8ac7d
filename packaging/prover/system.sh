# shellcheck shell=bash
# A minimal system in a folder, and commands in it as an ordinary user without network. Sourced by prove.
# shellcheck disable=SC2154 # work, keyring, root and build are prove's

system= # the folder of the system in use
display=
programs=()

is_ubuntu() { # suite
    case $1 in jammy | noble | questing | resolute) ;; *) return 1 ;; esac
}

# Whether a suite is of this system's distribution, whose keys it has.
is_own() { # suite
    local id
    id=$(. /etc/os-release && echo "$ID")
    if is_ubuntu "$1"; then [[ $id == ubuntu ]]; else [[ $id == debian ]]; fi
}

# The mirror of the distribution that a suite belongs to: from this system's apt sources, or the distribution's own.
mirror_of() { # suite
    local origin=Debian own=http://deb.debian.org/debian/ found
    ! is_ubuntu "$1" || origin=Ubuntu own=http://archive.ubuntu.com/ubuntu/
    # shellcheck disable=SC2016 # apt fills these in
    found=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 2>/dev/null |
        awk -v origin="$origin" '$1 == origin && $2 == origin { print $3; exit }')
    echo "${found:-$own}"
}

# debootstrap's recipe is the same for all Ubuntu suites; an older debootstrap does not know the newer ones by name.
bootstrap() { # suite
    local options=(--variant=minbase) recipe=()
    if is_ubuntu "$1"; then
        options+=("--components=main,universe")
        recipe=(/usr/share/debootstrap/scripts/gutsy)
    fi
    [[ ! $keyring ]] || is_own "$1" || options+=(--keyring "$keyring")
    debootstrap "${options[@]}" "$1" "$work/$1" "$(mirror_of "$1")" "${recipe[@]}" >"$work/debootstrap.log" 2>&1
}

make_system() { # suite
    local cache=$work/$1.tar
    if [[ ! -f $cache ]]; then
        rm -rf "${work:?}/$1"
        if ! bootstrap "$1"; then
            say "- skipped: debootstrap failed: $(tail -n 1 "$work/debootstrap.log")"
            return 1
        fi
        tar -C "$work/$1" -cf "$cache" .
    fi
    system=$work/$1
    rm -rf "$system"
    mkdir -p "$system"
    tar -C "$system" -xf "$cache"
    # How apt reaches its mirror is this machine's affair.
    cp /etc/resolv.conf /etc/hosts "$system/etc/"
    apt-config dump Acquire | grep -E '^Acquire::(http|https|Check)' >"$system/etc/apt/apt.conf.d/99host" || true
    mount -t proc proc "$system/proc"
    mount -t tmpfs shm "$system/dev/shm"
    chmod 1777 "$system/dev/shm"
    chroot "$system" useradd --create-home --uid 1000 reader
    mkdir -p "$system/tmp/.X11-unix"
    start_display
    mount --bind /tmp/.X11-unix "$system/tmp/.X11-unix"
}

# A screen outside the system, which reaches it by a socket: nothing need be installed inside for it.
start_display() {
    local reading
    exec {reading}< <(exec Xvfb -displayfd 1 -screen 0 1600x1000x24 -nolisten tcp -ac 2>/dev/null)
    programs+=($!)
    read -r display <&"$reading"
    display=:$display
    DISPLAY=$display openbox >/dev/null 2>&1 &
    programs+=($!)
}

leave_system() {
    ((${#programs[@]} == 0)) || kill "${programs[@]}" 2>/dev/null || true
    programs=()
    [[ $system ]] || return 0
    local place
    for place in tmp/.X11-unix dev/shm proc opt home/reader/full; do
        mountpoint -q "$system/$place" && umount -l "$system/$place"
    done
    rm -rf "$system"
    system=
}

apt_inside() { # arguments of apt-get
    chroot "$system" env DEBIAN_FRONTEND=noninteractive apt-get "$@"
}

# As an ordinary user, without network, with nothing of this session's environment. `home` is that of the user.
as_user() { # command...
    unshare --net chroot --userspec=1000:1000 "$system" env -i \
        ${home+"HOME=$home"} PATH=/usr/bin:/bin LANG=C.UTF-8 ${display+"DISPLAY=$display"} "$@"
}
