"""Use the client that openapi-python-client generated: create, follow, read, change, find and delete a product.

Prints the ID of each operation that worked, one a line.
"""

import datetime
import os
import time
import urllib.parse
import uuid
from collections.abc import Callable
from http import HTTPStatus

from catalogue_client import AuthenticatedClient
from catalogue_client.api.changes import get_product_change, list_changed_products, list_product_changes
from catalogue_client.api.health import get_health, head_health
from catalogue_client.api.products import (
    create_product,
    delete_product,
    get_product,
    list_products,
    replace_product,
    update_product,
)
from catalogue_client.models import (
    Accepted,
    Change,
    ChangeFeedPage,
    ChangePage,
    ChangeStatus,
    Error,
    ErrorCode,
    Product,
    ProductContent,
    ProductPage,
    ProductPatch,
)
from catalogue_client.types import Response

TIMEOUT_SECONDS = 60


def main() -> None:
    url, key = os.environ["API_URL"].rstrip("/"), os.environ["API_KEY"]
    # No proxy: the local stack is on this machine.
    client = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="x-api-key", httpx_args={"trust_env": False})
    sku = f"TOUR-{uuid.uuid4()}"

    assert get_health.sync_detailed(client=client).status_code == HTTPStatus.OK
    assert head_health.sync_detailed(client=client).status_code == HTTPStatus.OK
    worked("getHealth", "headHealth")

    content = ProductContent(name="Tour de clients", price="19.99", currency="EUR", sku=sku, tags=["tour"])
    created = create_product.sync_detailed(client=client, body=content, idempotency_key=str(uuid.uuid4()))
    assert isinstance(created.parsed, Accepted), created.content
    product_id = created.parsed.product_id
    worked("createProduct")
    change = follow(client, url, f"{url}/products", created)
    assert change.event_id == created.parsed.event_id
    worked("getProductChange")

    product = get_product.sync(product_id, client=client)
    assert isinstance(product, Product) and (product.price, product.version) == ("19.99", 1), product
    assert isinstance(product.created_at, datetime.datetime)
    worked("getProduct")

    here = f"{url}/products/{product_id}"
    patch = ProductPatch(price="17.99", sku=None)
    follow(client, url, here, update_product.sync_detailed(product_id, client=client, body=patch, if_match='"1"'))
    worked("updateProduct")
    refused = update_product.sync_detailed(product_id, client=client, body=patch, if_match='"1"')
    assert refused.status_code == HTTPStatus.PRECONDITION_FAILED and isinstance(refused.parsed, Error), refused
    assert refused.parsed.error.code is ErrorCode.PRECONDITION_FAILED
    content.price = "18.99"
    follow(client, url, here, replace_product.sync_detailed(product_id, client=client, body=content))
    worked("replaceProduct")

    # Indexes are eventually consistent.
    def found() -> bool:
        page = list_products.sync(client=client, sku=sku)
        assert isinstance(page, ProductPage), page
        return [(item.product_id, item.price) for item in page.items] == [(product_id, "18.99")]

    wait_until(found)
    invalid = list_products.sync(client=client, min_price="10")
    assert isinstance(invalid, Error) and invalid.error.code is ErrorCode.INVALID_PARAMETER, invalid
    worked("listProducts")

    history = list_product_changes.sync(product_id, client=client)
    assert isinstance(history, ChangePage) and [item.version for item in history.items] == [3, 2, 1], history
    worked("listProductChanges")
    feed = list_changed_products.sync(client=client, limit=1)
    assert isinstance(feed, ChangeFeedPage) and feed.next_cursor, feed
    worked("listChangedProducts")

    deleted = delete_product.sync_detailed(product_id, client=client)
    assert deleted.status_code == HTTPStatus.NO_CONTENT, deleted.content
    follow(client, url, here, deleted)
    gone = get_product.sync_detailed(product_id, client=client)
    assert gone.status_code == HTTPStatus.NOT_FOUND and isinstance(gone.parsed, Error), gone
    worked("deleteProduct")


def follow(client: AuthenticatedClient, url: str, requested: str, response: Response[Accepted | Error]) -> Change:
    """Poll the change at `Operation-Location` until it is done; it must be applied."""
    assert response.status_code in (HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT), response.content
    address = urllib.parse.urljoin(requested, response.headers["Operation-Location"])
    product_id, _, event_id = address.removeprefix(f"{url}/products/").split("/")
    assert client.get_httpx_client().get(address).status_code == HTTPStatus.OK, address

    def done() -> bool:
        change = get_product_change.sync(uuid.UUID(product_id), uuid.UUID(event_id), client=client)
        assert isinstance(change, Change), change
        changes.append(change)
        return change.done

    changes: list[Change] = []
    wait_until(done)
    assert changes[-1].status is ChangeStatus.APPLIED, changes[-1]
    return changes[-1]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_SECONDS} s"
        time.sleep(0.2)


def worked(*operations: str) -> None:
    print(*operations, sep="\n", flush=True)


if __name__ == "__main__":
    main()
