# shellcheck shell=bash
# What is proven. Each check is one line of the log, and one that fails is counted. Sourced by prove.
# shellcheck disable=SC2154,SC2034 # system, work, deb, run, ct, build and root are prove's; home is read by as_user

say() { printf '%s\n' "$*"; }

# Runs a command; its first line of output, if any, is part of the log's line.
check() { # what is proven, command...
    local what=$1 status=0 output=$work/output
    shift
    "$@" >"$output" 2>&1 </dev/null || status=$?
    if ((status == 0)); then
        say "- $what$(head -n 1 "$output" | sed 's/^\(.\)/: \1/')"
    else
        failed=$((failed + 1))
        say "- FAILED ($status): $what"
        sed 's/^/      /' "$output" | tail -n 12
    fi
}

# A command that must fail, with one sentence that says something and no traceback.
refuses() { # extended regular expression, command...
    local pattern=$1 status=0 output=$work/refusal
    shift
    "$@" >"$output" 2>&1 </dev/null || status=$?
    ((status != 0)) && grep -qE -- "$pattern" "$output" && ! grep -q Traceback "$output" && ((status < 128)) && tail -n 1 "$output" && return
    echo "status $status"
    cat "$output"
    return 1
}

size() { # file
    echo "$(($(stat -c %s "$1") / 1000000)) MB"
}

prove_files() {
    say ""
    say "## The files"
    say ""
    say "- $(basename "$deb"): $(size "$deb") packed, $(($(dpkg-deb -f "$deb" Installed-Size) * 1024 / 1000000)) MB installed"
    say "- $(basename "$run"): $(size "$run")"
    check "SHA256SUMS agrees" sha256sums_agree
    check "lintian finds no error" lintian --allow-root --fail-on error "$deb"
    check "every file of the .deb has its place" no_stray_files
    dpkg-deb -x "$deb" "$work/unpacked"
    check "the desktop entry is valid" desktop-file-validate "$work/unpacked/usr/share/applications/kidneyseg.desktop"
    # The project has no domain to name the component after.
    check "the AppStream metadata are valid" appstreamcli validate --no-net --override=cid-desktopapp-is-not-rdns=info \
        "$work/unpacked/usr/share/metainfo/kidneyseg.metainfo.xml"
    rm -rf "$work/unpacked"
}

sha256sums_agree() {
    (cd -- "$(dirname -- "$deb")" && sha256sum --quiet --check SHA256SUMS)
    local signature
    signature=$(dirname -- "$deb")/SHA256SUMS.asc
    if [[ -f $signature ]]; then
        gpg --verify "$signature" "${signature%.asc}" 2>/dev/null && echo "and its signature is good"
    else
        echo "it is not signed"
    fi
}

no_stray_files() {
    local strays
    dpkg-deb -c "$deb" >"$work/contents"
    strays=$(awk '{ print $6 }' "$work/contents" | grep -vE '/$' | grep -vE \
        '^\./(opt/kidneyseg/(kidneyseg|kidneyseg-gui|sbom\.cdx\.json|licences/.*|_internal/.*)|usr/bin/kidneyseg(-gui)?|usr/share/(applications/kidneyseg\.desktop|icons/hicolor/[^/]*/apps/kidneyseg\.(svg|png)|mime/packages/kidneyseg\.xml|metainfo/kidneyseg\.metainfo\.xml|man/man1/kidneyseg(-gui)?\.1\.gz|doc/kidneyseg/.*|lintian/overrides/kidneyseg))$') || true
    strays+=$(grep -E '__pycache__|\.py[cod]$|\.pyi$|/tests?/|\.(a|la|h|c|cpp|pdb|debug)$|\.git|\.log$' "$work/contents" || true)
    [[ -z $strays ]] || {
        echo "$strays"
        return 1
    }
    echo "$(wc -l <"$work/contents") entries"
}

by_sources() { # arguments of Python
    PYTHONPATH=$root/core:$root:$root/tests/helpers PYTHONSAFEPATH=1 "$build/venv/bin/python" "$@"
}

