# shellcheck shell=bash
# Odd machines and the installer without administrator rights. Sourced by prove.
# shellcheck disable=SC2154,SC2034 # system, work, run, cases and display are prove's; home is read by as_user

prove_odd() {
    local home=/home/reader sample name
    name=$(basename "${cases[0]}")
    sample=$home/$name
    check "no display: one sentence" no_display
    check "no home: the command works" no_home kidneyseg segment "$sample" -o "/tmp/no_home.nii.gz"
    check "no home: the window opens" odd_window "" kidneyseg-gui
    mkdir -p "$system/home/sealed" # root's: the user may not write there
    check "a read-only home: the window opens" odd_window /home/sealed kidneyseg-gui
    mkdir -p "$system/home/full"
    mount -t tmpfs -o size=16k,mode=777 full "$system/home/full"
    check "a full disk: the window opens" odd_window /home/full kidneyseg-gui
    check "a full disk: one sentence from the command" refuses 'cannot be written|No space|full' \
        as_user kidneyseg segment "$sample" -o /home/full/mask.nii.gz
    umount "$system/home/full"
    check "no libGL: the command works" hiding libGL.so.1 as_user kidneyseg segment "$sample" -o "$home/no_gl.nii.gz"
    check "no libGL: one sentence from the window" hiding libGL.so.1 refuses 'libGL\.so\.1' as_user kidneyseg-gui
    check "HiDPI (scale 2): the window opens" odd_window "$home" env QT_SCALE_FACTOR=2 kidneyseg-gui
    check "the 3-D widget for graphics cards opens, too" window --canvas pyvistaqt -- env KIDNEYSEG_3D=pyvistaqt kidneyseg-gui
    check "Wayland: the window opens" on_wayland
    prove_downgrade
    if command -v qemu-x86_64-static >/dev/null; then
        check "the wheel on a CPU without AVX2 (qemu)" without_avx2
    else
        say "- a CPU without AVX2: not tried, qemu-user-static is not installed"
    fi
    check "2 GB of memory for the sample case" little_memory "$sample"
}

no_display() {
    local display=
    unset display
    refuses 'no display' as_user kidneyseg-gui
}

no_home() {
    local home=
    unset home
    as_user "$@"
}

# The window opens and closes again; its home is given ("": none).
odd_window() { # home, command...
    local where=$1
    shift
    SYSTEM=$system DISPLAY=$display "$build/venv/bin/python" "$root/packaging/prover/window.py" -- \
        unshare --net chroot --userspec=1000:1000 "$system" env -i ${where:+"HOME=$where"} PATH=/usr/bin:/bin LANG=C.UTF-8 \
        "DISPLAY=$display" "$@"
}

# In a compositor without a screen, which X does not reach.
on_wayland() {
    command -v weston >/dev/null || { echo "not tried, weston is not installed" && return; }
    local folder=$system/tmp/wayland log=$system$home/.local/share/KidneySeg/logs/kidneyseg.log before program status=0
    mkdir -m 700 "$folder"
    XDG_RUNTIME_DIR=$folder weston --backend=headless-backend.so --use-pixman --width=1600 --height=1000 --idle-time=0 \
        --socket=wayland --debug >"$work/weston.log" 2>&1 &
    programs+=($!)
    wait_for test -S "$folder/wayland"
    chmod 777 "$folder" "$folder/wayland"
    before=$(wc -l <"$log")
    local display=
    unset display
    as_user env WAYLAND_DISPLAY=/tmp/wayland/wayland kidneyseg-gui &
    program=$!
    wait_for sh -c "tail -n +$((before + 1)) '$log' | grep -q '3-D canvas'"
    sleep 3
    (cd "$work/pictures" && rm -f wayland* && XDG_RUNTIME_DIR=$folder WAYLAND_DISPLAY=wayland weston-screenshooter) || status=1
    kill "$program"
    wait "$program" || (($? == 130 || $? == 143)) || status=1
    return "$status"
}

wait_for() { # command...
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        "$@" && return
        sleep 0.2
    done
    return 1
}

# What a newer version has left in the home: it does no harm, and this version leaves it alone.
prove_downgrade() {
    local home=/home/newer state=/home/newer/.local/state/kidneyseg/autosave
    local options=$system$home/.config/KidneySeg/KidneySeg.conf
    mkdir -p "$(dirname "$options")" "$system$state"
    printf '%s\n' '[General]' 'geometry=<geometry/>' 'recent="[{\"path\": \"/a_ct.nii.gz\"}]"' '[case]' 'device="\"rocm\""' \
        'settings="{\"preset\": \"ensemble\", \"changes\": 3}"' '[layout]' 'panes=2x3' >"$options"
    "$build/venv/bin/python" -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript("CREATE TABLE head (a); PRAGMA user_version = 99")' \
        "$system$state/later.autosave"
    chown -R 1000:1000 "$system$home"
    check "settings and an autosaved case of a newer version: the window opens" window -- kidneyseg-gui
    check "they are left alone" grep -q 'panes=2x3' "$options"
    check "and so is the case" test -f "$system$state/later.autosave"
}

hiding() { # library, command...
    local file status=0
    file=$(find "$system/usr/lib/x86_64-linux-gnu" -name "$1" | head -n 1)
    shift
    mv "$file" "$file.hidden"
    "$@" || status=$?
    mv "$file.hidden" "$file"
    return "$status"
}

