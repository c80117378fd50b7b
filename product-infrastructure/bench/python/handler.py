"""get-product as it would be written in Python: boto3 to read the item, pydantic to check it and to write its JSON.

Less than the real one, to Python's advantage: no conditional requests, no log line, no rounding rules of currencies.
"""

import os
from decimal import Decimal

import boto3
from boto3.dynamodb.types import TypeDeserializer
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

# Made while the function starts, as AWS recommends.
CLIENT = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]
DESERIALIZER = TypeDeserializer()


class Product(BaseModel):
    """The product as it is answered."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    product_id: str
    name: str
    price: str
    currency: str
    sku: str | None = None
    description: str | None = None
    category: str | None = None
    tags: list[str] = []
    image_urls: list[str] = []
    attributes: dict[str, str] = {}
    status: str
    version: int
    created_at: str
    updated_at: str
    last_event_id: str


def handle(event: dict) -> dict:
    """Answers a request in API Gateway's form."""
    product_id = event["pathParameters"]["productId"]
    answer = CLIENT.get_item(
        TableName=TABLE,
        Key={"PK": {"S": f"PRODUCT#{product_id}"}, "SK": {"S": "META"}},
        ConsistentRead=True,
    )
    if "Item" not in answer:
        return {"statusCode": 404, "headers": {}, "body": "{}", "isBase64Encoded": False}
    item = {name: DESERIALIZER.deserialize(value) for name, value in answer["Item"].items()}
    item["price"] = str(Decimal(item["priceMinor"]).scaleb(-2))
    product = Product.model_validate(item)
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "etag": f'"{product.version}"'},
        "body": product.model_dump_json(by_alias=True, exclude_none=True),
        "isBase64Encoded": False,
    }
