"""Waits for accepted changes, as a client does.

A change is answered with 202 or 204 before it is carried out. Checks such as `use_after_free` ask at once whether it was,
so after each accepted change this asks for the product until it shows it.
"""

import time

import requests
import schemathesis

# Seconds. A replacement never shows when a newer change has overtaken it, and no check depends on it.
LONGEST_WAIT = {"POST": 5, "PUT": 1, "DELETE": 5}
PAUSE = 0.05


@schemathesis.hook
def after_call(context, case, response):
    product_id, event_id = accepted_change(case, response)
    if product_id is None or was_accepted_before(event_id):
        return
    method = case.method.upper()
    url = f"{response.request.url.partition('/products')[0]}/products/{product_id}"
    headers = {"x-api-key": response.request.headers["x-api-key"]}
    deadline = time.monotonic() + LONGEST_WAIT[method]
    while time.monotonic() < deadline:
        product = requests.get(url, headers=headers, timeout=10)
        if product.status_code == 404:
            if method == "DELETE":
                return
        else:
            # A refusal would look like a change that never shows.
            product.raise_for_status()
            # Event ids are in the order of the changes.
            if method != "DELETE" and product.json()["lastEventId"] >= event_id:
                return
        time.sleep(PAUSE)


def was_accepted_before(event_id):
    """Whether this repeats an earlier answer, by the time in the event id (a UUID of version 7): a creation of what has
    been deleted since would be waited for in vain."""
    return time.time() - int(event_id.replace("-", "")[:12], 16) / 1000 > 1


def accepted_change(case, response):
    """Product and event of an accepted change; two times None for anything else."""
    if response.status_code == 202:
        accepted = response.json()
        return accepted["productId"], accepted["eventId"]
    if response.status_code == 204:
        return case.path_parameters["productId"], response.headers["x-event-id"][0]
    return None, None
