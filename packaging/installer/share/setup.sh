#!/bin/sh
# Installs KidneySeg for one user, without administrator rights: the .run starts it beside program.tar.xz. The installed folder
# has the same script, which keeps the menu entries right.
set -eu

version='@version@'
glibc='@glibc@'
libraries='@libraries@'
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
home=${HOME:-}

usage() {
    cat <<USAGE
usage: kidneyseg-$version-x86_64.run [-- [--prefix FOLDER] [--no-menu]]
       FOLDER/setup integrate | uninstall

Installs KidneySeg $version into FOLDER, by default ~/.local/opt/kidneyseg-$version, with the commands kidneyseg and kidneyseg-gui
in ~/.local/bin and an entry in the desktop's menu. Other versions are left alone.

  integrate   renew the commands and the menu entry, after FOLDER was moved
  uninstall   remove FOLDER, the commands and the menu entry. Settings, edits and masks are kept
  --no-menu   install the folder only
USAGE
}

die() {
    printf 'kidneyseg: %s\n' "$*" >&2
    exit 1
}

# Says in one sentence what this system lacks, before anything is written.
check_system() {
    [ "$(uname -sm)" = 'Linux x86_64' ] || die "this installer is for Linux on x86-64; this system is $(uname -sm)."
    found=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //')
    [ -n "$found" ] || die "this system's C library is not glibc; KidneySeg needs glibc $glibc or newer."
    oldest=$(printf '%s\n%s\n' "$glibc" "$found" | sort -V | head -n 1)
    [ "$oldest" = "$glibc" ] ||
        die "KidneySeg needs glibc $glibc or newer (Debian 12, Ubuntu 22.04); this system has glibc $found."
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) || known=
    [ -n "$known" ] || return 0
    missing=
    while read -r library package; do
        case $known in
        *"	$library "*) ;;
        *) case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac ;;
        esac
    done <<LIBRARIES
$libraries
LIBRARIES
    [ -z "$missing" ] || printf '%s\n' "kidneyseg: the window needs libraries that this system lacks; the command works without. On" \
        "Debian and Ubuntu they come with: sudo apt-get install$missing" >&2
}

# Sets `unpacker`. xz may be missing where Python is not.
find_unpacker() {
    [ -f "$here/program.tar.xz" ] || die "the program is not beside this script; start the .run."
    if command -v xz >/dev/null; then
        unpacker=xz
    elif python3 -c 'import lzma' 2>/dev/null; then
        unpacker=python3
    else
        die "unpacking needs xz or python3, and this system has neither; on Debian and Ubuntu: sudo apt-get install xz-utils"
    fi
}

unpack() { # folder
    mkdir -- "$1" && case $unpacker in
    xz) xz -dc -- "$here/program.tar.xz" ;;
    python3) python3 -c 'import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer, 1 << 20)' "$here/program.tar.xz" ;;
    esac | tar -xf - -C "$1"
}

holds_program() { # folder
    [ -d "$1/_internal/kidneyseg" ]
}

# Whether the installer may put a folder in this place: it holds KidneySeg already, or nothing.
is_free() { # folder
    [ ! -e "$1" ] || holds_program "$1" || [ -z "$(ls -A -- "$1" 2>&1)" ]
}

