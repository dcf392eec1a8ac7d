# shellcheck shell=bash
# Set-up shared by ./run and ./check: system libraries, .venv, pinned packages, the project itself.
#
# The caller sets `root` (the checkout) and calls `set_up run`, `set_up torch` (run with torch) or `set_up check` (torch
# and the development tools). A finished set-up leaves a stamp in .venv; while the stamp matches, set_up returns after a
# few milliseconds without starting Python or pip.
# shellcheck disable=SC2154 # root is the caller's; python and venv_package are set_up's

venv=$root/.venv
state=$root/.setup # log, lock and scratch space: outside .venv, which may be rebuilt
log=$state/setup.log
build_log=$state/build.log
watcher=
builder=
PATH=$PATH:/usr/sbin:/sbin # ldconfig; Debian leaves these out for ordinary users

# shellcheck source=packaging/system.sh
source "$root/packaging/system.sh"

say() { printf '%s\n' "$*" >&2; }

die() {
    trap - EXIT
    stop_children
    say "$(basename -- "$0"): $*"
    exit 2
}

# What reports, and what is built beside the download, with the compilers that it has started.
stop_children() {
    [[ ! $watcher ]] || kill "$watcher" 2>/dev/null || true
    [[ ! $builder ]] || kill -- "-$builder" 2>/dev/null || true
}

