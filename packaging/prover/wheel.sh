# shellcheck shell=bash
# The wheel in an environment of its own, outside of any checkout. Sourced by prove.
# shellcheck disable=SC2154,SC2034 # wheel, work, root, python and cases are prove's; home is read by prove_wheel's commands

prove_wheel() {
    local place=$work/wheel home=$work/wheel-home case=${cases[0]}
    say ""
    say "## The wheel"
    say ""
    rm -rf "$place" "$home"
    mkdir -p "$home"
    "$python" -m venv "$place"
    check "pip install of $(basename "$wheel")" "$place/bin/python" -m pip install --quiet --quiet --disable-pip-version-check \
        --constraint "$root/packaging/constraints.txt" "$wheel"
    check "the environment's size" environment_size
    check "kidneyseg info" by_wheel kidneyseg info
    check "kidneyseg segment $(basename "$case")" by_wheel kidneyseg segment "$case" -o "$home/mask.nii.gz"
    check "its mask equals the checkout's bit for bit" cmp <(gunzip -c "$home/mask.nii.gz") <(gunzip -c "$work/reference_$(basename "$case")")
    start_display
    check "kidneyseg-gui with its sample case" wheel_window
    leave_system
}

environment_size() { echo "$(($(du -s --apparent-size --block-size=1000 "$place" | cut -f 1) / 1000)) MB"; }

by_wheel() { # program, arguments...
    local program=$1
    shift
    (cd / && env -i "HOME=$home" PATH=/usr/bin:/bin LANG=C.UTF-8 "$place/bin/$program" "$@")
}

wheel_window() {
    SYSTEM=/ DISPLAY=$display "$build/venv/bin/python" "$root/packaging/prover/window.py" --canvas offscreen --segment \
        --log "$home/.local/share/KidneySeg/logs/kidneyseg.log" --export "$home/by_window.nii.gz" --picture "$work/pictures/wheel.png" -- \
        env -C / -i "HOME=$home" PATH=/usr/bin:/bin LANG=C.UTF-8 "DISPLAY=$display" "$place/bin/kidneyseg-gui"
}
