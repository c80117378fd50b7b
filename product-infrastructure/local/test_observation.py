"""What is observed, and what alarms make of it. Run with the emulator's Python:

    python -m unittest test_observation
"""

import asyncio
import json
import os
import tempfile
import unittest
from unittest import mock

import alarm_state
import emulator
import observation
from ministack.core import iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import apigateway_v1, cloudwatch, cloudwatch_logs, iam, lambda_svc, pipes, sns, sqs

TOPIC = "arn:aws:sns:eu-west-1:000000000000:events"
PIPE = {
    "Name": "p", "Arn": "arn:p", "Source": "arn:s", "Target": TOPIC, "RoleArn": "arn:aws:iam::000000000000:role/pipe",
    "LogConfiguration": {"CloudwatchLogsLogDestinationParameters": {
        "LogGroupArn": "arn:aws:logs:eu-west-1:000000000000:log-group:/pipes/p"}},
    "SourceParameters": {"DynamoDBStreamParameters": {
        "BatchSize": 1, "MaximumRecordAgeInSeconds": 3600,
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-west-1:000000000000:dlq"}}},
}


def single(**changed):
    """An alarm on one metric: more than 0 in 2 of 3 minutes."""
    return {
        "AlarmName": "a", "StateValue": "OK", "Namespace": "N", "MetricName": "M", "Dimensions": [], "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching", **changed,
    }


def math(expression, metrics, **changed):
    """An alarm on metric math."""
    stats = [{"Id": name, "MetricStat": {"Metric": {"MetricName": name}, "Period": "60", "Stat": "Sum"}} for name in metrics]
    queries = [{"Id": "compared", "Expression": expression, "ReturnData": True}, *stats]
    return single(Metrics=queries, **changed)


def state(alarm, **series):
    """The alarm's state with these values, the newest last; None is a period without data."""
    def values(metric, _statistic, _period, number):
        newest = ([None] * number + series.get(metric["MetricName"], []))[-number:]
        return {index: value for index, value in enumerate(newest) if value is not None}

    return alarm_state.state_of(alarm, values)[0]


class States(unittest.TestCase):
    def test_need_m_of_n_datapoints(self):
        for values, expected in (([1, 0, 1], "ALARM"), ([0, 0, 1], "OK"), ([1, 1, 0, 0, 1], "OK"), ([], "OK")):
            self.assertEqual(state(single(), M=values), expected, values)

    def test_treat_missing_data(self):
        for missing, expected in (("missing", "INSUFFICIENT_DATA"), ("breaching", "ALARM"), ("ignore", "OK")):
            self.assertEqual(state(single(TreatMissingData=missing)), expected, missing)
        self.assertEqual(state(single(TreatMissingData="ignore", StateValue="ALARM")), "ALARM")

    def test_of_a_rate_need_enough_requests(self):
        rate = math("IF(requests >= 20 OR errors >= 5, 100 * errors / requests, 0)", ["requests", "errors"], Threshold=1)
        self.assertEqual(state(rate, requests=[10, 10], errors=[4, 4]), "OK")
        self.assertEqual(state(rate, requests=[10, 10], errors=[5, 5]), "ALARM")
        self.assertEqual(state(rate, requests=[100, 100], errors=[1, 1]), "OK", "1 % isn't more than 1 %")
        self.assertEqual(state(rate, requests=[0, 0], errors=[0, 0]), "OK", "a division by zero has no value")

    def test_of_a_difference_need_the_value_before(self):
        growing = math(
            "IF(rise > 0 AND messages > rise, rise, 0)", ["visible", "in_flight"], EvaluationPeriods=5, DatapointsToAlarm=1
        )
        growing["Metrics"] += [
            {"Id": "rise", "Expression": "DIFF(messages)", "ReturnData": False},
            {"Id": "messages", "Expression": "visible + FILL(in_flight, 0)", "ReturnData": False},
        ]
        self.assertEqual(state(growing, visible=[0, 1, 1, 1, 1]), "OK", "the first message is another alarm's")
        self.assertEqual(state(growing, visible=[1, 2, 2, 2, 2, 2]), "ALARM", "the value before the five counts")
        self.assertEqual(state(growing, visible=[2, 1, 1], in_flight=[None, 1, 1]), "OK", "peek holds one")
        self.assertEqual(state(growing, visible=[1, None, 2]), "ALARM")

    def test_of_a_sum_need_no_value_of_each(self):
        failures = math("SUM([FILL(failed, 0), FILL(timed_out, 0)])", ["failed", "timed_out"])
        self.assertEqual(state(failures, failed=[1, 1]), "ALARM")
        silent = math("IF(FILL(applied, 0) > 0 AND FILL(events, 0) == 0, 1, 0)", ["applied", "events"])
        self.assertEqual(state(silent, applied=[1, 1, 1]), "ALARM")
        self.assertEqual(state(silent, applied=[1, 1, 1], events=[1, 1, 1]), "OK")

    def test_are_not_guessed(self):
        for alarm in (
            math("RATE(m)", ["m"]), math("SUM(METRICS())", ["m"]), math("m >", ["m"]), math("1", ["m"]), math("other", ["m"]),
            single(ComparisonOperator="GreaterThanUpperThreshold"), math("m", ["m"], TreatMissingData="other"),
        ):
            with self.assertRaises(alarm_state.Unsupported):
                state(alarm, m=[1])


class Observed(unittest.TestCase):
    """One account without anything, in which a second is always 1000.5."""

    def setUp(self):
        for patched in (
            mock.patch.dict(cloudwatch._metrics._data, clear=True),
            mock.patch.dict(cloudwatch_logs._log_groups._data, clear=True),
            mock.patch.object(observation, "CLOCK", observation.Clock(now=lambda: 1000.5)),
        ):
            patched.start()
            self.addCleanup(patched.stop)
        scope = request_scope("000000000000", "eu-west-1")
        scope.__enter__()
        self.addCleanup(scope.__exit__, None, None, None)

    def keep(self, module, *names):
        for name in names:
            self.addCleanup(setattr, module, name, getattr(module, name))

    def total(self, namespace, name, **dimensions):
        points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dimensions)))
        return cloudwatch._calc_stats(points).get("Sum") if points else None

    def lines(self, group):
        return [event["message"] for stream in cloudwatch_logs._log_groups[group]["streams"].values() for event in stream["events"]]


