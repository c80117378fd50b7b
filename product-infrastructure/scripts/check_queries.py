"""Run the queries that Terraform saves in Athena on the golden audit records, and compare what they return.

Run by check-contracts.sh. The queries are parsed as Athena's SQL and translated to that of DuckDB, which runs them on tables
with the columns of terraform/audit_catalogue.tf. Lists every finding, then fails.
"""

import json
import pathlib
import re
import sys

import duckdb
import sqlglot

ROOT = pathlib.Path(__file__).parent.parent
TYPES = {"int": "INTEGER", "bigint": "BIGINT", "string": "VARCHAR"}
PARTITIONS = ("year", "month", "day")
findings = []


def expect(what, actual, expected):
    if actual != expected:
        findings.append(f"{what}: expected {expected}, got {actual}")


def table(database, name, local, records):
    """A table as Glue describes it, with one row for each record."""
    source = (ROOT / "terraform" / "audit_catalogue.tf").read_text(encoding="utf-8")
    block = re.search(rf"^  {local} = \[\n(.*?)^  \]", source, re.MULTILINE | re.DOTALL).group(1)
    columns = dict(re.findall(r'member = "(\w+)", type = "(\w+)"', block))
    described = [f'"{member.lower()}" {TYPES[kind]}' for member, kind in columns.items()]
    described += [f'"{partition}" VARCHAR' for partition in PARTITIONS]
    database.execute(f"CREATE TABLE {name} ({', '.join(described)})")
    for record in records:
        unknown = record.keys() - columns.keys()
        if unknown:
            findings.append(f"{name} lacks columns for {sorted(unknown)}")
        values = [record.get(member) for member in columns]
        # Of an object, the SerDe gives a string column the JSON.
        values = [json.dumps(value) if isinstance(value, dict) else value for value in values]
        values += (record.get("occurredAt") or record["observedAt"])[:10].split("-")
        database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)
    return records


def run(database, name, *parameters):
    """The query's rows, by its columns' names."""
    text = (ROOT / "terraform" / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    (translated,) = sqlglot.transpile(text, read="athena", write="duckdb", comments=False)
    result = database.execute(translated, list(parameters))
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def price(product):
    return (product["price"], product["currency"]) if product else (None, None)


examples = [
    json.loads(path.read_text(encoding="utf-8"))
    for shape in ("audit-record", "journal-entry")
    for path in sorted((ROOT / "contracts" / "examples" / shape / "valid").glob("*.json"))
]
database = duckdb.connect()
changes = table(database, "events", "audit_table_columns", [e for e in examples if e["recordType"] == "CHANGE"])
by_hand = table(database, "out_of_band", "out_of_band_table_columns", [e for e in examples if e["recordType"] != "CHANGE"])

products = sorted({change["productId"] for change in changes})
for product in products:
    rows = run(database, "price-history-of-a-product", product)
    expected = sorted((change for change in changes if change["productId"] == product), key=lambda change: change["eventId"])
    expect(f"events of {product}", [row["occurredat"] for row in rows], [change["occurredAt"] for change in expected])
    for row, change in zip(rows, expected, strict=False):
        for side in ("before", "after"):
            prices = (row[f"price_{side}"], row[f"currency_{side}"])
            expect(f"price {side} {change['eventId']}", prices, price(change.get(side)))
        expect(f"client of {change['eventId']}", row["api_key_id"], change["actor"].get("apiKeyId"))

deletions = [change for change in changes if (change["type"], change["outcome"]) == ("DELETE", "APPLIED")]
rows = run(database, "deletions-by-client")
expect("deletions", sum(row["deletions"] for row in rows), len(deletions))
expect("clients that deleted", {row["api_key_id"] for row in rows}, {change["actor"].get("apiKeyId") for change in deletions})

manual = sorted((change["observedAt"] for change in by_hand if change["cause"] == "MANUAL"), reverse=True)
rows = run(database, "out-of-band-changes")
expect("changes outside the API", [row["observedat"] for row in rows], manual)
expect("items changed outside the API", {row["pk"] for row in rows} - {f"PRODUCT#{product}" for product in products}, set())

saved = {path.stem for path in (ROOT / "terraform" / "queries").glob("*.sql")}
document = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
named = set(re.findall(r"\(\.\./terraform/queries/([\w-]+)\.sql\)", document))
expect("queries named in compliance.md", named, saved)

if not products or not deletions or not manual:
    findings.append("the golden examples have no product, no deletion or no change outside the API")
for finding in findings:
    print(finding, file=sys.stderr)
if findings:
    sys.exit(1)
print(f"{len(saved)} queries on {len(changes)} changes and {len(by_hand)} changes outside the API: all as expected")
