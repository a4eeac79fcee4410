"""The real data sets, where they are: as many rows as their README files say, and offsets that hold."""

from collections import Counter

import pytest

from metier.data.read import columns, examples, resolve
from metier.data.split import leakage, split

pytestmark = pytest.mark.data

TABLES = {
    "finance_phrasebank/phrasebank_50agree.csv.gz": (("text",), "label", "classify", (3870, 483, 483)),
    "finance_sentfin/sentfin.csv.gz": (("text", "entity"), "label", "classify", (11444, 1445, 1435)),
    "finance_reuters/reuters.jsonl.gz": (("title", "text"), "topics", "multilabel", (9417, 0, 3274)),
    "finance_zh/finnl.csv.gz": (("text",), "labels", "multilabel", (6206, 676, 879)),
    "support_banking77/banking77.csv.gz": (("text",), "label", "classify", (9986, 0, 3079)),
    "support_clinc150/clinc150.csv.gz": (("text",), "label", "classify", (15083, 3098, 5500)),
    "text_sst2/sst2.csv.gz": (("text",), "label", "classify", (6909, 872, 1821)),
    "text_chnsenticorp_zh/chnsenticorp.csv.gz": (("text",), "label", "classify", (7555, 1140, 1179)),
    "pairs_afqmc_zh/afqmc.csv.gz": (("text_a", "text_b"), "label", "classify", (30899, 3433, 4316)),
    "relations_semeval2010/semeval2010.csv.gz": (("text",), "relation", "relate", (8000, 0, 2717)),
}
CONLL = {
    "ner_wnut17": (3291, 1007, 1281),
    "ner_bc5cdr": (4545, 4559, 4788),
    "ner_resume_zh": (3798, 462, 476),
    "ner_msra_zh": (10000, 1000, 1000),
}
ENTITIES = {"ner_wnut17": 1901, "ner_bc5cdr": 9385}
PARTS = ("train", "valid", "test")


@pytest.mark.parametrize("name", TABLES)
def test_tables(real_data, name):
    text, label, kind, sizes = TABLES[name]
    roles = resolve(real_data / name, text, (label,))
    assert roles.labels[label] == (label, kind) and roles.split == "split"
    found = list(examples(real_data / name, roles))
    counts = Counter(example.split for example in found)
    assert tuple(counts[part] for part in PARTS) == sizes
    assert all(label in example.targets for example in found)
    if text == ("text",):
        assert leakage(found)[1] == 0
    division = split(found, seed=13)
    assert division.part("valid") and len(division.part("test")) == sizes[2]


@pytest.mark.parametrize("name", CONLL)
def test_conll(real_data, name):
    assert columns(real_data / name) == ["text", "tokens", "spans", "split"]
    found = list(examples(real_data / name, resolve(real_data / name)))
    assert tuple(Counter(example.split for example in found)[part] for part in PARTS) == CONLL[name]
    for example in found:
        starts, ends = zip(*example.document.tokens, strict=True)
        assert all(span.start in starts and span.end in ends for span in example.targets["spans"])
    if name in ENTITIES:
        assert sum(len(e.targets["spans"]) for e in found if e.split == "train") == ENTITIES[name]
    if name.endswith("_zh"):
        assert sum(" " in example.document.text for example in found) < 0.05 * len(found)


def test_stories_without_a_topic_have_an_empty_target(real_data):
    path = real_data / "finance_reuters/reuters.jsonl.gz"
    found = [e.targets["topics"] for e in examples(path, resolve(path, ("title", "text"), ("topics",)))]
    assert () in found and ("earn",) in found
