"""Follows accepted changes to their end, and makes the published schema as strict as the contracts."""

import json
import pathlib
import time
import urllib.parse

import requests
import schemathesis

CONTRACTS = pathlib.Path(__file__).parent.parent / "contracts"
REQUEST_SCHEMAS = {"ProductContent": "product-content", "ProductPatch": "product-patch"}
TIMEOUT_SECONDS = 10
INTERVAL_SECONDS = 0.05


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Replaces components by the strict schemas in contracts/: openapi.yaml is written for client generators, and leaves
    out what they can't read."""
    components = raw_schema["components"]["schemas"]
    strict = {name: schema["x-contract"] for name, schema in components.items() if "x-contract" in schema} | REQUEST_SCHEMAS
    for name, contract in strict.items():
        text = (CONTRACTS / f"{contract}.schema.json").read_text(encoding="utf-8")
        schema = json.loads(text.replace('"#/$defs/', '"#/components/schemas/strict-'))
        del schema["$schema"]
        components.update({f"strict-{key}": definition for key, definition in schema.pop("$defs").items()})
        components[name] = schema


@schemathesis.hook
def after_call(context, case, response):
    """Waits until an accepted change is done. Checks in sequences look for its effect at once."""
    if response.status_code not in (202, 204):
        return
    address = urllib.parse.urljoin(response.request.url, response.headers["operation-location"][0])
    headers = {"x-api-key": response.request.headers["x-api-key"]}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        change = requests.get(address, headers=headers, timeout=10)
        change.raise_for_status()
        if change.json()["done"]:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} isn't done after {TIMEOUT_SECONDS} s")
        time.sleep(INTERVAL_SECONDS)
