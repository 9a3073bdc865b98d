"""Why the hub did what it did: its own sentences for officers and operators, in Chinese and English.

What has no parameter is a `Reason`; what has some is composed by a function. What a person typed is none of
them and stays as it was typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from alerthub.domain.alerts import AssignmentStatus, Status
from alerthub.domain.texts import LocalizedText


class Reason(Enum):
    """A sentence without parameters. Rows and messages of earlier releases hold its English text alone, which
    therefore stays as it is: what is reworded is no longer found by `reason_of`."""

    # Why there is no picture, or nothing to open.
    NO_PICTURE_SENT = LocalizedText("设备未上传图片", "the device sent no picture")
    NOT_SEALED_YET = LocalizedText("图片尚未为该警情封存", "the picture is not sealed for the alert yet")
    PICTURE_EXPIRED = LocalizedText(
        "警情产生时图片已过保存期", "the picture was no longer kept when the alert was raised"
    )
    PICTURE_NOT_OPENED = LocalizedText(
        "图片无法打开，未能为该警情封存", "the picture could not be opened to seal it for the alert"
    )
    PICTURE_ID_WRONG = LocalizedText("图片编号无效", "the picture's id is none")
    PICTURE_LOST = LocalizedText("存储中找不到该警情的图片", "the alert's picture is not in the store")
    PICTURE_NEWER_THAN_BACKUP = LocalizedText(
        "中枢已从备份恢复，备份早于该图片",
        "the hub was restored from a backup that is older than the picture",
    )
    SEALED_NOT_OPENED = LocalizedText(
        "布控服务无法打开封存内容", "the watchlist service could not open what was sealed"
    )
    SEALING_TIMED_OUT = LocalizedText("布控服务未及时应答", "the watchlist service did not answer in time")
    NOTHING_SENT = LocalizedText(
        "设备未读取到内容，也未上传图片", "the device read nothing and sent no picture"
    )
    STILL_SEALING = LocalizedText("证据正在封存", "the evidence is still being sealed")
    EVIDENCE_FORGOTTEN = LocalizedText("证据已过保存期", "the evidence is no longer kept")
    EVIDENCE_NOT_READ = LocalizedText("证据读取失败", "the evidence could not be read")
    DETAILS_NOT_ANSWERED = LocalizedText("布控服务没有应答", "the watchlist service does not answer")
    DETAILS_NOT_OPENED = LocalizedText("布控服务未打开详情", "the watchlist service did not open the details")
    CANARY_HAS_NONE = LocalizedText("金丝雀警情没有详情", "a canary has no details")

    # Why this unit.
    FITS = LocalizedText("该类型单位，当班，辖区内", "of the kind, on shift, serves the jurisdiction")
    DOES_NOT_FIT = LocalizedText("当班，但类型或辖区不符", "on shift, but of another kind or jurisdiction")
    NO_PLACE = LocalizedText("警情无位置信息", "the alert has no place")
    FREE = LocalizedText("空闲", "free")
    NONE_FREE = LocalizedText("无空闲单位", "no unit is free")

    # Why it was cancelled, or is the supervisor's.
    ENTRY_WITHDRAWN = LocalizedText("布控条目已撤销", "the watchlist entry was withdrawn")
    ENTRY_ENDED = LocalizedText("布控条目已失效", "the watchlist entry has ended")
    CANARY_NOT_DELIVERED = LocalizedText("金丝雀警情未送达", "the canary was not delivered")
    NONE_ON_SHIFT = LocalizedText(
        "辖区内无该类型当班单位", "no unit of the kind is on shift in the jurisdiction"
    )
    RESTORED = LocalizedText("中枢已从备份恢复", "the hub was restored from a backup")

    # Why an officer is signed off.
    ACCOUNT_REVOKED = LocalizedText("账号已被吊销", "the account was revoked")
    SHIFT_ENDED = LocalizedText("本班已结束", "the shift has ended")

    # Why what devices send is not evaluated.
    NO_CORRELATOR = LocalizedText("尚无研判进程上报状态", "no correlator has said what it evaluates")
    GATEWAY_SILENT = LocalizedText("有网关静默", "a gateway is silent")


_BY_ENGLISH = {each.value.english: each.value for each in Reason}


def reason_of(english: str) -> LocalizedText:
    """The reason as it was kept. What this release does not know has no Chinese."""
    return _BY_ENGLISH.get(english, LocalizedText(english=english))


def reasons_of(english: Sequence[str], chinese: Sequence[str]) -> tuple[LocalizedText, ...]:
    """Reasons as they were kept, each language by itself. What an earlier release kept has no Chinese."""
    known = chinese if len(chinese) == len(english) else [""] * len(english)
    return tuple(LocalizedText(*pair) for pair in zip(known, english, strict=True))


def nearest_fits(kind: str) -> LocalizedText:
    """The rules chose this unit; `kind` is the name of its kind."""
    return LocalizedText(f"单位类型 {kind}，当班，辖区内", f"kind {kind}, on shift, serves the jurisdiction")


def chosen_by(actor: str) -> LocalizedText:
    """A person chose this unit; `actor` as the audit log names them."""
    return LocalizedText(f"由 {actor.removeprefix('person:')} 指定", f"chosen by {actor}")


def away_by_position(metres: float, age_ms: int) -> LocalizedText:
    """How far the unit is from the alert, by a position that a terminal reported so long ago."""
    kilometres, seconds = _kilometres(metres), age_ms // 1_000
    return LocalizedText(
        f"距离 {kilometres} 公里（按 {seconds} 秒前的位置）",
        f"{kilometres} km away, by its position {seconds} s ago",
    )


def away_by_station(metres: float, maximum_age_ms: int) -> LocalizedText:
    """How far the unit's station is from the alert: no position is younger than `maximum_age_ms`."""
    kilometres, seconds = _kilometres(metres), maximum_age_ms // 1_000
    return LocalizedText(
        f"距离 {kilometres} 公里（{seconds} 秒内无位置，按驻地）",
        f"{kilometres} km away, by its station: no position within {seconds} s",
    )