# The executable starts itself again, which would leave qemu; Python does not. The kernels are the same file.
without_avx2() {
    local reported
    reported=$(cd / && qemu-x86_64-static -cpu Nehalem "$build/venv/bin/python" -m kidneyseg info)
    grep 'CPU kernels' <<<"$reported" | grep baseline
}

# In a control group of its own, of which kernels have two kinds.
little_memory() { # CT
    local groups=/sys/fs/cgroup limit=memory.max peak=memory.peak status=0
    if ! grep -qw memory "$groups/cgroup.controllers" 2>/dev/null; then
        groups+=/memory limit=memory.limit_in_bytes peak=memory.max_usage_in_bytes
    fi
    local group=$groups/kidneyseg-prove
    if ! mkdir "$group" 2>/dev/null || [[ ! -f $group/$peak ]] || ! echo 2G >"$group/$limit"; then
        rmdir "$group" 2>/dev/null || true
        echo "not tried, this system gives no control group for memory"
        return
    fi
    (echo "$BASHPID" >"$group/cgroup.procs" && as_user kidneyseg segment "$1" -o "$home/little.nii.gz") >"$work/little" 2>&1 || status=$?
    echo "peak $(($(<"$group/$peak") / 1000000)) MB"
    cat "$work/little"
    rmdir "$group"
    return "$status"
}

# The .run, after the .deb has gone; the libraries that the .deb asked for are still there.
prove_run() {
    local home="/home/reader/Jörg Müllers Ordner" file prefix case=${cases[0]} name
    name=$(basename "$case")
    file=/tmp/$(basename "$run")
    prefix=$home/.local/opt/$(basename "$run" -x86_64.run)
    mkdir -p "$system$home" "$system/opt"
    chown 1000:1000 "$system$home"
    cp "$run" "$system$file" && chmod 755 "$system$file"
    cp "$case" "$system$home/$name" && chmod 644 "$system$home/$name"
    mount -t tmpfs -o ro opt "$system/opt"
    if [[ ! -e $system/usr/bin/xz && ! -e $system/usr/bin/python3 ]]; then
        check "the .run without xz and Python: one sentence" refuses 'needs xz or python3' as_user "$file"
        check "apt-get install xz-utils" apt_inside install -y --no-install-recommends xz-utils
    fi
    check "the .run in a home with spaces and umlauts, /opt read-only" as_user "$file"
    check "its command" as_user "$home/.local/bin/kidneyseg" --version
    check "it segments" as_user "$home/.local/bin/kidneyseg" segment "$home/$name" -o "$home/mask.nii.gz"
    check "its mask equals the checkout's bit for bit" same_mask "$(basename "$home")/mask.nii.gz" "$case"
    check "its window opens" odd_window "$home" "$home/.local/bin/kidneyseg-gui"
    as_user mv "$prefix" "$home/moved here"
    check "moved: setup integrate" as_user "$home/moved here/setup" integrate
    check "moved: the window opens" odd_window "$home" "$home/.local/bin/kidneyseg-gui"
    check "moved: the menu entry names the new place" grep -qF 'Exec="'"$home/moved here/kidneyseg-gui"'" %f' \
        "$system$home/.local/share/applications/kidneyseg.desktop"
    check "a second copy elsewhere" as_user "$file" -- --prefix "$home/second" --no-menu
    check "the menu entry names the first" grep -qF "$home/moved here/kidneyseg-gui" "$system$home/.local/share/applications/kidneyseg.desktop"
    check "setup uninstall" as_user "$home/moved here/setup" uninstall
    check "the second copy still works" as_user "$home/second/kidneyseg" --version
    as_user "$home/second/setup" uninstall >/dev/null
    check "nothing is left over" test -z "$(find "$system$home" -name '*kidneyseg*' -not -path '*/share/KidneySeg*' -not -path '*/.config/*' -not -path '*/.cache/*' -not -path '*/state/*' -not -path '*/moved here/*')"
    umount "$system/opt"
    check "an old glibc: one sentence" old_glibc
}

has_old_glibc() {
    local here needed
    here=$(chroot "$system" getconf GNU_LIBC_VERSION)
    needed=$(dpkg-deb -f "$deb" Depends | grep -oP 'libc6 \(>= \K[0-9.]+')
    dpkg --compare-versions "${here#glibc }" lt "$needed"
}

# As on a system with an old glibc. Only what the installer asks for is old here.
old_glibc() {
    mkdir -p "$system/tmp/old"
    printf '#!/bin/sh\necho "glibc 2.31"\n' >"$system/tmp/old/getconf"
    chmod 755 "$system/tmp/old" "$system/tmp/old/getconf"
    refuses 'needs glibc' as_user env PATH=/tmp/old:/usr/bin:/bin "$file"
}

# On a system with an old glibc, such as Debian 11.
prove_refusals() {
    local home=/home/reader file=/tmp/kidneyseg.run
    cp "$run" "$system$file"
    cp "$deb" "$system/tmp/kidneyseg.deb"
    chmod 755 "$system$file"
    check "glibc" chroot "$system" getconf GNU_LIBC_VERSION
    check "the .run: one sentence" refuses 'needs glibc' as_user "$file"
    check "nothing was written" test -z "$(ls "$system$home")"
    check "apt-get update" apt_inside update -qq
    check "apt-get refuses the .deb, and says why" apt_refuses
}

apt_refuses() {
    ! apt_inside install -y /tmp/kidneyseg.deb >"$work/refusal" 2>&1 && grep 'kidneyseg : Depends: libc6' "$work/refusal"
}