# Masks of the source checkout, to compare with.
prepare_reference() {
    cases=("$(find "$build/program" -name sample_ct.nii.gz)")
    [[ -z $ct ]] || cases+=("$ct")
    local case
    for case in "${cases[@]}"; do
        by_sources -m kidneyseg segment "$case" -o "$work/reference_$(basename "$case")" >/dev/null
    done
}

same_mask() { # file inside the home, case
    cmp <(gunzip -c "$system/home/reader/$1") <(gunzip -c "$work/reference_$(basename "$2")") && echo "$(stat -c %s "$system/home/reader/$1") bytes"
}

cold() { sync && echo 3 >/proc/sys/vm/drop_caches; }

prove_deb() {
    local home=/home/reader case name
    cp "$deb" "$system/tmp/kidneyseg.deb"
    check "apt-get update" apt_inside update -qq
    check "apt-get install of the .deb alone" apt_inside install -y --no-install-recommends /tmp/kidneyseg.deb
    say "    with $(grep -c '^Setting up' "$work/output") packages; $(grep -E '^After this operation' "$work/output")"
    rm "$system/tmp/kidneyseg.deb"
    check "kidneyseg info" as_user kidneyseg info
    say "$(sed 's/^/      /' "$work/output")"
    for case in "${cases[@]}"; do
        name=$(basename "$case")
        cp "$case" "$system/home/reader/$name" && chmod 644 "$system/home/reader/$name"
        check "kidneyseg segment $name" as_user kidneyseg segment "$home/$name" -o "$home/mask_$name"
        check "its mask equals the checkout's bit for bit" same_mask "mask_$name" "$case"
    done
    check "training needs torch: one sentence" lacks_torch train "$home" -o "$home/networks"
    check "a GPU needs torch: one sentence" lacks_torch segment "$home/$name" --device cuda -o "$home/cuda.nii.gz"
    prove_window
}

# pip does not reach the installed program, so it does not speak of it.
lacks_torch() { # arguments of kidneyseg
    refuses 'needs torch, which the installed program does not have' as_user kidneyseg "$@" && ! grep -q pip "$work/refusal"
}

window() { # options of window.py, --, the command
    local options=()
    while [[ $1 != -- ]]; do options+=("$1") && shift; done
    shift
    SYSTEM=$system DISPLAY=$display "$build/venv/bin/python" "$root/packaging/prover/window.py" \
        --log "$system$home/.local/share/KidneySeg/logs/kidneyseg.log" "${options[@]}" -- \
        unshare --net chroot --userspec=1000:1000 "$system" env -i "HOME=$home" PATH=/usr/bin:/bin LANG=C.UTF-8 "DISPLAY=$display" "$@"
}

prove_window() {
    local round dropped=${cases[0]} name # no picture shows a patient's CT
    name=$(basename "$dropped")
    # The same path must hold outside, where it is dragged from, and inside.
    cp "$dropped" "/tmp/dropped_$name" && cp "$dropped" "$system/tmp/dropped_$name" && chmod 644 "$system/tmp/dropped_$name"
    cold
    check "the window, first start after boot (cold cache)" window -- kidneyseg-gui
    for round in 1 2; do
        check "the window, warm start $round" window -- kidneyseg-gui
    done
    check "the window: a dropped file, F5, export" window --drop "/tmp/dropped_$name" --segment \
        --export "$system/home/reader/by_window.nii.gz" --picture "$work/pictures/$(basename "$system").png" -- kidneyseg-gui
    check "its mask equals the checkout's bit for bit" same_mask by_window.nii.gz "$dropped"
    rm -f "/tmp/dropped_$name"
}

prove_removal() {
    check "apt-get remove" apt_inside remove -y kidneyseg
    # There are no settings of the system's, so purge finds nothing more to do.
    check "dpkg --purge" chroot "$system" dpkg --purge kidneyseg
    check "nothing is left over" nothing_left
}

nothing_left() {
    local left
    left=$(find "$system" -xdev \( -path '*kidneyseg*' -o -path '*/opt/*' \) -not -path "$system/home/*" -not -path "$system/proc/*" \
        -not -path "$system/var/log/*")
    [[ -z $left ]] || {
        echo "$left"
        return 1
    }
}
