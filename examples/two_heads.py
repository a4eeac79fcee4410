"""Two heads on one encoder, on the packaged headlines: what a headline is about, and whether it is good news."""

import metier
from metier import sample

model = metier.train(sample.path(), label=["sentiment", "topic"], method="probe", out="runs/example-two-heads")

for text in ("Profit doubles on strong exports", "Regulator fines the bank", "New chairman elected"):
    (answer,) = model.predict(text)
    print(text)
    for head, prediction in answer.items():
        print(f"  {head:10} {prediction.label:12} {prediction.score:.2f}")

print("report:", model.report())
