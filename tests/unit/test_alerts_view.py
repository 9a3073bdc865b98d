"""`alerthub alerts` says in Chinese and English why the hub did something."""

from __future__ import annotations

import json

import pytest

from alerthub.api.v1 import alert_pb2
from alerthub.cli.alerts_view import print_alert, print_event

ALERT = alert_pb2.Alert(
    alert_id="a1",
    status=alert_pb2.ALERT_STATUS_CANCELLED,
    cancelled_reason="the watchlist entry was withdrawn",
    cancelled_reason_chinese="布控条目已撤销",
    sightings=[
        alert_pb2.Sighting(picture_missing_reason="no picture", picture_missing_reason_chinese="未上传图片")
    ],
    assignments=[alert_pb2.Assignment(unit_id="u1", reasons=["free"], reasons_chinese=["空闲"])],
)
ESCALATED = alert_pb2.AlertEvent(
    kind=alert_pb2.ALERT_EVENT_KIND_ESCALATED,
    alert=ALERT,
    reason="2 units were asked, and no other fits",
    reason_chinese="已询问 2 个单位，无其他合适单位",
)


def test_an_alert_is_shown_with_its_reasons_in_both_languages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    print_alert(
        alert_pb2.GetAlertResponse(
            alert=ALERT, sealed_missing_reason="no longer kept", sealed_missing_reason_chinese="已过保存期"
        )
    )

    shown = capsys.readouterr().out
    for text in (
        "布控条目已撤销 / the watchlist entry was withdrawn",
        "未上传图片 / no picture",
        "空闲 / free",
        "已过保存期 / no longer kept",
    ):
        assert text in shown


def test_an_event_says_why_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    print_event(ESCALATED, as_json=False)
    assert "已询问 2 个单位，无其他合适单位 / 2 units were asked" in capsys.readouterr().out


def test_a_machine_gets_each_language_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    print_event(ESCALATED, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["reason"], told["reason_chinese"]) == (ESCALATED.reason, ESCALATED.reason_chinese)
    assert told["alert"]["cancelled_reason_chinese"] == "布控条目已撤销"


def test_what_somebody_typed_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    typed = alert_pb2.AlertEvent(
        kind=alert_pb2.ALERT_EVENT_KIND_REJECTED, alert=ALERT, reason="another colour"
    )
    print_event(typed, as_json=False)
    assert capsys.readouterr().out.rstrip().endswith("  another colour")
