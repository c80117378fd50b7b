"""The corrections that make the emulator as strict as AWS, each with what it refuses. Run with the emulator's Python:

    python -m unittest test_emulator

A correction that its version of the emulator doesn't need any more, or no longer fits, fails here.
"""

import asyncio
import json
import os
import unittest
from datetime import datetime, timedelta, timezone
from unittest import mock

import emulator
from ministack.core import iam_actions, persistence
from ministack.services import apigateway_v1, cloudwatch_logs, pipes, s3, sns, sqs, sts


class Corrected(unittest.TestCase):
    """Puts back what a correction has replaced."""

    def replaced_by(self, correction, module, *names):
        for name in names:
            self.addCleanup(setattr, module, name, getattr(module, name))
        correction()


class Deployments(Corrected):
    def setUp(self):
        self.addCleanup(setattr, apigateway_v1, "_create_deployment", apigateway_v1._create_deployment)
        apigateway_v1._create_deployment = lambda api_id, data: (201, {}, b"{}")

    def test_are_made_once_in_five_seconds(self):
        create = [apigateway_v1._create_deployment("a", {})[0] for _ in range(2)]
        self.assertEqual(create, [201, 201])
        emulator.limit_the_rate_of_deployments()
        with mock.patch("time.monotonic", side_effect=[100.0, 104.9, 105.1]):
            answers = [apigateway_v1._create_deployment("a", {}) for _ in range(3)]
        self.assertEqual([answer[0] for answer in answers], [201, 429, 201])
        self.assertIn(b"TooManyRequestsException", answers[1][2])

    def test_need_an_integration_of_every_method(self):
        resources = {"a": {"r": {"resourceMethods": {"GET": {"methodIntegration": {}}}}}}
        with mock.patch.object(apigateway_v1, "_resources", resources):
            self.assertEqual(apigateway_v1._create_deployment("a", {})[0], 201)
            emulator.refuse_a_method_without_integration()
            status, _, body = apigateway_v1._create_deployment("a", {})
            self.assertEqual(status, 400)
            self.assertIn(b"No integration defined for method", body)
            resources["a"]["r"]["resourceMethods"]["GET"]["methodIntegration"] = {"type": "MOCK"}
            self.assertEqual(apigateway_v1._create_deployment("a", {})[0], 201)


class LogQueries(Corrected):
    def call(self, action, given):
        headers = {"x-amz-target": f"Logs_20140328.{action}"}
        answer = asyncio.run(cloudwatch_logs.handle_request("POST", "/", headers, json.dumps(given), {}))
        return answer[0], json.loads(answer[2])

    def test_are_saved_found_by_prefix_and_deleted_once(self):
        names = ("handle_request", "get_state", "load_persisted_state")
        query = {"name": "a/b", "queryString": "fields @message", "logGroupNames": ["g"]}
        self.assertEqual(self.call("PutQueryDefinition", query)[0], 400)
        self.replaced_by(emulator.save_log_queries, cloudwatch_logs, *names)
        identity = self.call("PutQueryDefinition", query)[1]["queryDefinitionId"]
        self.call("PutQueryDefinition", {"name": "a/c", "queryString": "", "queryDefinitionId": identity})
        found = self.call("DescribeQueryDefinitions", {"queryDefinitionNamePrefix": "a/"})[1]["queryDefinitions"]
        self.assertEqual([(one["name"], one["logGroupNames"]) for one in found], [("a/c", [])])
        state = cloudwatch_logs.get_state()
        self.assertEqual(self.call("DeleteQueryDefinition", {"queryDefinitionId": identity}), (200, {"success": True}))
        self.assertEqual(self.call("DeleteQueryDefinition", {"queryDefinitionId": identity})[0], 400)
        cloudwatch_logs.load_persisted_state({"query_definitions": state["query_definitions"]})
        self.assertEqual(len(self.call("DescribeQueryDefinitions", {})[1]["queryDefinitions"]), 1)
        self.assertIn("logGroups", self.call("DescribeLogGroups", {})[1])