class Metrics(Observed):
    def test_of_one_second_are_one_point(self):
        for value in (1, 1, 1, 2):
            observation.count("N", "M", {"A": "b"}, value)
        self.assertEqual(len(cloudwatch._metrics[("N", "M", cloudwatch._dims_key({"A": "b"}))]), 2)
        self.assertEqual(self.total("N", "M", A="b"), 5)

    def test_are_read_by_period_and_dimension(self):
        observation.count("N", "M", {"A": "b"}, 3)
        metric = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "A", "Value": "b"}]}
        self.assertEqual(observation.metric_values(metric, "Sum", 60, 2, 1020), {1: 3.0})
        self.assertEqual(observation.metric_values(metric, "Sum", 60, 2, 1080), {0: 3.0})
        self.assertEqual(observation.metric_values(metric, "Sum", 60, 2, 1000), {}, "an unfinished period")
        self.assertEqual(observation.metric_values({**metric, "Dimensions": []}, "Sum", 60, 2, 1020), {})
        observation.CLOCK.speed = 60.0
        self.assertEqual(observation.metric_values(metric, "Sum", 300, 2, 1005), {1: 3.0}, "five minutes in five seconds")
        observation.CLOCK.since = 1000.2
        self.assertEqual(observation.metric_values(metric, "Sum", 300, 2, 1005), {}, "from before the change of speed")

    def test_of_an_invocation_include_what_the_function_writes(self):
        line = json.dumps({
            "FunctionName": "f", "Lag": [5, 7],
            "_aws": {"CloudWatchMetrics": [
                {"Namespace": "Own", "Dimensions": [["FunctionName"]], "Metrics": [{"Name": "Lag", "Unit": "Milliseconds"}]}]},
        })
        self.keep(lambda_svc, "_execute_function_dispatch", "_emit_lambda_metrics")
        results = [{"log": f'{{"message":"done"}}\n{line}\nnot JSON "_aws"'}, {"error": True}]
        lambda_svc._execute_function_dispatch = lambda *_: results.pop(0)
        observation.observe_invocations()
        for _ in range(2):
            lambda_svc._execute_function_dispatch({}, {"FunctionName": "f"}, {}, "id", 0.0)
        lambda_svc._emit_lambda_metrics("f", 0.0, False, True)
        observed = {name: self.total("AWS/Lambda", name, FunctionName="f") for name in ("Invocations", "Errors", "Throttles")}
        self.assertEqual(observed, {"Invocations": 2, "Errors": 1, "Throttles": 1})
        self.assertEqual(self.total("Own", "Lag", FunctionName="f"), 12)

    def test_of_a_request_come_with_an_access_log(self):
        self.keep(apigateway_v1, "_handle_execute_in_scope", "_execute_in_scope")
        cloudwatch_logs._log_groups["/access"] = {"streams": {}}
        stage = {"accessLogSettings": {
            "destinationArn": "arn:aws:logs:eu-west-1:000000000000:log-group:/access",
            "format": '{"id":"$context.requestId","status":"$context.status","path":"$context.resourcePath","x":"$context.x"}'}}

        async def inner(request, *_):
            request.update(stage=stage, resource_path="/products")
            return 503, {}, b"x"

        async def execute(*_):
            return await apigateway_v1._execute_in_scope({"stage": None, "resource_path": "", "request_id": "r"})

        apigateway_v1._execute_in_scope, apigateway_v1._handle_execute_in_scope = inner, execute
        observation.observe_requests()
        with mock.patch.dict(apigateway_v1._rest_apis._data, clear=True):
            apigateway_v1._rest_apis["a"] = {"name": "api"}
            asyncio.run(apigateway_v1._handle_execute_in_scope("a", "dev", "GET", "/products", {}, b"", {}, "", ""))
        for name, expected in (("Count", 1), ("5XXError", 1), ("4XXError", 0)):
            self.assertEqual(self.total("AWS/ApiGateway", name, ApiName="api", Stage="dev"), expected, name)
        self.assertEqual(self.lines("/access"), ['{"id":"r","status":"503","path":"/products","x":"-"}'])

    def test_of_a_queue_leave_out_the_age_of_poison_messages(self):
        messages = [
            {"sent_at": 400.5, "visible_at": 0, "receive_count": 3}, {"sent_at": 900.5, "visible_at": 9e9, "receive_count": 1},
        ]
        queue = {"attributes": {"QueueArn": "arn:aws:sqs:eu-west-1:000000000000:q"}, "messages": messages}
        with mock.patch.object(sqs, "_expire_retained"):
            observation.observe_queue(queue)
        for name, expected in (
            ("ApproximateNumberOfMessagesVisible", 1), ("ApproximateNumberOfMessagesNotVisible", 1),
            ("ApproximateAgeOfOldestMessage", 100),
        ):
            self.assertEqual(self.total("AWS/SQS", name, QueueName="q"), expected, name)


