"""Answer only when sure: how many headlines are left at each floor, and how many of those are right."""

import polars

import metier
from metier import sample

model = metier.train(sample.path(), label="topic", method="probe", out="runs/example-abstain")

test = polars.read_csv(sample.path()).filter(split="test")
answers = [answer["topic"] for answer in model.predict(test["text"].to_list())]
right = [answer.label == gold for answer, gold in zip(answers, test["topic"], strict=True)]

print("floor  answered  right")
for floor in (0.0, 0.3, 0.5, 0.7, 0.9):
    kept = [good for answer, good in zip(answers, right, strict=True) if answer.score >= floor]
    if kept:
        print(f"{floor:5.1f}  {len(kept) / len(right):8.0%}  {sum(kept) / len(kept):5.0%}")
