"""What an operator compares with the evidence before an alert is confirmed (refusal 6).

The list follows from the kind of the alert: an alert that sends people to somebody is not confirmed by one
click. Texts are the office's, in Chinese and English.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerthub.domain.denials import Denial, not_ticked
from alerthub.domain.errors import Refuse


@dataclass(frozen=True, slots=True)
class Subject:
    """What is confirmed. `kind`: watchlist_hit, dwell, direct_call, cloned_plate, or other."""

    kind: str
    names_person: bool
    has_picture: bool
    weakly_authenticated: bool
    """A device of it proves itself by a URL or by its address alone (S3)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the list. `item` is its name, which a confirmation repeats."""

    item: str
    chinese: str
    english: str


_OPENED = Item("opened", "已打开并查看证据", "The evidence was opened and looked at")
_READ_MATCHES = Item(
    "read_matches", "图片中的号码与读取结果一致", "The picture shows the same number as was read"
)
_LOOKS_MATCH = Item("looks_match", "车辆颜色、品牌与布控信息一致", "Colour and make are those of the entry")
_NO_PICTURE = Item(
    "no_picture", "没有图片：已通过其他途径核实", "There is no picture: verified in another way"
)
_PERSON = Item(
    "person",
    "涉及人员：已阅读处置说明和法律依据，签发机关联系人可随时联系",
    "It names a person: the instruction was read, and the issuing authority's contact can be reached",
)
_WEAK_DEVICE = Item(
    "weak_device",
    "设备认证较弱：已排除伪造读取的可能",
    "The device proves itself weakly: a forged read was considered and ruled out",
)
_STILL_THERE = Item(
    "still_there",
    "车辆停放在该区域内且时间超过规定",
    "The vehicle stands inside the zone, longer than allowed",
)
_BOTH_PLACES = Item(
    "both_places",
    "两处读取均已核对：同一号码，一辆车不可能按时到达",
    "Both reads were compared: the same number, and no vehicle gets from one place to the other in time",
)
_CALLER = Item("caller", "已尝试与呼叫者联系", "Contact with the caller was tried")
_PLAUSIBLE = Item("plausible", "时间、地点和设备状态合理", "Time, place and the device's state are plausible")


def checklist(subject: Subject) -> tuple[Item, ...]:
    """The items for this alert; never empty, each once."""
    match subject.kind:
        case "watchlist_hit":
            items = [_OPENED]
            items += [_READ_MATCHES, _LOOKS_MATCH] if subject.has_picture else [_NO_PICTURE]
        case "dwell":
            items = [_STILL_THERE] if subject.has_picture else [_NO_PICTURE, _STILL_THERE]
        case "cloned_plate":
            items = [_OPENED, _READ_MATCHES if subject.has_picture else _NO_PICTURE, _BOTH_PLACES]
        case "direct_call":
            items = [_CALLER]
        case _:
            items = []
    items.append(_PLAUSIBLE)
    if subject.names_person:
        items.append(_PERSON)
    if subject.weakly_authenticated:
        items.append(_WEAK_DEVICE)
    return tuple(items)


def check_ticked(subject: Subject, ticked: Iterable[str]) -> tuple[Item, ...]:
    """The items, all of which are ticked. Refuses where one is not, or one is ticked that is not on the list:
    the list has then changed since it was shown."""
    items = checklist(subject)
    names = set(ticked)
    missing = [each for each in items if each.item not in names]
    if missing:
        raise Refuse(
            "checklist", not_ticked([each.item for each in missing], [each.chinese for each in missing])
        )
    if names - {each.item for each in items}:
        raise Refuse("checklist", Denial.CHECKLIST_CHANGED.value)
    return items
