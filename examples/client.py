"""Asks a service that `metier serve RUN` started. Usage: python examples/client.py TEXT [TEXT ...]"""

import json
import sys
import urllib.request

ADDRESS = "http://127.0.0.1:8000/v1/predict"

texts = sys.argv[1:] or ["Operating profit rose to EUR 13.1 mn"]
body = json.dumps({"texts": texts}).encode()
request = urllib.request.Request(ADDRESS, body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as response:
    found = json.load(response)

print("run", found["run"])
for text, heads in zip(texts, found["predictions"], strict=True):
    print(text)
    for name, answer in heads.items():
        print(f"  {name}: {answer['label']} ({answer['score']:.2f}){' abstains' if answer['abstain'] else ''}")
