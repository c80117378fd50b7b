"""What AWS observes and the emulator doesn't: metrics, access logs, and the states of alarms.

Every metric comes from something that happened here: an invocation, a request, a message in a queue, a record that the pipe
read. Nothing is made up, so what the emulator can't do has no metric: DynamoDB never throttles here.

| namespace | metrics | from |
|---|---|---|
| AWS/Lambda | Invocations, Errors, Duration, Throttles | each invocation, whoever made it |
| ProductCatalogue | whatever a function writes | log lines in the embedded metric format |
| AWS/ApiGateway | Count, 4XXError, 5XXError, Latency | each response of a stage |
| AWS/SQS | ApproximateNumberOfMessagesVisible and NotVisible, ApproximateAgeOfOldestMessage | each queue, once a minute |
| AWS/SNS | NumberOfNotificationsDelivered and Failed | each delivery to a queue |
| AWS/EventBridge/Pipes | EventCount, ExecutionFailed | `emulator.deliver_batches_as_aws_does` |

Alarms are evaluated once a minute. The file named by EMULATOR_ALARM_SPEED can hold a number by which time passes faster for
alarms, for the age of messages, and for the pipe's patience: with 60, an alarm on three periods of five minutes takes 15
seconds. Without the file time passes as on AWS. Functions, visibility timeouts and timestamps aren't affected.
"""

import contextvars
import json
import logging
import os
import re
import threading
import time
from datetime import datetime, timezone

import alarm_state
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import apigateway_v1, cloudwatch, cloudwatch_logs, lambda_svc, sns, sqs

MINUTE = 60

logger = logging.getLogger("observation")


class Clock:
    """How fast time passes for alarms, and since when."""

    def __init__(self, path=None, now=time.time):
        self.path, self.now = path, now
        self.speed, self.since = 1.0, 0.0

    def read(self):
        """Reads the speed again. Alarms see nothing from before a change of speed: it was counted in other minutes."""
        try:
            with open(self.path, encoding="ascii") as file:
                speed = max(1.0, min(float(file.read()), MINUTE))
        except (OSError, TypeError, ValueError):
            speed = 1.0
        if speed != self.speed:
            self.speed, self.since = speed, self.now()

    def age(self, start):
        """Seconds since `start`, those since the last change of speed at this speed."""
        now = self.now()
        changed = min(max(start, self.since), now)
        return (changed - start) + (now - changed) * self.speed


CLOCK = Clock(os.environ.get("EMULATOR_ALARM_SPEED"))
_POINTS = threading.Lock()


def count(namespace, name, dimensions, value=1, unit="Count"):
    """Records one value, in the scope of the current account and region.

    Equal values of one second are one point: a load test makes millions.
    """
    key, second = (namespace, name, cloudwatch._dims_key(dimensions)), float(int(CLOCK.now()))
    with _POINTS:
        points = cloudwatch._metric_bucket(key)
        last = points[-1] if points else {}
        if last.get("Timestamp") == second and last.get("Value") == value:
            last["Count"] = last.get("Count", 1.0) + 1
        else:
            points.append(
                {"Timestamp": second, "Value": float(value), "Count": 1.0, "Unit": unit, "Dimensions": dict(dimensions)}
            )


def _stream(group_name, stream_name):
    """A log group's stream, made if it isn't there; None without the group, as for a log that Terraform has removed."""
    group = cloudwatch_logs._log_groups.get(group_name)
    if group is None:
        return None
    return group["streams"].setdefault(stream_name, {
        "events": [], "uploadSequenceToken": "1", "creationTime": int(time.time() * 1000),
        "firstEventTimestamp": None, "lastEventTimestamp": None, "lastIngestionTime": None,
    })


def write_log(group_name, message):
    """Writes a line to a log group of the current account and region."""
    now = int(time.time() * 1000)
    stream = _stream(group_name, datetime.now(timezone.utc).strftime("%Y/%m/%d"))
    if stream is not None:
        event = {"timestamp": now, "message": message, "ingestionTime": now}
        cloudwatch_logs._append_log_events(stream, [event])


