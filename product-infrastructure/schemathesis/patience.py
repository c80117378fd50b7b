"""Waits for accepted changes, as a client does.

A change is answered with 202 or 204 before it is carried out. Checks such as `use_after_free` ask at once whether it was,
so after each accepted change this asks for the product until it shows it. Some never show: the repeated creation of a
product that is deleted, a change that another has overtaken. Those are given up after a moment.
"""

import time

import requests
import schemathesis

LONGEST_WAIT = 2
PAUSE = 0.02

deleted = set()


@schemathesis.hook
def after_call(context, case, response):
    product_id, event_id = accepted_change(case, response)
    if product_id is None or product_id in deleted:
        return
    deleting = case.method.upper() == "DELETE"
    url = f"{response.request.url.partition('/products')[0]}/products/{product_id}"
    headers = {"x-api-key": response.request.headers["x-api-key"]}
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        product = requests.get(url, headers=headers, timeout=30)
        if product.status_code == 404:
            if deleting:
                deleted.add(product_id)
                return
        else:
            # A refusal would look like a change that never shows.
            product.raise_for_status()
            # Event ids are in order. A repeated creation is told the first one's id.
            if not deleting and product.json()["lastEventId"] >= event_id:
                return
        time.sleep(PAUSE)


def accepted_change(case, response):
    """Product and event of an accepted change; two times None for anything else."""
    if response.status_code == 202:
        accepted = response.json()
        return accepted["productId"], accepted["eventId"]
    if response.status_code == 204:
        return case.path_parameters["productId"], response.headers["x-event-id"][0]
    return None, None
