"""A masked-language model that is asked for the word in a gap."""

import asked
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from metier.errors import BackboneError, RecipeError
from metier.models import backbone
from metier.models.tokeniser import Tokeniser
from metier.models.verbaliser import Masked, MaskedEncoder, has_head
from metier.models.wording import NOTHING, Question, Wording, calibrated

MOOD = Wording("{text} the report is {label}", ("good", "bad"), ("profit", "loss"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return asked.masked(tmp_path_factory.mktemp("masked") / "backbone", steps=150)


@pytest.fixture(scope="module")
def masked(folder):
    encoder = MaskedEncoder.of(backbone.find(str(folder)))
    return Masked(encoder, Tokeniser(Tokenizer.from_file(str(folder / "tokenizer.json")), max_length=64))


def test_which_backbones_have_the_head(folder, toy_backbone):
    assert has_head(backbone.find(str(folder))) and not has_head(backbone.find(str(toy_backbone)))


def test_a_head_that_is_only_named_is_an_error(toy_backbone, tmp_path):
    import json
    import shutil

    copy = shutil.copytree(toy_backbone, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(BackboneError, match="weights are missing"):
        MaskedEncoder.of(backbone.find(str(copy)))


def test_a_fitted_model_gets_labels_right(masked):
    found = masked.score(MOOD, [Question("the bank gains record"), Question("shares fraud falls today")])
    assert found.shape == (2, 2) and (found <= 0).all()
    assert found.argmax(1).tolist() == [0, 1]


def test_several_tokens_are_the_mean_over_as_many_gaps(masked):
    wording = Wording("{text} the report is {label} today", ("a", "b"), ("profit", "strong loss"))
    ids = masked.tokeniser.tokenizer.encode
    row = ids("Oslo falls the report is").ids[:-1] + [masked.mask] * 2 + ids("today").ids[1:]
    with torch.inference_mode():
        logits = masked.encoder.predict(torch.tensor([row]), torch.ones(1, len(row)), torch.zeros(1, len(row)).long())
    gaps = logits[0, [at for at, token in enumerate(row) if token == masked.mask]].log_softmax(-1)
    strong, loss = (masked.tokeniser.tokenizer.token_to_id(word) for word in ("strong", "loss"))
    expected = float((gaps[0, strong] + gaps[1, loss]) / 2)
    assert masked.score(wording, [Question("Oslo falls")])[0, 1] == pytest.approx(expected, abs=1e-5)


def test_long_texts_lose_their_end_and_never_the_gap(masked):
    long = "gains record " * 200
    found = masked.score(MOOD, [Question(long), Question("Oslo")])
    row = masked._row(MOOD, Question(long), 1)
    assert len(row) == masked.encoder.window and row.count(masked.mask) == 1
    np.testing.assert_allclose(found[1], masked.score(MOOD, [Question("Oslo")])[0], atol=1e-5)
    with pytest.raises(BackboneError, match="template and a label take"):
        masked.score(Wording("gains " * 80 + "{text} {label}", ("a",), ("profit",)), [Question("Oslo")])


def test_examples_that_do_not_fit_are_left_out_farthest_first(masked):
    shots = tuple((f"Berlin gains {at}", at % 2) for at in range(20))
    row = masked._row(MOOD, Question("Oslo falls", shots), 1)
    text = masked.tokeniser.tokenizer.decode(row)
    assert len(row) <= masked.encoder.window and "oslo falls" in text
    assert "1 9 " in text.replace("##", "") or "19" in text
    assert text.count("berlin") < 20


def test_a_typed_mask_is_no_gap(masked):
    assert masked._row(MOOD, Question("gains [MASK] <mask>"), 1).count(masked.mask) == 1


def test_calibration_divides_by_what_a_text_without_content_gets(masked):
    known = {}
    questions = [Question("the bank gains"), Question("Oslo", (("Berlin falls", 1),))]
    found = calibrated(masked, MOOD, questions, known)
    for at, question in enumerate(questions):
        plain = masked.score(MOOD, [question])[0]
        empty = masked.score(MOOD, [Question(NOTHING, question.shots)])[0]
        np.testing.assert_allclose(found[at], plain - empty, atol=1e-5)
    assert calibrated(masked, MOOD, [Question(NOTHING)], known) == pytest.approx(np.zeros((1, 2)), abs=1e-5)


def test_a_template_needs_both_gaps():
    with pytest.raises(RecipeError, match=r"0 times \{label\}"):
        Wording("{text} is", ("a",), ("a",))
    early = Wording("A {label} text: {text}", ("a", "b"), ("good {text}", "bad"))
    assert early.shown("{label}", 0) == "A good {text} text: {label}"