class RepeatedRequests(Corrected):
    def test_of_one_call_have_one_answer(self):
        served = []

        async def serve(scope, receive, send):
            served.append(scope)
            await send({"type": "http.response.start", "status": 200 if len(served) == 1 else 409})

        def statuses(service, path="/"):
            served.clear()
            scope = f"Credential=test/20261129/eu-west-1/{service}/aws4_request".encode()
            headers = [(b"amz-sdk-invocation-id", service.encode() + path.encode()), (b"authorization", scope)]
            sent = []

            async def send(message):
                sent.append(message["status"])

            async def twice():
                for _ in range(2):
                    await emulator.app.app({"type": "http", "path": path, "headers": headers}, None, send)

            asyncio.run(twice())
            return sent

        self.addCleanup(setattr, emulator.app, "app", emulator.app.app)
        emulator.app.app = serve
        self.assertEqual(statuses("iam"), [200, 409])
        emulator.answer_a_repeated_request_alike()
        self.assertEqual(statuses("iam"), [200, 200])
        self.assertEqual(statuses("lambda", "/2015-03-31/functions"), [200, 200])
        self.assertEqual(statuses("lambda", "/2015-03-31/functions/f/invocations"), [200, 409])
        self.assertEqual(statuses("sqs"), [200, 409])


class Restarts(Corrected):
    def test_keep_the_locks_of_objects(self):
        version = ("audit", "events/a.json", "v1")
        saved = dict(s3._PERSISTED_BUCKET_DICTS)
        self.addCleanup(lambda: (s3._PERSISTED_BUCKET_DICTS.clear(), s3._PERSISTED_BUCKET_DICTS.update(saved)))
        locks = {
            name: mock.patch.dict(getattr(s3, name)._data, clear=True) for name in ("_object_retention", "_object_legal_hold")
        }

        def after_a_restart():
            with locks["_object_retention"], locks["_object_legal_hold"]:
                s3._object_retention[version] = {"Mode": "COMPLIANCE", "RetainUntilDate": "2033-01-01T00:00:00Z"}
                s3._object_legal_hold[version] = "ON"
                state = json.dumps(s3.get_state(), default=persistence._json_default)
                s3._object_retention._data.clear()
                s3._object_legal_hold._data.clear()
                s3.load_persisted_state(json.loads(state, object_hook=persistence._json_object_hook))
                return s3._object_retention.get(version, {}).get("Mode"), s3._object_legal_hold.get(version)

        self.assertEqual(after_a_restart(), (None, None))
        emulator.keep_locks_over_a_restart()
        self.assertEqual(after_a_restart(), ("COMPLIANCE", "ON"))


