"""Why the hub does not do what an operator or officer asks: its sentences in Chinese and English.

What has no parameter is a `Denial`; what has some is composed by a function. Logs, statuses and problem
details have the English sentence, which follows the rule of errors: it says what would be accepted, or what
the state is. The Chinese one stands alone, without the name of a field. Neither holds the refused value.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from alerthub.domain.alerts import Status
from alerthub.domain.reasons import state_in_chinese
from alerthub.domain.texts import ROLES_IN_CHINESE, LocalizedText


class Denial(Enum):
    """A sentence without parameters."""

    # Nothing is wrong with what was asked.
    INTERNAL = LocalizedText("内部错误", "an internal error")
    NOT_ANSWERED = LocalizedText("服务没有应答", "the service does not answer")
    NOT_SERVED = LocalizedText("此处不提供该服务", "not served here")
    DATABASE_SILENT = LocalizedText("数据库没有应答", "the database does not answer")
    DATABASE_ASKS_AGAIN = LocalizedText(
        "数据库没有应答，或要求重试", "the database did not answer, or asked to try again"
    )

    # Who asks.
    SIGN_IN_WRONG = LocalizedText(
        "账号或密码错误，或账号已锁定或吊销",
        "the account or the password is wrong, or the account is locked or revoked",
    )
    SIGN_IN_TOO_OFTEN = LocalizedText(
        "该地址登录失败次数过多，请稍后再试", "too many failed sign-ins from this address"
    )
    SIGN_IN_CROWDED = LocalizedText("当前登录人数过多，请稍后再试", "too many sign in at the moment")
    DESKS_FULL = LocalizedText("此处登录人数已满，请稍后再试", "too many people are signed in here")
    SESSION_OVER = LocalizedText(
        "会话不存在或已结束：请重新登录", "there is no such session, or it has ended: sign in again"
    )
    NO_SESSION = LocalizedText(
        "请登录：没有会话，或会话已结束", "sign in: there is no session, or it has ended"
    )
    SESSION_ENDED_BY_REGISTRY = LocalizedText(
        "登记服务已结束会话：请重新登录", "the registry ended the session: sign in again"
    )
    SESSION_REVOKED = LocalizedText(
        "账号已被吊销，或其角色已变更：请重新登录",
        "the account was revoked or its roles were changed: sign in again",
    )
    SESSION_IDLE = LocalizedText(
        "席位无人值守，或会话已到期：请重新登录",
        "nobody was at the desk, or the session has run its time: sign in again",
    )
    SIGNED_OUT = LocalizedText("已退出", "signed out")
    IDENTITY_REVOKED = LocalizedText("该身份已被吊销", "this identity was revoked")
    CERTIFICATE_NEEDED = LocalizedText(
        "需要中枢签发的证书", "this listener needs a client certificate of the hub's authority"
    )
    TOKEN_NEEDED = LocalizedText(
        "需要令牌：请先登录", "a signed token is needed: sign in, then send it as a bearer token"
    )
    TOKEN_EXPIRED = LocalizedText("令牌已过期：请重新登录", "the token has expired: sign in again")
    TOKEN_NOT_RENEWED = LocalizedText("令牌已过期，未及时续期", "the token has expired: renew it in time")
    TOKEN_TOO_LONG = LocalizedText("令牌过长", "the token is longer than any that the registry gives")
    TOKEN_NOT_SIGNED = LocalizedText(
        "令牌不是登记服务签发的", "the token is not one that the registry signed"
    )
    TOKEN_LIVES_TOO_LONG = LocalizedText(
        "令牌有效期超过五分钟", "the token claims to live longer than five minutes"
    )
    TOKEN_OF_ANOTHER = LocalizedText(
        "令牌属于另一名警员：请重新登录", "the token is another officer's: sign on anew"
    )
    PERSON_SIGNED_IN = LocalizedText("须由已登录的人员操作", "a person, signed in")
    NAMED_PERSON = LocalizedText("须由具名人员操作", "a named person")
    OTHER_ORIGIN = LocalizedText("请求不是来自本控制台", "Origin: expected the origin of this console")
    BODY_TOO_LARGE = LocalizedText("请求内容过大", "the body is too large")
    REQUEST_MALFORMED = LocalizedText(
        "请求不符合接口规定", "the request is not as the interface describes it"
    )

    # A new password.
    PASSWORD_AS_BEFORE = LocalizedText("新密码不得与现用密码相同", "another than the password of now")
    PASSWORD_GUESSED = LocalizedText(
        "新密码不得包含账号名，且至少含 5 个不同字符",
        "without the account's name, and at least 5 different characters",
    )

    # The alert and its evidence.
    NO_ALERT = LocalizedText("该警情不存在", "an alert that exists")
    NOT_CONFIRMED = LocalizedText("该警情尚未确认", "a confirmed alert: nobody has confirmed this one")
    CONFIRMED = LocalizedText("该警情已确认", "one that waits for confirmation: this one is confirmed")
    SUPERVISOR_WITHOUT_PICTURE = LocalizedText(
        "该人员警情没有可比对的图片，须由值班长确认",
        "a supervisor: this person alert has no picture to compare",
    )
    SUPERVISOR_SUSPENDED = LocalizedText(
        "该警情的规则、来源或设备已暂停，须由值班长确认",
        "a supervisor: the rule, source or device of this alert is suspended",
    )
    IN_HAND = LocalizedText(
        "已有单位接警，须由该单位登记结果",
        "an alert that no unit has in hand: this one ends with the unit's outcome",
    )
    ENTRY_OVER = LocalizedText(
        "布控条目已撤销或失效", "an alert whose entry is in force: it was withdrawn or has expired"
    )
    CHECKLIST_CHANGED = LocalizedText(
        "核对清单已变化：请重新核对", "the items of the card as it is now: look at it again"
    )
    COMMAND_USED = LocalizedText("该命令编号已用于另一命令", "an id that was not used for another command")
    EVIDENCE_GONE = LocalizedText(
        "该警情的证据密钥不存在或已销毁", "an alert that fired, and whose key was not destroyed yet"
    )
    EVIDENCE_NOT_ITS = LocalizedText("封存内容不属于该警情", "what was sealed for this alert")
    PICTURE_NOT_OPENED = LocalizedText(
        "图片已收回：请重新打开证据", "an alert whose picture this session has just opened"
    )
    SECOND_PERSON = LocalizedText(
        "第二人须为另一名值班长", "the token of another person, who is a supervisor"
    )

    # Units and their answers.
    NO_UNIT = LocalizedText("该单位不存在或已停用", "a unit in force")
    UNIT_OFF_SHIFT = LocalizedText("该单位当前不当班", "a unit on shift")
    UNIT_HAS_IT = LocalizedText("该单位已持有此警情", "another unit: this one has the alert already")
    NO_ASSIGNMENT = LocalizedText("该警情没有此指派", "an assignment of this alert")
    ASSIGNMENT_OF_ANOTHER = LocalizedText("该指派不属于本终端的单位", "an assignment of this terminal's unit")
    ALERT_OF_ANOTHER = LocalizedText("本终端的单位没有此警情", "an alert of this terminal's unit")
    EVIDENCE_OF_ANOTHER = LocalizedText("该单位没有此警情", "an alert that this unit has")
    NOT_ACCEPTED = LocalizedText(
        "须先接受该指派，再登记结果", "an accepted assignment: accept it before its outcome"
    )
    OUTCOME_RECORDED = LocalizedText(
        "该警情的结果已登记", "an alert without one: its outcome is recorded already"
    )

    # A terminal and its officer.
    ENROL_AGAIN = LocalizedText(
        "终端证书未注明单位：请重新登记终端", "the terminal's certificate names no unit: enrol it again"
    )
    CODE_SPENT = LocalizedText(
        "登记码无效、已使用或已过期：请索取新码",
        "the code is unknown, was used or has expired: ask for a new one",
    )
    CODE_NOT_TAKEN = LocalizedText(
        "须为一小时内签发且未使用的登记码", "a one-time code of the last hour that was not used yet"
    )
    ENROLLED_ALREADY = LocalizedText("该文件夹中已有登记的终端", "a folder without an enrolled terminal")
    KEY_OF_ANOTHER = LocalizedText(
        "文件夹中的密钥不是本程序生成的（椭圆曲线 P-256）", "a key of this program (elliptic curve P-256)"
    )
    ACCOUNT_NOT_TAKEN = LocalizedText(
        "账号或密码错误，或账号已锁定或吊销", "an account and password that the registry accepts"
    )
    NOT_GRANTED = LocalizedText(
        "中枢不接受此警员或此证书", "an officer and a certificate that the hub accepts"
    )
    NOT_AN_OFFICER = LocalizedText("该账号不是警员账号", "the token of an officer")
    OFF_SHIFT = LocalizedText(
        "该警员当前不在本单位的班次内", "the token of an officer who is on a current shift of this unit"
    )


def no_answer_within(seconds: float) -> LocalizedText:
    """The call took longer than any may."""
    return LocalizedText(f"{seconds:g} 秒内没有应答", f"no answer within {seconds:g} s")


def token_not_for(audience: str) -> LocalizedText:
    """The token is good at another service."""
    return LocalizedText(f"令牌不适用于 {audience}", f"the token is not for the audience {audience}")


def officers_token_not_valid(why: LocalizedText) -> LocalizedText:
    """The token of the officer to whom something is delivered."""
    return LocalizedText(
        f"警员的令牌无效：{_in_chinese(why)}",
        f"a valid token of the officer who is signed on: {why.english}",
    )


def second_token_not_valid(why: LocalizedText) -> LocalizedText:
    """The token of the person who looks over the shoulder."""
    return LocalizedText(
        f"第二人的令牌无效：{_in_chinese(why)}", f"a valid token for this service: {why.english}"
    )


def csrf_expected(cookie: str) -> LocalizedText:
    """The page did not prove that it is the one that signed in."""
    return LocalizedText(f"页面校验不符（{cookie}）：请刷新页面", f"the value of the cookie {cookie}")


def needs_role(roles: Sequence[str]) -> LocalizedText:
    """Only who holds one of these roles, named as on the wire, may do it."""
    if not roles:
        return LocalizedText("任何人都无权操作", "a person with nobody")
    chinese = "或".join(ROLES_IN_CHINESE.get(role, role) for role in roles)
    return LocalizedText(f"须由{chinese}操作", f"a person with {' or '.join(roles)}")


def caller_must_be(
    roles: Sequence[str], services: Sequence[str], *, terminals: bool, devices: bool
) -> LocalizedText:
    """Only these may call the RPC."""
    who = [*roles, *(f"the service {name}" for name in services)]
    who += ["an enrolled terminal"] * terminals + ["a registered device"] * devices
    if not who:
        return LocalizedText("任何人都无权调用", "nobody may call this")
    chinese = [ROLES_IN_CHINESE.get(role, role) for role in roles] + [f"服务 {name}" for name in services]
    chinese += ["已登记的终端"] * terminals + ["已登记的设备"] * devices
    return LocalizedText(f"调用者须为{'或'.join(chinese)}", f"the caller must be {' or '.join(who)}")


def password_too_short(least: int) -> LocalizedText:
    """A new password of fewer than `least` characters."""
    return LocalizedText(f"新密码至少 {least} 个字符", f"at least {least} characters")


def not_open(status: Status) -> LocalizedText:
    """The alert is over."""
    return LocalizedText(f"该警情{state_in_chinese(status)}", f"an open alert: this one is {status.value}")


def not_as_seen(version: int) -> LocalizedText:
    """The alert is not as whoever decides saw it; `version` is that of now."""
    return LocalizedText(
        f"该警情已变化，现为版本 {version}：请重新核对",
        f"the alert as it is now, version {version}: look at it again",
    )


def newest_is(version: int) -> LocalizedText:
    """What was seen is newer than the alert."""
    return LocalizedText(f"最新版本为 {version}", f"a version that exists: the newest is {version}")


def not_ticked(names: Sequence[str], chinese: Sequence[str]) -> LocalizedText:
    """Items of the checklist that nobody compared: their names, and what they say in Chinese."""
    return LocalizedText(
        f"核对清单须全部勾选，尚缺：{'；'.join(chinese)}", f"every item ticked: {', '.join(names)} is not"
    )


def assignment_not_live(why: LocalizedText) -> LocalizedText:
    """The unit's part in the alert is over, or is another's."""
    return LocalizedText(_in_chinese(why), f"the alert's live assignment: {why.english}")


def no_evidence(why: LocalizedText) -> LocalizedText:
    """There is nothing to open."""
    return LocalizedText(f"该警情没有证据：{_in_chinese(why)}", f"an alert with evidence: {why.english}")


def opened_too_much(alerts: int, minutes: int) -> LocalizedText:
    """One person has opened so many alerts of one entry or rule: a second one looks too."""
    return LocalizedText(
        f"同一人 {minutes} 分钟内最多打开同一条目或规则的 {alerts} 起警情，须有值班长在场",
        f"a supervisor's, since one person opens at most {alerts} alerts of one entry "
        f"or rule in {minutes} minutes",
    )


def not_enrolled(folder: str) -> LocalizedText:
    """No terminal was enrolled in the folder."""
    return LocalizedText(
        f"{folder} 中没有登记的终端", f"a folder with an enrolled terminal; {folder} has none"
    )


def registry_silent(status: str) -> LocalizedText:
    """The registry did not answer a terminal's sign-in; `status` is gRPC's."""
    return LocalizedText(
        f"登记服务没有应答登录请求（{status}）", f"the registry did not answer the sign-in: {status}"
    )


def enrolment_silent(status: str) -> LocalizedText:
    """The registry did not answer a terminal's enrolment; `status` is gRPC's."""
    return LocalizedText(
        f"登记服务没有应答终端登记（{status}）", f"the registry did not answer the enrolment: {status}"
    )


def _in_chinese(why: LocalizedText) -> str:
    """What has no Chinese, as of an earlier release, as it is."""
    return why.chinese or why.english
