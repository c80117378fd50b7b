"""Check openapi.yaml and contracts/: schemas, examples, fingerprints, hash chains, and what two files must say alike.

Run by check-contracts.sh. Lists every finding, then fails.
"""

import hashlib
import json
import pathlib
import re
import shlex
import sys
from decimal import Decimal

import rfc8785
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).parent.parent
CONTRACTS = ROOT / "contracts"
ZEROS = "0" * 64
findings = []


def read(path):
    # Decimal: as a float, 19.99 isn't a multiple of 0.01.
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def digest(value):
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


# Each schema stands alone, so definitions are repeated: they must be equal, and examples must match them.
definitions = {}
validators = {}
counted = 0
for schema_path in sorted(CONTRACTS.glob("*.schema.json")):
    schema = read(schema_path)
    Draft202012Validator.check_schema(schema)
    for name, definition in schema["$defs"].items():
        first_path, first = definitions.setdefault(name, (schema_path, definition))
        if first != definition:
            findings.append(f"{schema_path.name} and {first_path.name} define {name} differently")

    shape = schema_path.name.removesuffix(".schema.json")
    validator = validators[shape] = Draft202012Validator(schema)
    for verdict in ("valid", "invalid"):
        examples = sorted((CONTRACTS / "examples" / shape / verdict).glob("*.json"))
        if not examples:
            findings.append(f"{shape} has no {verdict} example")
        for path in examples:
            counted += 1
            if validator.is_valid(read(path)) != (verdict == "valid"):
                findings.append(f"{path.relative_to(CONTRACTS)} isn't {verdict}")

# An audit record is a journal entry of any version.
for path in sorted((CONTRACTS / "examples" / "journal-entry" / "valid").glob("*.json")):
    if not validators["audit-record"].is_valid(read(path)):
        findings.append(f"{path.relative_to(CONTRACTS)} isn't a valid audit record")

for path in sorted((CONTRACTS / "examples" / "change-event" / "valid").glob("*.json")):
    event = read(path)
    requested = {member: event[member] for member in ("product", "patch") if member in event}
    if event["fingerprint"] != digest(requested):
        findings.append(f"{path.name}: the fingerprint is {digest(requested)}")

chains = {}
for path in sorted((CONTRACTS / "examples" / "journal-entry" / "valid").glob("*.json")):
    entry = read(path)
    if entry["outcome"] in ("REJECTED", "SUPERSEDED") and entry["type"] != "DELETE":
        # Not an invalid example: as an audit record of the first version, the entry is valid without it.
        if validators["journal-entry"].is_valid({member: value for member, value in entry.items() if member != "requested"}):
            findings.append(f"{path.name}: requested isn't required")
    if "requested" in entry and entry["fingerprint"] != digest(entry["requested"]):
        findings.append(f"{path.name}: the fingerprint is {digest(entry['requested'])}")
    claimed = entry.pop("hash", None)
    if claimed is None:
        continue
    if claimed != digest(entry):
        findings.append(f"{path.name}: the hash is {digest(entry)}")
    chains.setdefault(entry["productId"], []).append((entry["eventId"], entry["prevHash"], claimed, path.name))
for chain in chains.values():
    previous = ZEROS
    for _, prev_hash, claimed, name in sorted(chain):
        if prev_hash != previous:
            findings.append(f"{name}: the previous hash is {previous}")
        previous = claimed

readme = (CONTRACTS / "README.md").read_text(encoding="utf-8")
worked = re.search(r'^\{"actor".*\}$', readme, re.MULTILINE).group(0)
worked_hash = hashlib.sha256(worked.encode()).hexdigest()
worked_chains = [hashes for chain in chains.values() if worked_hash in (hashes := [link[2] for link in chain])]
for expected in worked_chains[0] if worked_chains else [worked_hash]:
    if expected not in readme or not worked_chains:
        findings.append(f"README.md lacks {expected}, or no example has it")

# openapi.yaml: self-contained, and every example of a response matches the OpenAPI schema and the strict one.
text = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
openapi = yaml.safe_load(text)
registry = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(openapi))
for reference in re.findall(r"\$ref: [\"']?([^\"' }]+)", text):
    if not reference.startswith("#/"):
        findings.append(f"openapi.yaml refers to {reference}; client generators need one self-contained file")


def follow(value):
    while "$ref" in value:
        target = openapi
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def check_examples(where, media, strict):
    examples = [follow(example)["value"] for example in media.get("examples", {}).values()]
    examples += [media["example"]] if "example" in media else []
    loose = Draft202012Validator({"$ref": "urn:openapi" + media["schema"]["$ref"]}, registry=registry)
    for example in examples:
        for validator in filter(None, (loose, validators.get(strict))):
            for error in validator.iter_errors(example):
                findings.append(f"openapi.yaml, {where}: {error.json_path} {error.message}")
    if not examples:
        findings.append(f"openapi.yaml, {where}: no example")
    return examples