def embedded_metrics(line):
    """The metrics of a log line in the embedded metric format: namespace, name, dimensions, values, unit."""
    try:
        fields = json.loads(line)
        directives = fields["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            dimensions = {name: str(fields[name]) for name in names}
            for metric in directive["Metrics"]:
                values = fields[metric["Name"]]
                values = values if isinstance(values, list) else [values]
                yield directive["Namespace"], metric["Name"], dimensions, values, metric.get("Unit", "None")


def observe_invocations():
    """AWS/Lambda has only what is invoked directly, not what API Gateway and the event source mappings invoke.

    The metrics that a function writes into its log aren't read at all.
    """
    dispatch = lambda_svc._execute_function_dispatch

    def throttled_only(function_name, duration_ms, error, throttle):
        if throttle:
            count("AWS/Lambda", "Throttles", {"FunctionName": function_name})

    def observed(func, config, event, request_id, started):
        begun = time.monotonic()
        result = dispatch(func, config, event, request_id, started)
        dimensions = {"FunctionName": config.get("FunctionName", "unknown")}
        answer = result if isinstance(result, dict) else {}
        count("AWS/Lambda", "Invocations", dimensions)
        count("AWS/Lambda", "Errors", dimensions, int(bool(answer.get("error"))))
        count("AWS/Lambda", "Duration", dimensions, (time.monotonic() - begun) * 1000, "Milliseconds")
        for line in str(answer.get("log") or "").splitlines():
            if '"_aws"' in line:
                for namespace, name, dimensions_, values, unit in embedded_metrics(line):
                    for value in values:
                        count(namespace, name, dimensions_, value, unit)
        return result

    lambda_svc._emit_lambda_metrics, lambda_svc._execute_function_dispatch = throttled_only, observed


def access_log_line(template, known):
    """A stage's access log format with its variables; API Gateway writes `-` for one without a value."""
    return re.sub(r"\$context\.([\w.]+)", lambda variable: str(known.get(variable[1], "-")), template)


def observe_requests():
    """A stage has no metrics, and its access log settings are kept and have no effect."""
    execute, execute_inner = apigateway_v1._handle_execute_in_scope, apigateway_v1._execute_in_scope
    current = contextvars.ContextVar("request")

    async def inner(request, *args):
        response = await execute_inner(request, *args)
        current.get({}).update(
            resourcePath=request["resource_path"] or "-", requestId=request["request_id"],
            stage=request["stage"], **{"error.responseType": getattr(response, "response_type", "-")},
        )
        return response

    async def observed(api_id, stage_name, method, path, headers, *args):
        seen, begun = {}, time.monotonic()
        current.set(seen)
        response = await execute(api_id, stage_name, method, path, headers, *args)
        status, _, body = response
        stage = seen.pop("stage", None)
        if stage is None:
            return response
        latency = round((time.monotonic() - begun) * 1000)
        api = apigateway_v1._rest_apis.get(api_id) or {}
        dimensions = {"ApiName": api.get("name", ""), "Stage": stage_name}
        count("AWS/ApiGateway", "Count", dimensions)
        count("AWS/ApiGateway", "4XXError", dimensions, int(400 <= status < 500))
        count("AWS/ApiGateway", "5XXError", dimensions, int(status >= 500))
        count("AWS/ApiGateway", "Latency", dimensions, latency, "Milliseconds")
        settings = stage.get("accessLogSettings") or {}
        if settings.get("destinationArn") and settings.get("format"):
            key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(headers or {})) or {}
            known = {
                **seen, "status": status, "httpMethod": method, "responseLength": len(body), "responseLatency": latency,
                "requestTime": datetime.now(timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "identity.apiKeyId": key.get("id", "-"), "identity.sourceIp": "127.0.0.1",
            }
            write_log(settings["destinationArn"].split(":log-group:", 1)[-1], access_log_line(settings["format"], known))
        return response

    apigateway_v1._handle_execute_in_scope, apigateway_v1._execute_in_scope = observed, inner


def observe_deliveries():
    """A topic that a queue's policy refuses drops the message, with a warning in the emulator's log.

    AWS counts it, and moves it to the subscription's dead-letter queue at once: the refusal is an error of the client, which
    isn't retried. https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
    """
    deliver = sns._deliver_to_sqs

    def takes(endpoint, topic_arn):
        if sqs._queue_by_arn(endpoint) is None:
            return False
        return sqs.queue_policy_allows(endpoint, "sns.amazonaws.com", topic_arn, parse_arn(topic_arn).account_id)

    def observed(endpoint, envelope, raw, raw_message, *args, topic_arn="", **kwargs):
        dimensions = {"TopicName": topic_arn.rsplit(":", 1)[-1]}
        if not topic_arn or takes(endpoint, topic_arn):
            count("AWS/SNS", "NumberOfNotificationsDelivered", dimensions)
            return deliver(endpoint, envelope, raw, raw_message, *args, topic_arn=topic_arn, **kwargs)
        count("AWS/SNS", "NumberOfNotificationsFailed", dimensions)
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        for subscription in topic["subscriptions"]:
            policy = (subscription.get("attributes") or {}).get("RedrivePolicy")
            if subscription.get("endpoint") == endpoint and policy:
                queue = json.loads(policy)["deadLetterTargetArn"]
                deliver(queue, envelope, raw, raw_message, *args, topic_arn=topic_arn, **kwargs)
        return None

    sns._deliver_to_sqs = observed


def observe_queue(queue):
    """The metrics of a queue at this moment."""
    dimensions = {"QueueName": queue["attributes"]["QueueArn"].rsplit(":", 1)[-1]}
    with sqs._queues_lock:
        sqs._refresh_counts(queue)
        # After three receives SQS puts a message behind the others, and the metric is about the next one.
        sent = [message["sent_at"] for message in queue["messages"] if message.get("receive_count", 0) < 3]
    attributes = queue["attributes"]
    for name, attribute in (("Visible", "ApproximateNumberOfMessages"), ("NotVisible", "ApproximateNumberOfMessagesNotVisible")):
        count("AWS/SQS", f"ApproximateNumberOfMessages{name}", dimensions, int(attributes[attribute]))
    age = CLOCK.age(min(sent)) if sent else 0
    count("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, round(age), "Seconds")


def metric_values(metric, statistic, period, number, end):
    """The last `number` periods of a metric before `end`, as `alarm_state.state_of` takes them."""
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
    points = cloudwatch._metrics.get((metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))) or []
    length = period / CLOCK.speed
    start = end - number * length
    periods = {}
    for point in reversed(list(points)):
        # Points are nearly in the order of time: what a function reports comes a moment late.
        if point["Timestamp"] < start - length:
            break
        if max(start, CLOCK.since) <= point["Timestamp"] < end:
            periods.setdefault(int((point["Timestamp"] - start) // length), []).append(point)
    series = {index: cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) for index, points in periods.items()}
    return {index: value for index, value in series.items() if value is not None}


def evaluate_alarms(end):
    """Sets the state of each alarm of every account and region."""
    for (account, region, _), alarm in list(cloudwatch._alarms.all_items()):
        with request_scope(account, region):
            try:
                state, reason = alarm_state.state_of(
                    alarm, lambda metric, statistic, period, number: metric_values(metric, statistic, period, number, end)
                )
            except alarm_state.Unsupported as error:
                logger.error("alarm %s not evaluated: unsupported %s", alarm["AlarmName"], error)
                continue
            if state != alarm["StateValue"]:
                change = {"AlarmName": alarm["AlarmName"], "StateValue": state, "StateReason": reason}
                cloudwatch._set_alarm_state({}, change, False, True)


def observe_queues_and_alarms():
    """Once a minute of the clock: the metrics of each queue, then the state of each alarm.

    PutMetricData judges alarms by every metric of their name, whatever its dimensions; that is left out.
    """
    cloudwatch._evaluate_all_alarms = lambda: None

    def minutes():
        seen = None
        while True:
            time.sleep(0.2)
            CLOCK.read()
            length = MINUTE / CLOCK.speed
            minute = CLOCK.now() // length
            if (CLOCK.speed, minute) == seen:
                continue
            seen = (CLOCK.speed, minute)
            try:
                evaluate_alarms(minute * length)
                for (account, region, _), queue in list(sqs._queues.all_items()):
                    with request_scope(account, region):
                        observe_queue(queue)
            except Exception:  # A resource that is deleted meanwhile must not end the thread.
                logger.exception("failed to observe a minute")

    threading.Thread(target=minutes, name="observation", daemon=True).start()