class Alarms(Observed):
    def test_change_state_and_keep_it(self):
        with mock.patch.dict(cloudwatch._alarms._data, clear=True), mock.patch.object(cloudwatch, "_record_history") as history:
            cloudwatch._alarms["a"] = single(EvaluationPeriods=1, DatapointsToAlarm=1, StateValue="INSUFFICIENT_DATA")
            cloudwatch._alarms["other"] = single(AlarmName="other", ComparisonOperator="unknown", StateValue="OK")
            with self.assertLogs("observation", "ERROR"):
                observation.evaluate_alarms(960)
            self.assertEqual(cloudwatch._alarms["a"]["StateValue"], "OK")
            observation.count("N", "M", {})
            with self.assertLogs("observation", "ERROR"):
                observation.evaluate_alarms(1020)
                observation.evaluate_alarms(1020)
            self.assertEqual(cloudwatch._alarms["a"]["StateValue"], "ALARM")
            self.assertEqual(history.call_count, 2)

    def test_take_their_speed_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "speed")
            clock = observation.Clock(path, now=lambda: 1000.0)
            clock.read()
            self.assertEqual((clock.speed, clock.age(940.0)), (1.0, 60.0))
            for text, speed in (("60", 60.0), ("0.1", 1.0), ("1000", 60.0), ("fast", 1.0)):
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
                clock.read()
                self.assertEqual(clock.speed, speed, text)
        clock.speed, clock.since = 60.0, 990.0
        self.assertEqual(clock.age(980.0), 10 + 10 * 60, "only what came after the change is faster")