def check_sample(where, method, path, operation):
    """The curl sample of the API reference calls this operation, with an API key if it needs one."""
    samples = [sample["source"] for sample in operation.get("x-codeSamples", [])]
    if not samples:
        findings.append(f"openapi.yaml, {where}: no x-codeSamples")
    for sample in samples:
        words = shlex.split(sample.replace("\\\n", " "))
        url = next((word for word in words if word.startswith("$API_URL")), "")
        called = "head" if "--head" in words else words[words.index("--request") + 1].lower() if "--request" in words else "post" if "--data" in words else "get"
        pattern = "[^/?]+".join(map(re.escape, re.split(r"\{\w+\}", path)))
        if called != method or not re.fullmatch(rf"\$API_URL{pattern}(\?.*)?", url):
            findings.append(f"openapi.yaml, {where}: the sample calls {called} {url}")
        if ("x-api-key: $API_KEY" in words) != (operation.get("security") != []):
            findings.append(f"openapi.yaml, {where}: the sample must send x-api-key if the operation needs it")
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            if f"content-type: {media}" not in words or "--data" not in words:
                findings.append(f"openapi.yaml, {where}: the sample must send --data as {media}")
                continue
            body = json.loads(words[words.index("--data") + 1])
            for error in validators[REQUEST_SCHEMAS[content["schema"]["$ref"].rsplit("/", 1)[1]]].iter_errors(body):
                findings.append(f"openapi.yaml, {where}, sample: {error.json_path} {error.message}")


REQUEST_SCHEMAS = {"ProductContent": "product-content", "ProductPatch": "product-patch"}
operations = 0
for path, item in openapi["paths"].items():
    for method in ("get", "head", "post", "put", "patch", "delete"):
        if method not in item:
            continue
        operations += 1
        operation = item[method]
        check_sample(f"{method} {path}", method, path, operation)
        for media in operation.get("requestBody", {}).get("content", {}).values():
            component = media["schema"]["$ref"].rsplit("/", 1)[1]
            check_examples(f"{method} {path}, request", media, REQUEST_SCHEMAS[component])
        for status, response in operation["responses"].items():
            response = follow(response)
            where = f"{method} {path} {status}"
            for media in response.get("content", {}).values():
                component = follow(media["schema"])
                strict = component.get("x-contract")
                if strict not in validators and path != "/health":
                    findings.append(f"openapi.yaml, {where}: x-contract names no schema")
                for example in check_examples(where, media, strict):
                    if int(status) >= 400 and example["error"]["code"] not in response["x-error-codes"]:
                        findings.append(f"openapi.yaml, {where}: {example['error']['code']} isn't in x-error-codes")

components = openapi["components"]["schemas"]
error = read(CONTRACTS / "error.schema.json")
codes = error["properties"]["error"]["properties"]["code"]["enum"]
detail_codes = error["$defs"]["detail"]["properties"]["code"]["enum"]
used = {code for response in openapi["components"]["responses"].values() for code in response.get("x-error-codes", [])}
for what, expected, actual in (
    ("ErrorCode", codes, components["ErrorCode"]["enum"]),
    ("DetailCode", detail_codes, components["DetailCode"]["enum"]),
    ("the table of errors", codes, re.findall(r"^\| \d{3} \| `(\w+)`", openapi["info"]["description"], re.MULTILINE)),
    ("the table of DetailCode", detail_codes, re.findall(r"^\| `(\w+)`", components["DetailCode"]["description"], re.MULTILINE)),
    ("x-error-codes and METHOD_NOT_ALLOWED", sorted(codes), sorted(used | {"METHOD_NOT_ALLOWED"})),
    ("contracts/README.md", sorted(codes), sorted(set(re.findall(r"^\| \d{3} \| `(\w+)`", readme, re.MULTILINE)))),
):
    if expected != actual:
        findings.append(f"{what} and error.schema.json differ: {sorted(set(expected) ^ set(actual)) or 'order'}")

for environment in ("dev", "sit", "prod"):
    variables = (ROOT / "terraform" / "environments" / f"{environment}.tfvars").read_text(encoding="utf-8")
    rate, burst = (re.search(rf"^throttle_{kind}_limit\s*=\s*(\d+)", variables, re.MULTILINE).group(1) for kind in ("rate", "burst"))
    if not re.search(rf"^\| {environment} \| {rate} \| {burst} \|$", openapi["info"]["description"], re.MULTILINE):
        findings.append(f"openapi.yaml: the rate limit of {environment} is {rate} with a burst of {burst}")

links = sum(map(len, chains.values()))
for what, number in (("examples", counted), ("operations", operations), ("links", links)):
    if number == 0:
        findings.append(f"no {what} found")

for finding in findings:
    print(finding, file=sys.stderr)
if findings:
    sys.exit(1)
print(f"{counted} examples, {operations} operations, {links} links in {len(chains)} chains: OK")
