"""Rows from a program instead of a file; some carry one label, some the other, one both."""

import metier

URGENT = [
    "water leaks from the main pump",
    "smoke comes out of the cabinet",
    "the brake does not hold",
    "gas smell in hall 3",
]
CALM = ["please repaint the door", "label on valve is faded", "lamp flickers now and then", "order spare filters"]

rows = []
for hall in range(5):
    rows += [{"text": f"{text}, hall {hall}", "urgency": "high", "unit": None} for text in URGENT]
    rows += [{"text": f"{text}, hall {hall}", "urgency": "low", "unit": None} for text in CALM]
rows += [{"text": f"pump {at} runs hot", "urgency": None, "unit": "pump"} for at in range(20)]
rows += [{"text": f"door {at} does not close", "urgency": None, "unit": "door"} for at in range(20)]
for row, part in zip(rows, (["train"] * 3 + ["valid"] + ["test"]) * 20, strict=False):
    row["split"] = part

model = metier.train(
    rows,
    label=["urgency", "unit"],
    text="text",
    method="probe",
    out="runs/example-from-memory",
)
for answer in model.predict(["the pump is on fire", "paint the door again"]):
    print({head: (prediction.label, round(prediction.score, 2)) for head, prediction in answer.items()})
