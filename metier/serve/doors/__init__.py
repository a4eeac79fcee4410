"""What the consoles of all applications share: who comes in (`door`), logging in (`entrance`), people and keys over
HTTP (`api_people`), acts with their entry in the audit log (`hand`), and how the service runs (`server`).
"""
