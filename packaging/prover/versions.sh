# shellcheck shell=bash
# Another version of the program: before an update, after going back, and beside this one. Sourced by prove.
# shellcheck disable=SC2154,SC2034 # system, work, deb, dist, older and cases are prove's; home is read by as_user and window

older_version=0.0.1

# The installers of an earlier build, or these, under an older version's number. What is inside stays as it was built.
prepare_older() {
    local from=${older:-$dist} tree=$work/older
    rm -rf "$tree" "$work/older-run"
    dpkg-deb -R "$(newest_in "$from" 'kidneyseg_*_amd64.deb')" "$tree"
    sed -i "s/^Version: .*/Version: $older_version/" "$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone -b "$tree" "$work/older.deb" >/dev/null
    rm -rf "$tree"
    sh "$(newest_in "$from" 'kidneyseg-*-x86_64.run')" --quiet --noexec --target "$work/older-run" >/dev/null
    sed -i "s/^version=.*/version='$older_version'/" "$work/older-run/setup"
    chmod -R a+rX "$work/older-run"
}

prove_versions() {
    prepare_older
    cp "$deb" "$system/tmp/kidneyseg.deb"
    cp "$work/older.deb" "$system/tmp/"
    cp -r "$work/older-run" "$system/tmp/"
    prove_update
    prove_beside
    rm -rf "$system"/tmp/{kidneyseg.deb,older.deb,older-run}
}

# A new home with a CT, and with options that are not those of a first start.
furnish() { # home
    local options=$system$1/.config/KidneySeg/KidneySeg.conf
    mkdir -p "$(dirname "$options")"
    printf '%s\n' '[case]' 'device="\"cpu\""' 'window="[50.0, 300.0]"' >"$options"
    cp "${cases[0]}" "$system$1/ct.nii.gz"
    chown -R 1000:1000 "$system$1"
    chmod -R u+rwX,a+rX "$system$1"
}

options_are_kept() {
    local options=$system$home/.config/KidneySeg/KidneySeg.conf
    grep -q '^device=.*cpu' "$options" && grep -q '^window=.*50.*300' "$options" && grep -q '^recent=.*ct\.nii\.gz' "$options"
}

autosaved() { # at least how many
    local files=("$system$home"/.local/state/kidneyseg/autosave/*.autosave)
    [[ -e ${files[0]} ]] && ((${#files[@]} >= $1)) && echo "${#files[@]}"
}

same_content() { # two compressed files
    cmp <(gunzip -c "$1") <(gunzip -c "$2")
}

prove_update() {
    local home=/home/reader/update
    furnish "$home"
    check "an older version: apt-get install" apt_inside install -y --no-install-recommends --allow-downgrades /tmp/older.deb
    check "it segments" as_user kidneyseg segment "$home/ct.nii.gz" -o "$home/older.nii.gz"
    check "its window is ended with a mask that was not saved" window --segment --terminate -- kidneyseg-gui "$home/ct.nii.gz"
    check "the case is autosaved" autosaved 1
    check "the update: apt-get install" apt_inside install -y --no-install-recommends /tmp/kidneyseg.deb
    check "the window recovers the case and exports its mask" window --recover --export "$system$home/recovered.nii.gz" -- kidneyseg-gui
    check "which equals the older version's bit for bit" same_content "$system$home/recovered.nii.gz" "$system$home/older.nii.gz"
    check "options and recent files are kept" options_are_kept
    check "the window is ended with a mask that was not saved" window --segment --terminate -- kidneyseg-gui "$home/ct.nii.gz"
    check "back to the older version: apt-get install" apt_inside install -y --allow-downgrades /tmp/older.deb
    check "its window opens" window -- kidneyseg-gui
    check "options and recent files are kept" options_are_kept
    check "and so is the autosaved case" autosaved 1
    check "the update again: apt-get install" apt_inside install -y --no-install-recommends /tmp/kidneyseg.deb
}

# The .deb in /opt, and the .run of the older version in the user's home. Options are the user's, and so of both.
prove_beside() {
    local home=/home/reader/beside own=/home/reader/beside/.local/opt/kidneyseg-$older_version
    furnish "$home"
    cp "$system$home/ct.nii.gz" "$system$home/second.nii.gz" && chown 1000:1000 "$system$home/second.nii.gz"
    check "the .run of an older version beside the .deb" as_user sh /tmp/older-run/setup install
    check "the user's menu entry starts that" grep -qF "Exec=\"$own/kidneyseg-gui\" %f" "$system$home/.local/share/applications/kidneyseg.desktop"
    check "the system's starts the .deb's" grep -qx 'Exec=kidneyseg-gui %f' "$system/usr/share/applications/kidneyseg.desktop"
    check "the user's command segments" as_user "$home/.local/bin/kidneyseg" segment "$home/ct.nii.gz" -o "$home/older.nii.gz"
    check "its mask equals the older version's" same_content "$system$home/older.nii.gz" "$system/home/reader/update/older.nii.gz"
    check "the system's command segments" as_user kidneyseg segment "$home/ct.nii.gz" -o "$home/newer.nii.gz"
    check "its mask equals the checkout's bit for bit" same_mask beside/newer.nii.gz "${cases[0]}"
    check "the user's window loads its own files alone, and leaves a mask that was not saved" \
        window --within "$system$own" --segment --terminate -- "$home/.local/bin/kidneyseg-gui" "$home/ct.nii.gz"
    check "the system's likewise" window --within "$system/opt/kidneyseg" --segment --terminate -- kidneyseg-gui "$home/second.nii.gz"
    check "both cases are autosaved" autosaved 2
    check "the older one is uninstalled" as_user "$own/setup" uninstall
    check "its menu entry went with it" test ! -e "$system$home/.local/share/applications/kidneyseg.desktop"
    check "options, recent files are kept" options_are_kept
    check "and so are the autosaved cases" autosaved 2
    check "the system's window opens" window --within "$system/opt/kidneyseg" -- kidneyseg-gui
}
