# shellcheck shell=bash
# DICOM in and out, compared with this checkout. Sourced by prove.
# shellcheck disable=SC2154,SC2034 # system, work, build, root and cases are prove's; home is read by as_user

syntaxes=(uncompressed jpeg-lossless jpeg-ls jpeg-2000)
formats=seg,labelmap,rtstruct,sr,images

# The sample case as DICOM, and what the checkout makes of it.
prepare_dicom() {
    rm -rf "$work/dicom"
    by_sources "$root/packaging/prover/dicom.py" make "${cases[0]}" "$work/dicom" "${syntaxes[@]}"
    by_sources -m kidneyseg segment "$work/dicom/uncompressed" -o "$work/dicom/expected" --format "nifti,$formats" >/dev/null
    cp "$work"/dicom/expected/*_mask.nii.gz "$work/reference_dicom.nii.gz"
}

prove_dicom() {
    local home=/home/reader syntax
    cp -r "$work/dicom" "$system$home/"
    chown -R 1000:1000 "$system$home/dicom"
    for syntax in "${syntaxes[@]}"; do
        check "DICOM, $syntax: kidneyseg segment" as_user kidneyseg segment "$home/dicom/$syntax" -o "$home/mask_$syntax.nii.gz"
        check "its mask equals the checkout's bit for bit" same_mask "mask_$syntax.nii.gz" dicom.nii.gz
    done
    check "DICOM output ($formats)" as_user kidneyseg segment "$home/dicom/uncompressed" -o "$home/objects" --format "$formats"
    check "the objects equal the checkout's but for the time of writing" \
        by_sources "$root/packaging/prover/dicom.py" same "$work/dicom/expected" "$system$home/objects"
    check "serve-dicom, killed once it has a study, sends back the checkout's objects after its next start" serve
}

# The server and its peer, in a network of their own that has nothing but a loopback.
serve() {
    local python=$build/venv/bin/python
    PYTHONPATH=$root/core:$root:$root/tests/helpers PYTHONSAFEPATH=1 unshare --net sh -c 'ip link set lo up && exec "$@"' - \
        "$python" "$root/packaging/prover/dicom.py" serve "$work/dicom/expected" "$work/dicom/uncompressed" "$system"
}
