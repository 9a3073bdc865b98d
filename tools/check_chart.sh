#!/usr/bin/env bash
# Lints the chart with each of its values, and holds what it renders against Kubernetes's own schemas: of the oldest
# version that it is for, and of the newest that is known.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=.venv/bin/helm
if [ ! -x $helm ]; then
    helm=$(command -v helm) || { echo "helm is not installed: see https://helm.sh/docs/intro/install"; exit 1; }
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for values in charts/alerthub/ci/*.yaml; do
    "$helm" lint --strict --quiet charts/alerthub --values "$values" >"$folder/said" 2>&1 \
        && "$helm" template alerthub charts/alerthub --values "$values" 2>"$folder/said" >"$folder/rendered.yaml" \
        || { echo "$values:"; cat "$folder/said"; exit 1; }
    for version in 1.29 1.37; do
        # Warned of are kinds that Kubernetes does not have by itself; tests/contract/test_chart_manifests.py knows all of them.
        .venv/bin/kubernetes-validate --strict --quiet --no-warn --kubernetes-version "$version" "$folder/rendered.yaml"
    done
done
