"""What the registry counts. No label for an account, a device or a unit."""

from __future__ import annotations

from prometheus_client import Counter

from alerthub.domain.resource_changes import Action
from alerthub.domain.resources import Kind

resources_changed = Counter(
    "alerthub_registry_resources_changed_total", "Resources created or updated.", ["kind", "action"]
)
for _kind in Kind:
    for _action in (Action.CREATE, Action.UPDATE):
        # A counter that begins with its first event hides it from `increase`.
        resources_changed.labels(_kind.value, _action.value)
sign_ins = Counter(
    "alerthub_registry_sign_ins_total",
    "Sign-ins by outcome: accepted, wrong, locked, revoked, unknown, too_often.",
    ["outcome"],
)
enrolments = Counter(
    "alerthub_registry_enrolments_total", "Terminals that asked to be enrolled, by outcome.", ["outcome"]
)
certificates = Counter("alerthub_registry_certificates_total", "Certificates issued.", ["kind"])
revocations = Counter("alerthub_registry_revocations_total", "Identities revoked.", ["kind"])