# A hash of everything that makes an existing .venv outdated when it changes: the pins, the kernel sources, the
# interpreter, the location of the checkout (scripts and the editable install contain absolute paths), and g++.
setup_key() {
    {
        printf '%s\n' "$root" "$(command -v g++)"
        readlink -f "$venv/bin/python"
        cat "$root"/{pyproject.toml,setup.py,packaging/{constraints.txt,setup.sh}} "$root"/core/kidneyseg/sparse/*.{cpp,h} || true
    } 2>/dev/null | sha256sum
}

is_set_up() { # run|torch|check
    [[ -x $venv/bin/python && -f $venv/$1.stamp && $(<"$venv/$1.stamp") == "$(setup_key)" ]]
}

pick_python() {
    local candidate version seen=
    for candidate in python3 python3.13 python3.12 python3.11; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case $version in
        3.11 | 3.12 | 3.13)
            python=$(command -v "$candidate")
            venv_package=$candidate-venv
            return
            ;;
        esac
        seen=${seen:-$version}
    done
    [[ $seen ]] && die "python3 here is Python $seen; KidneySeg needs 3.11, 3.12 or 3.13. Install one of them beside it."
    die "no python3 found; KidneySeg needs Python 3.11, 3.12 or 3.13: sudo apt-get install -y python3 python3-venv"
}

# Reports what a long command in the foreground is doing, from its output in the log. On a terminal, one line is
# rewritten every second; elsewhere (CI), a line is added when something changed, at most every 15 s.
follow_log() { # what is done
    local started=$SECONDS told=$SECONDS news before="" said
    said=$(wc -c <"$log") # by the commands before this one
    # A sleep that outlives this loop must not keep the caller's pipes open, and the loop must not outlive the caller.
    while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        news=$(tail -c "+$((said + 1))" "$log" | tail -n 60 | sed -nE \
            -e 's/^ *Downloading ([A-Za-z0-9_.]+)-[^ ]*( \(.*\))?$/downloading \1\2/p' \
            -e 's/^ *Using cached ([A-Za-z0-9_.]+)-[^ ]*( \(.*\))?$/reading \1\2/p' \
            -e 's/^Installing collected packages.*/unpacking/p' \
            -e 's/^Get:[0-9]+ [^ ]+ [^ ]+ [^ ]+ ([a-z][^ ]+).*/downloading \1/p' \
            -e 's/^(Unpacking|Setting up) ([^ :]+).*/installing \2/p' | tail -n 1)
        if [[ -t 2 ]]; then
            printf '\r\033[K    %s, %d s' "${news:-$1}" $((SECONDS - started)) >&2
        elif [[ ${news:=$1} != "$before" ]] && ((SECONDS - told >= 15)); then
            say "    $news, $((SECONDS - started)) s"
            before=$news told=$SECONDS
        fi
    done
}

# Runs a command in the foreground (so that Ctrl-C reaches it) and reports meanwhile.
watched() { # what is done, command...
    local status=0 reports
    exec {reports}< <(trap - EXIT INT TERM; exec 9>&-; echo; follow_log "$1")
    watcher=$!
    read -ru "$reports" # it may be ended: bash has taken the traps from it
    "${@:2}" || status=$?
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null || true
    watcher=
    exec {reports}<&-
    [[ -t 2 ]] && printf '\r\033[K' >&2
    return "$status"
}

# The same, with the command's output in the log.
logged() { # what is done, command...
    printf '\n$ %s\n' "${*:2}" >>"$log"
    watched "$1" into_log "${@:2}"
}

into_log() { # command...
    "$@" >>"$log" 2>&1 </dev/null
}

# One sentence for a failed command, from its output.
why_it_failed() {
    local output last
    output=$(tail -n 200 "$log")
    if grep -qiE 'no space left on device|errno 28' <<<"$output"; then
        echo "the disk is full; free some space"
    elif grep -qE 'CERTIFICATE_VERIFY_FAILED|SSLError' <<<"$output"; then
        echo "the package index's certificate was not accepted; set PIP_CERT to your network's certificate file"
    elif grep -qiE 'NewConnectionError|name resolution|could not resolve|network is unreachable|timed out|timeout|ProxyError|connection (refused|reset|broken)|RemoteDisconnected' <<<"$output"; then
        echo "no connection to the package index; check the network and the proxy settings"
    else
        last=$(grep -E '^(ERROR|E): |[Ee]rror: ' <<<"$output" | tail -n 1)
        echo "${last:-the log says more}"
    fi
}

# The scratch space is on the disk that was measured, not on a small tmpfs; PIP_USER fails in a venv. Compiling would take
# half as long as the rest: see compile_packages. What pip reads of all packages to warn of conflicts, another pip may be writing.
pip_command=(env "TMPDIR=$state/tmp" PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install
    --no-input --no-compile --no-warn-conflicts --retries 2 --constraint "$root/packaging/constraints.txt")

pip_install() { # what is done, arguments of pip install...
    logged "$1" "${pip_command[@]}" "${@:2}" || failed "$1"
}

failed() { # what was done
    die "$1 failed: $(why_it_failed), then start again. Log: $log"
}

# An interrupted pip can leave a half-written package that counts as installed: such a .venv is recreated, not repaired.
# So is a .venv of another interpreter or another location.
venv_fits() {
    [[ ! -e $state/unfinished ]] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        [[ ! -f $venv/home.stamp || $(<"$venv/home.stamp") == "$(venv_home)" ]]
}

venv_home() { printf '%s %s\n' "$root" "$(readlink -f "$venv/bin/python")"; }

make_venv() { # run|torch|check
    local free needed=2048 remark='' about="about 340 MB of Python packages; this takes a minute or two"
    if [[ $1 != run ]]; then
        needed=4096 remark=" (12 GB for torch's GPU build)"
        about="about 600 MB of Python packages (3.1 GB where pip takes torch's GPU build); this takes some minutes"
    fi
    rm -rf "$venv"
    free=$(($(df -Pk "$root" | awk 'NR == 2 {print $4}') / 1024))
    ((free >= needed)) ||
        die "the disk of $root has $free MB free and the set-up needs $needed MB$remark; free some space, then start again."
    touch "$state/unfinished"
    say "  Making the Python environment in .venv ..."
    logged "Making .venv" "$python" -m venv "$venv" || failed "Making .venv"
    venv_home >"$venv/home.stamp"
    rm "$state/unfinished"
    say "  Next: $about."
}

requirements() { # build|run|torch|check
    "$venv/bin/python" - "$root/pyproject.toml" "$1" <<'PYTHON'
import sys, tomllib

project = tomllib.load(open(sys.argv[1], "rb"))
wanted = project["build-system"]["requires"]
if sys.argv[2] != "build":
    wanted += project["project"]["dependencies"]
extra = {"torch": "gpu", "check": "dev"}.get(sys.argv[2])
if extra:
    wanted += project["project"]["optional-dependencies"][extra]
print(*wanted, sep="\n")
PYTHON
}

# Installs the project in the background, which takes as long as compiling its kernels. It writes other files of .venv than
# the pip that installs the packages. In a process group of its own, for stop_children.
start_building() {
    # No build isolation: it would download the build tools a second time.
    local command=("${pip_command[@]}" --no-deps --no-build-isolation --editable "$root")
    printf '\n$ %s\n' "${command[*]}" >"$build_log"
    set -m
    "${command[@]}" >>"$build_log" 2>&1 </dev/null 9>&- &
    builder=$!
    set +m
}

finish_building() {
    local status=0
    ! kill -0 "$builder" 2>/dev/null || say "  Building the kernels and installing KidneySeg ..."
    watched "Installing KidneySeg" wait "$builder" || status=$?
    builder=
    cat "$build_log" >>"$log"
    ((status == 0)) || failed "Installing KidneySeg"
}

install_everything() { # run|torch|check
    local wanted=$state/requirements.txt stamp
    requirements "$1" >"$wanted"
    stamp=$(cat "$wanted" "$root/packaging/constraints.txt" | sha256sum)
    if [[ -f $venv/packages.$1.stamp && $(<"$venv/packages.$1.stamp") == "$stamp" ]]; then
        start_building
        finish_building
        return
    fi
    say "  Installing Python packages, and building the kernels meanwhile ..."
    touch "$state/unfinished"
    requirements build >"$state/build-requirements.txt"
    pip_install "Installing the build tools" --requirement "$state/build-requirements.txt"
    start_building
    pip_install "Installing the packages" --requirement "$wanted"
    finish_building
    printf '%s\n' "$stamp" >"$venv/packages.$1.stamp"
    rm "$state/unfinished"
}

# Beside the first start, which works without.
compile_packages() {
    nice -n 19 "$venv/bin/python" -m compileall -q "$venv"/lib*/python*/site-packages >/dev/null 2>&1 </dev/null 9>&- &
}

set_up() { # run|torch|check
    is_set_up "$1" && return
    local mode=$1
    unset PYTHONPATH PYTHONHOME
    mkdir -p "$state/tmp" 2>/dev/null || die "cannot write in $root; KidneySeg is set up in its own folder."
    exec 9>"$state/lock"
    if ! flock -n 9; then
        say "Another set-up is running in this folder; waiting for it ..."
        flock 9
        is_set_up "$1" && exec 9>&- && return
    fi
    local started=$SECONDS python=$venv/bin/python venv_package=python3-venv new=0 key
    : >"$log"
    say "Setting up KidneySeg in $root (once; log: .setup/setup.log)"
    trap 'stop_children; say "set-up stopped unexpectedly. Log: $log"' EXIT
    trap 'say ""; die "set-up stopped; the next start takes it up again."' INT TERM
    if ! venv_fits; then
        new=1
        pick_python
    fi
    install_system_packages "$mode"
    # Without a compiler there are no native kernels, and torch runs the networks.
    [[ $mode != run ]] || command -v g++ >/dev/null || mode=torch
    ((new == 0)) || make_venv "$mode"
    key=$(setup_key) # what is installed now: a file that changes meanwhile makes the next start set up again
    install_everything "$mode"
    local finished
    for finished in run torch check; do
        printf '%s\n' "$key" >"$venv/$finished.stamp"
        [[ $finished != "$mode" ]] || break
    done
    rm -rf "$state/tmp"
    compile_packages
    trap - EXIT INT TERM
    exec 9>&-
    say "Set up in $((SECONDS - started)) s."
}
