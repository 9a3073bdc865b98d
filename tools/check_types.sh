#!/usr/bin/env bash
# Checks the types of everything: of the packages, and of each folder whose modules import each other by name alone.
# The same names occur in several of those, so each is a run of its own. Fails after all of them when any does.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

# check ROOTS FILE_OR_FOLDER ... [OPTION ...]: beside its own folder's, modules are found by name alone in ROOTS.
check() {
    local roots=$1
    shift
    echo "mypy $*"
    MYPYPATH=$roots .venv/bin/mypy --no-explicit-package-bases "$@" || failed=1
}

echo mypy
.venv/bin/mypy || failed=1
check "" benchmarks
check "" acceptance
check tests/contract tools
check "" tests/*.py
check tests tests/unit
check tests:tests/unit:tools tests/contract
check tests:tests/contract:tools tests/chart
check tests tests/e2e
check tests:tests/unit:tests/contract tests/integration --exclude '^tests/integration/(core_service|whole_hub)/'
check "" tests/integration/core_service
check tests tests/integration/whole_hub
exit "$failed"