# Sets `prefix` and `menu` from the options.
read_options() {
    prefix=
    menu=yes
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix)
            [ $# -gt 1 ] || die "--prefix needs a folder."
            prefix=${2%/}
            shift
            ;;
        --no-menu) menu=no ;;
        *)
            usage >&2
            exit 2
            ;;
        esac
        shift
    done
    if [ -z "$prefix" ]; then
        [ -n "$home" ] || die "there is no home folder (HOME is empty); name a folder with --prefix."
        prefix=$home/.local/opt/kidneyseg-$version
    fi
    case $prefix in
    /*) ;;
    *) prefix=${USER_PWD:-$PWD}/$prefix ;;
    esac
}

# Unpacks into a folder, which gets its place when all is there. tar takes nothing at all for an archive, hence the second name.
unpack_as() { # folder, something in it
    trap 'rm -rf -- "$prefix.new"; exit 130' HUP INT TERM
    rm -rf -- "$prefix.new"
    if ! unpack "$prefix.new" 2>/dev/null || [ ! -e "$prefix.new/$2" ]; then
        rm -rf -- "$prefix.new"
        die "$1 cannot be written, or its disk is full; name another folder with --prefix."
    fi
    rm -rf -- "$1"
    mv -- "$prefix.new" "$1"
    trap - HUP INT TERM
}

install_program() {
    check_system
    find_unpacker
    read_options "$@"
    is_free "$prefix" || die "$prefix exists and holds no KidneySeg; remove it or name another folder with --prefix."
    mkdir -p -- "$(dirname -- "$prefix")" 2>/dev/null || die "$(dirname -- "$prefix") cannot be written; name another folder with --prefix."
    unpack_as "$prefix" _internal/kidneyseg
    here=$prefix
    [ "$menu" = no ] || [ -z "$home" ] || integrate
    printf '%s\n' "KidneySeg $version is in $prefix. Research use only; it is not a medical device." \
        "The licences of everything inside are in $prefix/licences." "Start it from the menu, or: $prefix/kidneyseg-gui"
}

# What the .run of kidneyseg-cuda starts.
install_gpu() {
    check_system
    find_unpacker
    read_options "$@"
    holds_program "$prefix" || die "there is no KidneySeg in $prefix; install it first, or name its folder with --prefix."
    found=$("$prefix/kidneyseg" --version 2>&1) || true
    [ "$found" = "kidneyseg $version" ] || die "this is for kidneyseg $version, and in $prefix is $found."
    unpack_as "$prefix/cuda" packages/torch
    echo "torch is in $prefix/cuda. Whether a GPU can be used, this says: $prefix/kidneyseg info"
}

places() {
    data=${XDG_DATA_HOME:-$home/.local/share}
    bin=$home/.local/bin
    entry=$data/applications/kidneyseg.desktop
}

# For an Exec line: in double quotes, with the characters escaped that the desktop's rules name.
quoted() {
    printf '%s' "$1" | sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g'
}

integrate() {
    places
    mkdir -p -- "$bin" "$data"
    for name in kidneyseg kidneyseg-gui; do
        ln -sfn -- "$here/$name" "$bin/$name"
    done
    (cd -- "$here/share" && find . -type f) | while read -r file; do
        mkdir -p -- "$data/$(dirname -- "$file")"
        cp -- "$here/share/$file" "$data/$file"
    done
    program=$(quoted "$here/kidneyseg-gui")
    # awk takes the value from the environment as it is; sed would read its backslashes.
    PROGRAM=$program awk '/^Exec=/ { print "Exec=\"" ENVIRON["PROGRAM"] "\" %f"; next } { print }' \
        "$here/share/applications/kidneyseg.desktop" >"$entry"
    refresh
}

refresh() {
    update-desktop-database "$data/applications" >/dev/null 2>&1 || true
    update-mime-database "$data/mime" >/dev/null 2>&1 || true
    gtk-update-icon-cache -q -t "$data/icons/hicolor" >/dev/null 2>&1 || true
}

uninstall() {
    holds_program "$here" || die "$here holds no KidneySeg."
    places
    for name in kidneyseg kidneyseg-gui; do
        [ "$(readlink -- "$bin/$name" 2>/dev/null)" != "$here/$name" ] || rm -f -- "$bin/$name"
    done
    # The menu entry of another version stays.
    if PROGRAM=$(quoted "$here/kidneyseg-gui") awk 'index($0, "Exec=\"" ENVIRON["PROGRAM"] "\"") { found = 1 } END { exit !found }' \
        "$entry" 2>/dev/null; then
        (cd -- "$here/share" && find . -type f) | while read -r file; do
            rm -f -- "$data/$file"
            rmdir -p -- "$data/$(dirname -- "$file")" 2>/dev/null || true
        done
        refresh
    fi
    rm -rf -- "$here"
    echo "KidneySeg $version was removed from $here. Settings, edits and masks were kept."
}

command=${1-}
[ $# -eq 0 ] || shift
case $command in
install) install_program "$@" ;;
install-gpu) install_gpu "$@" ;;
integrate)
    [ -n "$home" ] || die "there is no home folder (HOME is empty)."
    check_system
    integrate
    ;;
uninstall) uninstall ;;
-h | --help | '') usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
