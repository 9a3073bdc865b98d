"""Tells the operations office of records that Kafka deleted before they were read (C15).

It does so by the ordinary way, an `AlertRaised` of a rule of the hub's own, so that the alert is folded,
audited, shown and ended as any other. No unit is ever sent for it, and it names nobody.
"""

from __future__ import annotations

from alerthub.api.v1 import common_pb2, observation_pb2
from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.domain.rules.interface import raised_id

RULE_ID = "hub:records-lost"
"""No rule of the registry can have it: ids hold no colon there."""
UNIT_KIND = "nobody: an alert for the operations office"
"""No unit is of it: the registry's kinds have at most 40 characters. Whoever confirms such an alert has it
with the supervisor at once."""


def raised(*, topic: str, partition: int, committed: int, start: int, time_ms: int) -> AlertRaised:
    """The alert that the records from `committed` up to `start`, where the log begins now, were lost.

    Whoever tells of the same records makes the same id. A further loss of the same partition joins the alert
    while it is open.
    """
    subject = f"{topic}:{partition}"
    count = start - committed
    which = raised_id(RULE_ID, subject, f"{committed}:{start}".encode())
    return AlertRaised(
        raised_id=which,
        rule_id=RULE_ID,
        rule_version=1,
        fold_key=f"rule:{RULE_ID}:{subject}",
        severity=common_pb2.SEVERITY_CRITICAL,
        # Somebody at the office looks at it; until then it is overdue and told to the supervisor.
        policy=common_pb2.DISPATCH_POLICY_CONFIRM_FIRST,
        unit_kind=UNIT_KIND,
        officer_text=common_pb2.LocalizedText(
            chinese=f"Kafka 在处理之前删除了 {topic} 分区 {partition} 的 {count} 条记录:其中的观测未经比对",
            english=f"Kafka deleted {count} records of {topic}, partition {partition}, before they were"
            " processed: what was in them was never checked",
        ),
        observation=observation_pb2.Observation(observation_id=which, received_time_ms=time_ms),
        correlated_time_ms=time_ms,
    )
