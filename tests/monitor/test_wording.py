"""How alike two headlines are: what wires and sites hang on them is nothing, one number is another story."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.stories.wording import LONGEST, alike, bare, wording

SURE = 0.7


def similarity(one, other):
    return alike(wording(one).tokens, wording(other).tokens)


SAME = [
    ("Fed raises rates, stocks fall", "UPDATE 1-FED RAISES RATES; STOCKS FALL"),
    ("Fed raises rates, stocks fall", "BREAKING: Fed raises rates \u2014 stocks fall - Reuters"),
    ("Fed raises rates, stocks fall", "Fed raises rates, stocks fall | CNBC"),
    ("U.S. trade deficit widens", "US trade deficit widens (Bloomberg)"),
    ("中青宝：一季度净利润增长15%", "快讯：中青宝，一季度净利润增长１５％_新浪财经"),
    ("央行下调存款准备金率", "【突发】央行下调存款准备金率（来源：财联社）"),
]
NEAR = [
    ("Wipro Q2 net up 5% at Rs 10.4 crore", "Wipro Q2 net rises 5 pct at Rs 10.40 crore"),
    ("UK economy suffers weakest growth in five years", "UK economy suffers weakest gro..."),
    ("Oil slips on weak demand", "Oil slips on weak demand, traders in Singapore say"),
    ("Tesco to cut jobs at head office", "Tesco to cut jobs at haed office"),
    ("Tesco to cut 500 jobs at head office", "At head office Tesco to cut 500 jobs"),
    ("比亚迪宣布在匈牙利建设新能源汽车工厂", "比亚迪宣布在匈牙利建设新能源汽车工厂，预计三年内投产"),
]
OTHER = [
    ("Wipro Q1 profit up 5%", "Wipro Q2 profit up 8%"),
    ("Wipro Q2 net rises 5% on exports", "Infosys Q2 net rises 5% on exports"),
    ("London house prices post first annual fall since 2009", "London house prices post first annual rise since 2009"),
    ("Jobless rate rises in March", "Jobless rate rises in April"),
    ("HSBC to buy stake in bank", "HSBC to sell stake in bank"),
    ("中青宝一季度净利润同比增长15%", "中青宝二季度净利润同比增长15%"),
    ("美股收盘下跌道指跌超百点", "美股收盘上涨道指涨超百点"),
    ("工商银行一季度净利润同比增长", "建设银行一季度净利润同比增长"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_a_wire_or_a_site_adds_is_nothing(one, other):
    assert wording(one).key == wording(other).key


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_an_edited_headline_is_a_copy(one, other):
    assert wording(one).key != wording(other).key and similarity(one, other) >= SURE


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_number_name_period_or_direction_is_no_copy(one, other):
    assert similarity(one, other) < SURE


def test_an_article_may_have_some_words_and_one_number_changed():
    words = [f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(200)]
    words[5:105:5] = [str(100 + i) for i in range(20)]
    edited = ["changed" if i in (40, 90) else word for i, word in enumerate(words)]
    edited[15] = "7"
    assert similarity(" ".join(words), " ".join(edited)) >= SURE
    renumbered = [f"{word}9" if word.isdigit() else word for word in words]
    assert similarity(" ".join(words), " ".join(renumbered)) == 0


def test_a_source_alone_stays_a_text():
    assert bare("Reuters") == "Reuters" and bare("UPDATE 1-") == "UPDATE 1-" and wording("???").tokens == ()
    assert wording("???").key != wording("!!!").key


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity_is_symmetric_and_bounded(one, other):
    first, second = wording(one).tokens, wording(other).tokens
    assert alike(first, second) == alike(second, first)
    assert 0 <= alike(first, second) <= 1 and (not first or alike(first, first) == 1)


@pytest.mark.parametrize("sign", ["-", " ", "a", "1", "(", "1.", "\u2026", "集", "update 1-", "月1日", "x (reuters) "])
def test_hostile_texts_take_no_time(sign):
    start = time.process_time()
    assert len(wording(sign * 1_000_000 + "...").tokens) <= LONGEST + 1
    assert time.process_time() - start < 0.5
