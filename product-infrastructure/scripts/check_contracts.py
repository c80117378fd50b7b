"""Check contracts/: schemas, golden examples, fingerprints, the hash chain, and the README's worked example.

Run by check-contracts.sh. Says everything that is wrong, then fails.
"""

import hashlib
import json
import pathlib
import re
import sys

import rfc8785
from jsonschema import Draft202012Validator

CONTRACTS = pathlib.Path(__file__).parent.parent / "contracts"
ZEROS = "0" * 64
faults = []


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def digest(value):
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


# Each schema stands alone, so definitions are repeated: they must be equal, and examples must keep them.
definitions = {}
counted = 0
for schema_path in sorted(CONTRACTS.glob("*.schema.json")):
    schema = read(schema_path)
    Draft202012Validator.check_schema(schema)
    for name, definition in schema["$defs"].items():
        first_path, first = definitions.setdefault(name, (schema_path, definition))
        if first != definition:
            faults.append(f"{schema_path.name} defines {name} differently from {first_path.name}")

    shape = schema_path.name.removesuffix(".schema.json")
    validator = Draft202012Validator(schema)
    for verdict in ("valid", "invalid"):
        examples = sorted((CONTRACTS / "examples" / shape / verdict).glob("*.json"))
        if not examples:
            faults.append(f"{shape} has no {verdict} example")
        for path in examples:
            counted += 1
            if validator.is_valid(read(path)) != (verdict == "valid"):
                faults.append(f"{path.relative_to(CONTRACTS)} is not {verdict}")

for path in sorted((CONTRACTS / "examples" / "change-event" / "valid").glob("*.json")):
    event = read(path)
    asked = {"product": event["product"]} if "product" in event else {}
    if event["fingerprint"] != digest(asked):
        faults.append(f"{path.name}: the fingerprint is {digest(asked)}")

chains = {}
for path in sorted((CONTRACTS / "examples" / "journal-entry" / "valid").glob("*.json")):
    entry = read(path)
    claimed = entry.pop("hash", None)
    if claimed is None:
        continue
    if claimed != digest(entry):
        faults.append(f"{path.name}: the hash is {digest(entry)}")
    chains.setdefault(entry["productId"], []).append((entry["eventId"], entry["prevHash"], claimed, path.name))
for chain in chains.values():
    previous = ZEROS
    for _, prev_hash, claimed, name in sorted(chain):
        if prev_hash != previous:
            faults.append(f"{name}: the hash before it is {previous}")
        previous = claimed

readme = (CONTRACTS / "README.md").read_text(encoding="utf-8")
worked = re.search(r'^\{"actor".*\}$', readme, re.MULTILINE).group(0)
for expected in (hashlib.sha256(worked.encode()).hexdigest(), *(link[2] for link in max(chains.values(), key=len, default=[]))):
    if expected not in readme:
        faults.append(f"README.md does not name {expected}")

for fault in faults:
    print(fault, file=sys.stderr)
if faults:
    sys.exit(1)
print(f"{counted} examples, {sum(map(len, chains.values()))} links in {len(chains)} chains: all as they claim.")
