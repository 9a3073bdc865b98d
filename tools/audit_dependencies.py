"""Looks up known vulnerabilities of what the lock files name: pip-audit and npm audit.

Exit 1 when one is known. Where the advisory services do not answer, says plainly what was not looked up: a
network that cannot ask is no finding, and no clean bill either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_findings() -> tuple[list[str], str]:
    """Known vulnerabilities of the installed packages, and what could not be looked up (empty: nothing)."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--skip-editable",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    try:
        dependencies = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], "Python packages: pip-audit got no answer"
    findings = [
        f"{dependency['name']} {dependency['version']}: {finding['id']}"
        for dependency in dependencies
        for finding in dependency.get("vulns", [])
    ]
    skipped = sum("skip_reason" in dependency for dependency in dependencies)
    return findings, f"{skipped} of {len(dependencies)} Python packages" if skipped > 1 else ""


def node_findings(folder: Path) -> tuple[list[str], str]:
    """The same for the npm lock file in `folder`."""
    result = subprocess.run(
        ["npm", "audit", "--json"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    try:
        vulnerabilities = json.loads(result.stdout)["vulnerabilities"]
    except (ValueError, KeyError):
        return [], f"npm packages of {folder.name}"
    return [f"{name}: {finding['severity']}" for name, finding in vulnerabilities.items()], ""


def main() -> None:
    findings: list[str] = []
    for found, not_asked in (
        python_findings(),
        node_findings(ROOT / "tools" / "buf"),
        node_findings(ROOT / "services" / "console" / "web"),
    ):
        findings += found
        if not_asked:
            print(f"NOT AUDITED, the advisory service did not answer: {not_asked}", file=sys.stderr)
    if findings:
        sys.exit("Known vulnerabilities:\n  " + "\n  ".join(findings))
    print("No known vulnerability in what was looked up.")


if __name__ == "__main__":
    main()