class Refusals(Observed):
    def test_of_a_queue_move_the_message_to_the_subscriptions_dead_letter_queue(self):
        self.keep(sns, "_deliver_to_sqs")
        delivered = []
        sns._deliver_to_sqs = lambda endpoint, *_, **__: delivered.append(endpoint)
        observation.observe_deliveries()
        topic = {"subscriptions": [
            {"endpoint": "arn:aws:sqs:eu-west-1:000000000000:q",
             "attributes": {"RedrivePolicy": json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:000000000000:dlq"})}}]}
        for allowed, queue in ((True, "q"), (False, "dlq")):
            delivered.clear()
            with mock.patch.object(sqs, "_queue_by_arn", lambda _: {}), \
                    mock.patch.object(sns, "_topic_by_arn_any_scope", lambda _: topic), \
                    mock.patch.object(sqs, "queue_policy_allows", lambda *_: allowed):
                sns._deliver_to_sqs("arn:aws:sqs:eu-west-1:000000000000:q", "{}", True, "{}", topic_arn=TOPIC)
            self.assertEqual(delivered, [f"arn:aws:sqs:eu-west-1:000000000000:{queue}"])
        self.assertEqual(self.total("AWS/SNS", "NumberOfNotificationsFailed", TopicName="events"), 1)
        self.assertEqual(self.total("AWS/SNS", "NumberOfNotificationsDelivered", TopicName="events"), 1)

    def test_of_the_topic_hold_the_pipes_records_for_an_hour(self):
        self.keep(pipes, "_deliver_batch")
        emulator.deliver_batches_as_aws_does()
        cloudwatch_logs._log_groups["/pipes/p"] = {"streams": {}}
        record = {"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": 1000}}
        published, dead = [], []
        role = {"InlinePolicies": {}}
        roles = mock.patch.dict(iam._roles._data, clear=True)
        roles.start()
        self.addCleanup(roles.stop)
        iam._roles["pipe"] = role
        with mock.patch.object(sns, "publish_internal", lambda *_: published.append(1)), \
                mock.patch.object(sns, "_topic_by_arn_any_scope", lambda _: {}), \
                mock.patch.object(sqs, "_queues", {"http://localhost/dlq": {}}), \
                mock.patch.object(sqs, "_act_send_message", lambda data, _url: dead.append(json.loads(data["MessageBody"]))):
            self.assertFalse(pipes._deliver_batch(PIPE, [record]))
            self.assertEqual((len(published), len(dead)), (0, 0))
            self.assertIn("sns:Publish", self.lines("/pipes/p")[0])
            observation.CLOCK.now = lambda: 4601.0
            self.assertFalse(pipes._deliver_batch(PIPE, [record]))
            self.assertEqual(dead[0]["DDBStreamBatchInfo"]["startSequenceNumber"], "1")
            self.assertTrue(pipes._deliver_batch(PIPE, [record]), "its position is in the dead-letter queue")
            self.assertEqual(len(dead), 1)
            statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": TOPIC}
            role["InlinePolicies"]["p"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            second = {"dynamodb": {"SequenceNumber": "2", "ApproximateCreationDateTime": 1000}}
            self.assertTrue(pipes._deliver_batch(PIPE, [record, second]))
            self.assertEqual(len(published), 1)
        self.assertEqual(self.total("AWS/EventBridge/Pipes", "ExecutionFailed", PipeName="p"), 2)


if __name__ == "__main__":
    unittest.main()
