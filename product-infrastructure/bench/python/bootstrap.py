"""Asks the Lambda Runtime API for events and answers them, over one connection, for ever."""

import http.client
import json
import os

import handler

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime/invocation"


def main() -> None:
    connection = http.client.HTTPConnection(API)
    while True:
        connection.request("GET", f"{PREFIX}/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        body = json.dumps(handler.handle(event))
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        connection.request("POST", f"{PREFIX}/{request_id}/response", body)
        connection.getresponse().read()


main()
