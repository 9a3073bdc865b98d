#!/usr/bin/env bash
# Runs a command with a container engine: the one that answers, else one of its own that ends with the command.
#
#   tools/container_engine.sh COMMAND [ARGUMENT ...]
#
# The command finds it through DOCKER_HOST. Where no engine is installed, it is through apt, if that is allowed;
# otherwise this says exactly what is missing. What the engine of its own built is kept in the user's cache folder
# ($XDG_CACHE_HOME/alerthub/engine) and may be deleted at any time.
set -euo pipefail

PACKAGES=(docker.io iptables)
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/alerthub/engine"
START_SECONDS=60

say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

install_engine() {
    say "Installing a container engine (${PACKAGES[*]})"
    # Only its daemon and client: nothing that starts by itself.
    if ! command -v apt-get >/dev/null || ! {
        as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}"
    } >/dev/null 2>&1; then
        say "There is no container engine, and none can be installed here. As an administrator, run"
        say "    apt-get install ${PACKAGES[*]}"
        say "or let DOCKER_HOST name an engine that answers (docker version)."
        exit 1
    fi
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if command -v docker >/dev/null && answers; then
    exec "$@"
fi
command -v dockerd >/dev/null && command -v docker >/dev/null && command -v iptables >/dev/null || install_engine
if [ "$(id -u)" != 0 ]; then
    say "No container engine answers, and only an administrator may start one: run"
    say "    systemctl start docker"
    say "and be in the group docker, or let DOCKER_HOST name an engine that answers (docker version)."
    exit 1
fi

# A socket's path is short, and the cache folder's may not be.
RUN="$(mktemp -d /tmp/alerthub-engine.XXXXXX)"
mkdir -p "$CACHE"
# One engine at a time over what it keeps; the kernel gives the lock back however this ends.
exec 9>"$CACHE/../engine.lock"
flock --timeout 600 9 || { say "Another engine has used $CACHE for ten minutes"; exit 75; }

export DOCKER_HOST="unix://$RUN/docker.sock"
dockerd --data-root "$CACHE" --exec-root "$RUN/exec" --pidfile "$RUN/dockerd.pid" \
    -H "$DOCKER_HOST" --storage-driver overlay2 >"$RUN/dockerd.log" 2>&1 9>&- &
ENGINE=$!

end() {
    status=$?
    trap - EXIT
    # shellcheck disable=SC2046 # one word an id
    docker rm --force --volumes $(docker ps --all --quiet) >/dev/null 2>&1 || true
    kill "$ENGINE" 2>/dev/null || true
    wait "$ENGINE" 2>/dev/null || true
    rm -rf "$RUN"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

for ((waited = 0; waited < START_SECONDS * 10; waited++)); do
    if answers; then
        "$@"
        exit
    fi
    kill -0 "$ENGINE" 2>/dev/null || break
    sleep 0.1
done
say "The container engine did not start; the end of its log:"
tail -n 15 "$RUN/dockerd.log" >&2
exit 1