class Pipes(Corrected):
    def test_are_refused_on_a_stream_that_is_new(self):
        self.addCleanup(setattr, pipes, "_create_pipe", pipes._create_pipe)
        pipes._create_pipe = lambda name, body: (200, {}, b"{}")
        label = (datetime.now(timezone.utc) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%S.000")
        body = {"Source": f"arn:aws:dynamodb:eu-west-1:000000000000:table/products/stream/{label}"}
        self.assertEqual(pipes._create_pipe("p", body)[0], 200)
        for settle, status in (("60", 400), ("20", 200), ("0", 200)):
            made = pipes._create_pipe
            with mock.patch.dict(os.environ, EMULATOR_STREAM_SETTLE_SECONDS=settle):
                emulator.refuse_a_pipe_on_a_new_stream()
                answer = pipes._create_pipe("p", body)
            pipes._create_pipe = made
            self.assertEqual(answer[0], status, settle)
            self.assertEqual(b"Cannot access stream" in answer[2], status == 400)

    def deliver(self, batch_size, on_failure="AUTOMATIC_BISECT"):
        """What is published, and what goes to the dead-letter queue, of two records that exceed 256 KiB together."""
        stream = {"BatchSize": batch_size, "OnPartialBatchItemFailure": on_failure,
                  "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-west-1:000000000000:dlq"}}
        pipe = {"Name": "p", "Arn": "arn:p", "Source": "arn:s", "Target": "arn:aws:sns:eu-west-1:000000000000:t", "RoleArn": "arn:r",
                "SourceParameters": {"DynamoDBStreamParameters": stream}}
        records = [{"dynamodb": {"SequenceNumber": str(number), "text": "é" * 70_000}} for number in (1, 2)]
        published, dead = [], []
        with mock.patch.object(sns, "publish_internal", lambda _topic, text, _subject: published.append(json.loads(text))), \
                mock.patch.object(sns, "_topic_by_arn_any_scope", lambda _: {}), \
                mock.patch.object(emulator, "_role_may", lambda *_: True), \
                mock.patch.object(sqs, "_queues", {"http://localhost/dlq": {}}), \
                mock.patch.object(sqs, "_act_send_message", lambda data, _url: dead.append(json.loads(data["MessageBody"]))):
            pipes._deliver_batch(pipe, records)
        return len(published), len(dead)

    def test_publish_at_most_256_kib_at_once(self):
        self.replaced_by(emulator.deliver_batches_as_aws_does, pipes, "_deliver_batch")
        self.assertEqual(self.deliver(10, on_failure=None), (0, 2), "the batch fails as a whole")
        self.assertEqual(self.deliver(10), (2, 0), "halved, both fit")
        self.assertEqual(self.deliver(1, on_failure=None), (2, 0), "one at a time, both fit")


class Permissions(Corrected):
    def test_on_log_groups_are_checked_with_their_suffix(self):
        arn = "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/f"
        self.addCleanup(setattr, iam_actions, "extract_resource_arn", iam_actions.extract_resource_arn)
        iam_actions.extract_resource_arn = lambda service, *args, **kwargs: arn
        from ministack.core import iam_evaluator
        self.replaced_by(emulator.ask_for_the_permission_that_aws_asks_for, iam_evaluator, "_resource_matches")
        asked = {
            action: iam_actions.extract_resource_arn("logs", "POST", "/", {"x-amz-target": f"Logs_20140328.{action}"})
            for action in ("CreateLogGroup", "PutRetentionPolicy", "TagResource")
        }
        self.assertEqual(asked, {
            "CreateLogGroup": arn + ":log-stream:", "PutRetentionPolicy": arn + ":log-stream:", "TagResource": arn,
        })

    def test_know_the_namespace_of_a_metric(self):
        self.replaced_by(emulator.know_the_namespace_of_a_metric, iam_actions, "request_tag_context")
        requests = {
            "query": (b"Action=PutMetricData", {"Namespace": ["A/B"]}),
            "json": (b'{"Namespace": "A/B"}', {}),
        }
        for protocol, (body, params) in requests.items():
            known = iam_actions.request_tag_context("cloudwatch", "cloudwatch:PutMetricData", body, params)
            self.assertEqual(known, {"cloudwatch:namespace": "A/B"}, protocol)
        other = iam_actions.request_tag_context("cloudwatch", "cloudwatch:PutMetricAlarm", b"{}", {})
        self.assertNotIn("cloudwatch:namespace", other)

    def test_know_githubs_claims(self):
        host, claims = "token.actions.githubusercontent.com", {"repository_id": "2001", "ref": "refs/heads/main"}
        self.addCleanup(setattr, sts, "_web_identity_principal", sts._web_identity_principal)
        sts._web_identity_principal = lambda token, provider, role: ("arn:provider", {})
        with mock.patch("ministack.services.cognito._decode_id_token_unverified", lambda _: {"iss": f"https://{host}"} | claims):
            emulator.read_all_claims_of_a_token()
            _, keys = sts._web_identity_principal("token", None, "role")
        self.assertEqual(keys, {f"{host}:{name}": value for name, value in claims.items()})


class Versions(unittest.TestCase):
    def test_another_version_is_refused(self):
        with mock.patch.object(emulator, "version", lambda _: "1.5.34"), self.assertRaises(SystemExit) as refused:
            emulator.main()
        self.assertIn("review the corrections", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
