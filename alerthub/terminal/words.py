"""The terminal program's words, in Chinese and English."""

from __future__ import annotations

from enum import Enum

from alerthub.api.v1.common_pb2 import LocalizedText
from alerthub.domain import texts


class Language(Enum):
    """A language of the office."""

    CHINESE = "zh"
    ENGLISH = "en"

    def other(self) -> Language:
        """The one that is not chosen."""
        return Language.ENGLISH if self is Language.CHINESE else Language.CHINESE

    def of(self, text: LocalizedText | texts.LocalizedText) -> str:
        """`text` in this language, or in the other where this one is empty."""
        return self.choose(chinese=text.chinese, english=text.english)

    def choose(self, *, chinese: str, english: str) -> str:
        """Of the two texts the one in this language, or the other where this one is empty."""
        return (chinese or english) if self is Language.CHINESE else (english or chinese)


_WORDS: dict[str, tuple[str, str]] = {
    "title": ("巡逻终端", "Patrol terminal"),
    "connected": ("已连接", "Connected"),
    "confirmed": ("已连接，显示内容已核实", "Connected: what is shown is confirmed"),
    "unconfirmed": ("与指挥中心失去联系：显示内容未经核实", "Hub lost: what is shown is NO LONGER CONFIRMED"),
    "disconnected": ("连接中断，正在重连", "Connection lost, trying again"),
    "signed_off": ("已被指挥中心签退", "Signed off by the hub"),
    "refused": ("指挥中心拒绝此终端或账号", "The hub refuses this terminal or account"),
    "no_alerts": ("没有警情", "No alerts"),
    "severity": ("级别", "Severity"),
    "what": ("警情", "Alert"),
    "state": ("状态", "State"),
    "sightings": ("次数", "Seen"),
    "instruction": ("处置要求", "Instruction"),
    "identifier": ("号牌/证件", "Plate or document"),
    "vehicle": ("车辆", "Vehicle"),
    "case": ("案号", "Case"),
    "contact": ("办案单位（24 小时）", "Authority, any hour"),
    "where": ("位置", "Place"),
    "heading": ("方向", "Heading"),
    "read_age": ("识别距今", "Age of the read"),
    "seconds": ("秒", "s"),
    "clock_uncertainty": ("时钟误差", "Clock uncertainty"),
    "picture": ("照片", "Picture"),
    "without_details": ("暂无详情", "No details"),
    "accept": ("接受", "Accept"),
    "decline": ("拒绝", "Decline"),
    "outcome": ("结果", "Outcome"),
    "language": ("English", "中文"),
    "quit": ("退出", "Quit"),
    "why_declined": ("为何不能前往？", "Why can you not take it?"),
    "which_outcome": ("结果如何？按 1-5，Esc 取消", "What was found? Press 1 to 5, Esc to go back"),
    "answered_done": ("已记录", "Recorded"),
    "answered_superseded": ("其他单位已接警", "Another unit has it"),
    "answered_refused": ("未被接受", "Not accepted"),
    "removed_cancelled": ("已撤销", "Cancelled"),
    "removed_closed": ("已结束", "Closed"),
    "removed_rejected": ("已否决", "Rejected"),
    "removed_not_ours": ("已转其他单位", "Another unit has it now"),
    "removed_no_longer_open": ("已不在处理中", "No longer open"),
    "SEVERITY_INFORMATION": ("提示", "Information"),
    "SEVERITY_MINOR": ("一般", "Minor"),
    "SEVERITY_MAJOR": ("重要", "Major"),
    "SEVERITY_CRITICAL": ("紧急", "Critical"),
    "ASSIGNMENT_STATUS_OFFERED": ("待接", "To answer"),
    "ASSIGNMENT_STATUS_DELIVERED": ("待接", "To answer"),
    "ASSIGNMENT_STATUS_ACCEPTED": ("已接", "Accepted"),
    "ASSIGNMENT_STATUS_DECLINED": ("已拒", "Declined"),
    "ASSIGNMENT_STATUS_TIMED_OUT": ("超时", "Timed out"),
    "ASSIGNMENT_STATUS_SUPERSEDED": ("他人已接", "Superseded"),
    "ASSIGNMENT_STATUS_CANCELLED": ("已撤销", "Cancelled"),
    "OUTCOME_FOUND": ("找到", "Found"),
    "OUTCOME_MISREAD": ("识别错误", "Misread"),
    "OUTCOME_ENTRY_WRONG": ("布控信息有误", "Entry wrong"),
    "OUTCOME_NOT_FOUND": ("未找到", "Not found"),
    "OUTCOME_OTHER": ("其他", "Other"),
    "DIRECTION_APPROACHING": ("驶近", "Approaching"),
    "DIRECTION_DEPARTING": ("驶离", "Departing"),
}


def word(name: str, language: Language) -> str:
    """The word `name` in `language`; the name itself where the program knows no word for it."""
    pair = _WORDS.get(name)
    if pair is None:
        return name
    return pair[0] if language is Language.CHINESE else pair[1]
