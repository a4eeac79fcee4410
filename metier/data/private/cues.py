"""Words beside a number that say what it is: of a card, an account, a telephone, or of an order that must stay."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WORDS = {
    "card": ("card cards visa mastercard amex unionpay maestro 卡号 银行卡 信用卡 借记卡 储蓄卡 银联 工资卡"),
    "account": (
        "account accounts acct a/c acc iban bic routing sort_code sort-code kontonummer konto "
        "账号 帐号 账户 帐户 户头 存折"
    ),
    "phone": (
        "phone phones telephone tel mobile cell cellphone handy whatsapp fax landline call call_me text_me "
        "ring_me reach_me contact_me reached contact_number my_number_is telefon rufnummer "
        "电话 手机 手机号 座机 联系方式 致电 传真 拨打 打给我 联系我 热线"
    ),
    "id": (
        "ssn social_security social_security_number national_insurance ni_number nino identity id_card "
        "id_number id_no tax_id "
        "身份证 证件号 证件号码 身份证号 身份证号码 公民身份号码"
    ),
    "passport": ("passport passports 护照"),
    "code": (
        "order orders tracking track reference ref invoice ticket case booking reservation confirmation "
        "serial sku product products model item part code voucher coupon transaction receipt barcode isbn ean "
        "upc version firmware imei parcel shipment package policy po rma amount total price balance batch lot "
        "article customer_number member "
        "订单 订单号 单号 运单 快递 物流 流水号 工单 编号 型号 货号 序列号 条形码 条码 发票 "
        "验证码 交易 金额 版本 邮编 余额 总价 价格 优惠券 券码 产品 商品 批次 代码 保单 会员号 "
        "客户号 兑换码 取件码 口令"
    ),
}
NEAR = 40
"""Characters between a word and the number that it speaks of, at most."""
_kinds = {word.replace("_", " "): kind for kind, words in WORDS.items() for word in words.split()}
_phrases: dict[str, list[str]] = {}
for _each in sorted((word for word in _kinds if word.isascii()), key=len, reverse=True):
    _phrases.setdefault(re.split("[ /-]", _each)[0], []).append(_each)
_latin = re.compile("[a-z]+")
_han = re.compile("|".join(sorted((word for word in _kinds if not word.isascii()), key=len, reverse=True)))
_break = re.compile("[!?;。\n\0]|[0-9]{6}|[.] ")
_glue = re.compile(
    r"(?:[\s:#(,='\"-]|\.(?=\s|$)|number|numbers|no|num|nr|is|was|are|the|my|our|of|on|at|under|me|us|back|with|please|here|"
    r"ending|it|it's|to|new|old|home|work|mobile|ist|lautet|est|号码|号|是|为|就是|请|打|拨|我的|我|的|给|到|至|叫|"
    r"改成|换成|尾号|[、)]){0,12}",
    re.IGNORECASE,
)
_list = re.compile(r"\s{0,2}(?:,|;|/|&|and|or|和|、|或|及|以及|，)\s{0,2}", re.IGNORECASE)
_after = re.compile(r"[\s,]{0,3}(?:is|was|are|是|就是|为)?\s?(?:my|our|the|his|her|我的|我)?\s?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cues:
    """Where which words stand in a text: `starts`, `ends` and `kinds`, sorted."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    kinds: Sequence[str]

    def before(self, start: int) -> tuple[str, bool]:
        """The kind of the last word before a number, and whether nothing but glue (`number is`) lies between.

        `("", False)` where there is none near, or a sentence ends or another number stands between.
        """
        at = bisect_right(self.ends, start) - 1
        if at < 0 or start - self.ends[at] > NEAR:
            return "", False
        glued = _glue.fullmatch(self.text, self.ends[at], start) is not None  # with the stop of "card no."
        if not glued and _break.search(self.text, self.ends[at], start):
            return "", False
        return self.kinds[at], glued

    def after(self, end: int) -> str:
        """The kind of the word that follows a number directly, as in `12345678 is my account`; `""` for none."""
        found = _after.match(self.text, end)
        start = found.end() if found else end
        at = bisect_right(self.starts, start) - 1
        return self.kinds[at] if at >= 0 and self.starts[at] == start else ""

    def touches(self, start: int) -> bool:
        """Whether a word ends where a number starts, as in `tel13800138000`."""
        at = bisect_right(self.ends, start) - 1
        return at >= 0 and self.ends[at] == start


def cues_of(text: str) -> Cues:
    """The words of a text that say what a number is."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(small if len(small := one.lower()) == 1 else one for one in text)
    found = list(_english(lower))
    if not text.isascii():
        found = sorted([*found, *((match.start(), match.end(), _kinds[match[0]]) for match in _han.finditer(lower))])
    return Cues(text, [start for start, _, _ in found], [end for _, end, _ in found], [kind for _, _, kind in found])


def _english(lower: str) -> Iterator[tuple[int, int, str]]:
    done = 0
    for match in _latin.finditer(lower):
        for phrase in _phrases.get(match[0], ()) if match.start() >= done else ():
            start, end = match.start(), match.start() + len(phrase)
            after = lower[end : end + 1]
            if lower.startswith(phrase, start) and not (after.isascii() and after.isalpha()):
                done = end
                yield start, end, _kinds[phrase]
                break


def listed(text: str, end: int, start: int) -> bool:
    """Whether only `and`, a comma or the like stands between two numbers, so that a word speaks of both."""
    return start - end <= 6 and _list.fullmatch(text, end, start) is not None
