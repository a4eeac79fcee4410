"""Labels in words and as vectors."""

import pytest
import torch
from tokenizers import Tokenizer

from metier.data.names import described, words
from metier.errors import RecipeError
from metier.models import backbone
from metier.models.network import Network
from metier.models.prompts import TEMPLATES, filled, label_vectors, pooled, tongue
from metier.models.tokeniser import Tokeniser


@pytest.fixture(scope="module")
def network(toy_backbone):
    return Network(backbone.load_encoder(backbone.find(str(toy_backbone))), {})


@pytest.fixture(scope="module")
def tokeniser(toy_backbone):
    return Tokeniser(Tokenizer.from_file(str(toy_backbone / "tokenizer.json")), max_length=32)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("card_arrival", "card arrival"),
        ("CardArrival", "card arrival"),
        ("cardArrival2", "card arrival2"),
        ("HTTPServer", "HTTP server"),
        ("DESC", "DESC"),
        ("DESC:manner", "DESC manner"),
        ("Cause-Effect(e1,e2)", "cause effect"),
        ("Refund_not_showing_up", "refund not showing up"),
        ("体育新闻", "体育新闻"),
        ("__", "__"),
        ("reverted_card_payment?", "reverted card payment?"),
    ],
)
def test_words_of_a_label(label, said):
    assert words(label) == said


def test_numbers_ask_for_names():
    with pytest.raises(RecipeError, match=r"'0', '1' of 'mood' are numbers.*heads\.mood\.names"):
        described("mood", ["0", "1"], {})
    assert described("mood", ["0", "new_york"], {"0": " bad "}) == {"0": "bad", "new_york": "new york"}


def test_the_language_of_templates_follows_the_texts():
    assert tongue(["股市上涨", "公司利润下跌", "Oslo"]) == "zh"
    assert tongue(["the market rises today", "of the bank"]) == "en" == tongue([])
    assert filled("体育", TEMPLATES["zh"])[:2] == ["体育", "这段文字是关于体育的。"]


def test_a_label_is_the_mean_of_its_sentences(network, tokeniser):
    found = label_vectors(network, tokeniser, ["good_profit", "weak"], {"weak": "weak report"}, ["it is {}", "the {}"])
    sentences = ["weak report", "it is weak report", "the weak report"]
    units = torch.nn.functional.normalize(pooled(network, tokeniser, sentences), dim=-1)
    expected = torch.nn.functional.normalize(units.mean(0), dim=-1)
    torch.testing.assert_close(found[1], expected)
    assert found.shape == (2, 32) and not found.requires_grad
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_pooled_vectors_do_not_depend_on_their_neighbours(network, tokeniser):
    long = " ".join(["profit"] * 100)  # several windows
    together = pooled(network, tokeniser, ["Berlin gains", long, "the weak report falls"])
    torch.testing.assert_close(together[0], pooled(network, tokeniser, ["Berlin gains"])[0], atol=1e-5, rtol=1e-4)
    assert together.shape == (3, 32) and bool(together.isfinite().all())