def in_hand(count: int) -> LocalizedText:
    """How many alerts the unit has in hand or is asked to take."""
    return LocalizedText(f"手头 {count} 起", f"has {count} in hand") if count else Reason.FREE.value


def given_this_shift(count: int) -> LocalizedText:
    """How many alerts the unit was given this shift."""
    return LocalizedText(f"本班 {count} 起", f"{count} alerts this shift")


def before(unit_id: str, *, metres: float, busy: bool, this_shift: int) -> LocalizedText:
    """The next in the order, and why it comes after."""
    kilometres = _kilometres(metres)
    return LocalizedText(
        f"优先于 {unit_id}（{kilometres} 公里，{'忙' if busy else '空闲'}，本班 {this_shift} 起）",
        f"before {unit_id}: {kilometres} km, {'busy' if busy else 'free'}, {this_shift} alerts this shift",
    )


def none_left(asked: int) -> LocalizedText:
    """Every unit that fits was asked, `asked` of them."""
    if not asked:
        return Reason.NONE_ON_SHIFT.value
    return LocalizedText(
        f"已询问 {asked} 个单位，均未接警，无其他合适单位",
        f"{asked} units were asked, none has it, and no other fits",
    )


def canary_lost(maximum_age_ms: int) -> LocalizedText:
    """The hub's own reads have not reached their terminal for longer than this."""
    seconds = maximum_age_ms // 1_000
    return LocalizedText(
        f"金丝雀警情已超过 {seconds} 秒未送达终端", f"no canary has reached its terminal for {seconds} s"
    )


def partitions_silent(count: int, *, of: int) -> LocalizedText:
    """So many partitions of the observations are not evaluated."""
    return LocalizedText(
        f"{of} 个分区中有 {count} 个未被研判", f"{count} of {of} partitions are not being evaluated"
    )


_STATES = {
    "awaiting_confirmation": "等待确认",
    "dispatching": "派警中",
    "accepted": "已接受",
    "escalated": "无人接警",
    "closed": "已办结",
    "rejected": "已驳回",
    "offered": "待接",
    "delivered": "待接",
    "declined": "已拒绝",
    "timed_out": "已超时",
    "superseded": "已由其他单位接替",
    "cancelled": "已撤销",
}


def state_in_chinese(state: Status | AssignmentStatus) -> str:
    """How far an alert, or a unit's part in it, has come."""
    return _STATES[state.value]


def too_late(state: Status | AssignmentStatus) -> LocalizedText:
    """The unit accepted what is over, or is another's, in the meantime."""
    return LocalizedText(f"接受太迟：{state_in_chinese(state)}", f"it came too late: {state.value}")


def assignment_is(state: AssignmentStatus) -> LocalizedText:
    """What the unit answered is about an assignment that is no longer live."""
    return LocalizedText(f"该指派{state_in_chinese(state)}", f"the assignment is {state.value}")


def _kilometres(metres: float) -> str:
    return f"{metres / 1_000:.1f}"
