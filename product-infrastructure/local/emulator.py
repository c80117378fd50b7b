"""Starts the local AWS emulator with the corrections that this project needs.

The emulator is used as published, from its hash-pinned package; nothing in site-packages is edited. Where it differs from
AWS in a way that matters here, it is corrected at start-up, one function for each correction, with its reason. The
corrections reach into private names, so they hold for one version only, and `main` refuses any other.

Everything else (port, state, credentials) comes from environment variables that the developer's tool sets.

The corrections. The newest release, 1.5.33 of October 2026, needs all of them. None has been reported upstream yet: the issue
tracker couldn't be reached from where this was written. "Terraform" means that every plan would show drift without it, "AWS" that
AWS is stricter and a fault of ours slipped through; `test_emulator.py` has a test for each of these that refuses something.

| correction | why |
|---|---|
| describe_alarms_completely, keep_alarm_fields | Terraform: the query protocol drops alarm fields |
| remember_a_pipes_source | Terraform: CreatePipe forgets SourceParameters and LogConfiguration |
| remember_which_objects_a_lifecycle_moves | Terraform: the minimum object size reads back as the default |
| leave_out_what_was_not_given | Terraform: a mock's method, an empty quota, an empty key value |
| disable_an_api_key | Terraform, and a disabled key went on opening everything |
| keep_streams_over_a_restart | data: streams weren't saved, the pipe's position was |
| keep_locks_over_a_restart | data: objects were restored without retention and legal hold |
| save_log_queries | Terraform: saved queries of Logs Insights are unknown |
| save_on_request, lead_a_session | data: state reaches the disk at a clean stop only |
| name_the_caller, know_a_request_by_one_id | AWS: apiKeyId in the proxy event, one request ID everywhere |
| compress_and_decompress | AWS: minimumCompressionSize applies to requests and responses |
| answer_without_waiting_for_logs, send_runtime_events_at_once | speed: latencies would be the emulator's |
| answer_a_repeated_request_alike | retries of one SDK call |
| take_loopback_for_tls | policies that demand TLS |
| ask_for_the_permission_that_aws_asks_for | AWS: Lambda and Glue resources; log groups as `NAME:log-stream:` |
| know_the_namespace_of_a_metric | AWS: cloudwatch:namespace as a condition of PutMetricData |
| read_all_claims_of_a_token | AWS: repository_id and ref of an OIDC token in a trust policy |
| limit_the_rate_of_deployments | AWS: CreateDeployment once in 5 s per account |
| refuse_a_method_without_integration | AWS: CreateDeployment fails for everyone |
| keep_method_settings_by_their_pointer | AWS: a nested path that isn't escaped as ~1 has no effect |
| deliver_batches_as_aws_does | AWS: PublishBatch takes 256 KiB in total; what can't be published goes to the DLQ; the role counts |
| observation.observe_… | AWS: metrics, access logs and alarm states; failed deliveries of a topic go to the DLQ |
| refuse_a_pipe_on_a_new_stream | AWS: "Cannot access stream" (off unless EMULATOR_STREAM_SETTLE_SECONDS is set) |
| record_used_permissions | tests: permissions that are granted and never used |
"""

import asyncio
import collections
import contextvars
import copy
import gzip
import json
import os
import signal
import socketserver
import sys
import time
import uuid
from datetime import datetime, timezone
from importlib.metadata import version
from xml.sax.saxutils import escape

import observation
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, persistence
from ministack.core.responses import error_response_json, json_response
from ministack.services import apigateway_v1, cloudwatch, cloudwatch_logs, dynamodb, dynamodb_streams, iam, pipes, s3, sns, sqs, sts

CORRECTED_VERSION = "1.5.33"


def _members(params, prefix):
    """The values of a query-protocol list: prefix.member.1, prefix.member.2, …"""
    values = []
    while value := cloudwatch._p(params, f"{prefix}.member.{len(values) + 1}"):
        values.append(value)
    return values


def _dimensions(params, prefix):
    """A query-protocol list of {Name, Value} structures."""
    dimensions = []
    while name := cloudwatch._p(params, f"{prefix}.member.{len(dimensions) + 1}.Name"):
        value = cloudwatch._p(params, f"{prefix}.member.{len(dimensions) + 1}.Value")
        dimensions.append({"Name": name, "Value": value})
    return dimensions


def _xml_value(value):
    """A JSON value in the query protocol's XML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml_value(member)}</{name}>" for name, member in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml_value(member)}</member>" for member in value)
    return escape(str(value))


def _alarm_xml(alarm):
    """One alarm as DescribeAlarms sends it: every field that is set, timestamps as ISO 8601."""
    described = {}
    for name, value in alarm.items():
        if value in (None, "", []):
            continue
        if name.endswith("Timestamp") and isinstance(value, (int, float)):
            value = datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        described[name] = value
    return _xml_value(described)


def describe_alarms_completely():
    """DescribeAlarms in the query protocol leaves out most of an alarm's fields.

    Terraform then reads back period, statistic, dimensions and actions as empty, and every plan wants to put them
    right. The JSON answer of the same operation is complete: it is asked for and written as XML.
    """
    describe_alarms = cloudwatch._describe_alarms

    def complete(params, cbor_data, is_cbor, is_json=False):
        if is_cbor or is_json:
            return describe_alarms(params, cbor_data, is_cbor, is_json)
        request = {
            "AlarmNames": _members(params, "AlarmNames"),
            "AlarmTypes": _members(params, "AlarmTypes"),
            "AlarmNamePrefix": cloudwatch._p(params, "AlarmNamePrefix"),
            "StateValue": cloudwatch._p(params, "StateValue"),
            "MaxRecords": cloudwatch._p(params, "MaxRecords"),
            "NextToken": cloudwatch._p(params, "NextToken"),
        }
        request = {name: value for name, value in request.items() if value}
        status, headers, body = describe_alarms({}, request, False, True)
        if status != 200:
            # The query protocol's own form of the same refusal.
            return describe_alarms(params, cbor_data, is_cbor, is_json)
        answer = json.loads(body)
        lists = "".join(
            f"<{kind}>{''.join(f'<member>{_alarm_xml(alarm)}</member>' for alarm in answer[kind])}</{kind}>"
            for kind in ("MetricAlarms", "CompositeAlarms")
        )
        token = f"<NextToken>{escape(answer['NextToken'])}</NextToken>" if "NextToken" in answer else ""
        return cloudwatch._xml(
            200, "DescribeAlarmsResponse", f"<DescribeAlarmsResult>{lists}{token}</DescribeAlarmsResult>"
        )

    cloudwatch._describe_alarms = complete


def keep_alarm_fields():
    """PutMetricAlarm in the query protocol drops some fields and invents others.

    Metric math, InsufficientDataActions and EvaluateLowSampleCountPercentile are lost. An alarm on an error rate is
    metric math (`Metrics`), a latency alarm an ExtendedStatistic; for both the emulator adds `Statistic: Average`, and
    for the former a Period. AWS describes neither; Terraform sees them as drift.
    """
    put_metric_alarm = cloudwatch._put_metric_alarm

    def metric_data_queries(params):
        queries = []
        while identity := cloudwatch._p(params, f"Metrics.member.{len(queries) + 1}.Id"):
            prefix = f"Metrics.member.{len(queries) + 1}"
            given = {name: cloudwatch._p(params, f"{prefix}.{name}")
                     for name in ("Expression", "Label", "AccountId", "ReturnData", "Period")}
            query = {"Id": identity, **{name: value for name, value in given.items() if value}}
            if "ReturnData" in query:
                query["ReturnData"] = query["ReturnData"] == "true"
            metric_name = cloudwatch._p(params, f"{prefix}.MetricStat.Metric.MetricName")
            if metric_name:
                query["MetricStat"] = {
                    "Metric": {
                        "Namespace": cloudwatch._p(params, f"{prefix}.MetricStat.Metric.Namespace"),
                        "MetricName": metric_name,
                        "Dimensions": _dimensions(params, f"{prefix}.MetricStat.Metric.Dimensions"),
                    },
                    "Period": cloudwatch._p(params, f"{prefix}.MetricStat.Period"),
                    "Stat": cloudwatch._p(params, f"{prefix}.MetricStat.Stat"),
                }
                unit = cloudwatch._p(params, f"{prefix}.MetricStat.Unit")
                if unit:
                    query["MetricStat"]["Unit"] = unit
            queries.append(query)
        return queries

    def keeping(params, cbor_data, is_cbor, is_json=False):
        answer = put_metric_alarm(params, cbor_data, is_cbor, is_json)
        alarm = cloudwatch._alarms.get(cloudwatch._p(params, "AlarmName"))
        if is_cbor or is_json or answer[0] != 200 or alarm is None:
            return answer
        few_samples = cloudwatch._p(params, "EvaluateLowSampleCountPercentile")
        if few_samples:
            alarm["EvaluateLowSampleCountPercentile"] = few_samples
        alarm["InsufficientDataActions"] = _members(params, "InsufficientDataActions")
        queries = metric_data_queries(params)
        if queries:
            alarm["Metrics"] = queries
        for name in ("Statistic", "Period"):
            if not cloudwatch._p(params, name):
                alarm.pop(name, None)
        return answer

    cloudwatch._put_metric_alarm = keeping


def remember_a_pipes_source():
    """CreatePipe forgets SourceParameters: Terraform reads back none and wants to replace the pipe on every plan.

    The starting position is one of them; without it a pipe starts at LATEST whatever it was given.
    """
    create_pipe, describe_response = pipes._create_pipe, pipes._describe_response

    def create(name, body):
        answer = create_pipe(name, body)
        if answer[0] == 200:
            pipe, parameters = pipes._pipes[name], body.get("SourceParameters") or {}
            pipe["SourceParameters"] = parameters
            pipe["LogConfiguration"] = body.get("LogConfiguration")
            pipe["StartingPosition"] = parameters.get("DynamoDBStreamParameters", {}).get("StartingPosition", "LATEST")
            pipes._positions[pipe["Arn"]] = pipes._initial_position(pipe)
        return answer

    def describe(pipe):
        described = {**describe_response(pipe), "SourceParameters": pipe.get("SourceParameters") or {}}
        logging = pipe.get("LogConfiguration")
        if logging:
            # Described under other names than given: the destination's parameters become the destination.
            described["LogConfiguration"] = {
                name.removesuffix("Parameters"): value for name, value in logging.items()
            }
        return described

    pipes._create_pipe, pipes._describe_response = create, describe


def keep_streams_over_a_restart():
    """A table's stream is not saved, but a pipe's position in it is.

    After a restart the stream began at nought, and as many changes as there had been before were never published: the
    audit log lacked them. What the pipe had not read yet was lost as well.
    """
    get_state, load_persisted_state = dynamodb.get_state, dynamodb.load_persisted_state
    streams = ("_stream_records", "_stream_trimmed")

    def save():
        state = get_state()
        state.update({name: copy.deepcopy(getattr(dynamodb, name)) for name in streams})
        return state | {"_stream_seq_counter": dynamodb._stream_seq_counter}

    def load(data):
        load_persisted_state(data)
        for name in streams:
            getattr(dynamodb, name).update((data or {}).get(name, {}))
        dynamodb._stream_seq_counter = (data or {}).get("_stream_seq_counter", 0)

    dynamodb.get_state, dynamodb.load_persisted_state = save, load


def keep_locks_over_a_restart():
    """An object is saved with its versions, but without its retention and its legal hold.

    After a restart every audit record could be deleted, and `catalogctl audit verify` reported it as UNLOCKED.
    """
    s3._PERSISTED_BUCKET_DICTS.update(object_retention=s3._object_retention, object_legal_hold=s3._object_legal_hold)


def save_log_queries():
    """The calls for saved queries of CloudWatch Logs Insights are unknown."""
    handle_request = cloudwatch_logs.handle_request
    get_state, load_persisted_state = cloudwatch_logs.get_state, cloudwatch_logs.load_persisted_state
    saved = {}

    async def handle(method, path, headers, body, query_params):
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if action not in ("PutQueryDefinition", "DescribeQueryDefinitions", "DeleteQueryDefinition"):
            return await handle_request(method, path, headers, body, query_params)
        given = json.loads(body or b"{}")
        if action == "PutQueryDefinition":
            identity = given.get("queryDefinitionId") or str(uuid.uuid4())
            # What isn't given is removed by an update, as on AWS.
            saved[identity] = {
                "queryDefinitionId": identity, "name": given["name"], "queryString": given["queryString"],
                "logGroupNames": given.get("logGroupNames", []), "lastModified": int(time.time() * 1000),
            }
            return json_response({"queryDefinitionId": identity})
        if action == "DeleteQueryDefinition":
            if saved.pop(given["queryDefinitionId"], None) is None:
                return error_response_json("ResourceNotFoundException", "The query definition doesn't exist.", 400)
            return json_response({"success": True})
        prefix = given.get("queryDefinitionNamePrefix", "")
        return json_response({"queryDefinitions": [one for one in saved.values() if one["name"].startswith(prefix)]})

    def load(data):
        load_persisted_state(data)
        saved.update((data or {}).get("query_definitions", {}))

    cloudwatch_logs.handle_request, cloudwatch_logs.load_persisted_state = handle, load
    cloudwatch_logs.get_state = lambda: get_state() | {"query_definitions": copy.deepcopy(saved)}


def remember_which_objects_a_lifecycle_moves():
    """A lifecycle's minimum object size is answered as the default, whatever was set.

    Terraform waits three minutes for the value it wrote, then fails.
    """
    header, dispatch = "x-amz-transition-default-minimum-object-size", s3._dispatch

    def remembering(method, bucket, key, headers, body, query_params):
        answer = dispatch(method, bucket, key, headers, body, query_params)
        if key or "lifecycle" not in query_params or answer[0] != 200 or header not in answer[1]:
            return answer
        if method == "PUT":
            given = {name.lower(): value for name, value in headers.items()}
            s3._buckets[bucket][header] = given.get(header, answer[1][header])
        return answer[0], {**answer[1], header: s3._buckets[bucket].get(header, answer[1][header])}, answer[2]

    s3._dispatch = remembering


def leave_out_what_was_not_given():
    """A MOCK integration is given an HTTP method, and a usage plan without a quota an empty one: Terraform sees drift.

    An API key's empty value, which is how Terraform asks for a generated one, is refused as too short.
    """
    put_integration, create_usage_plan = apigateway_v1._put_integration, apigateway_v1._create_usage_plan
    create_api_key = apigateway_v1._create_api_key

    def put(api_id, resource_id, http_method, data):
        answer = put_integration(api_id, resource_id, http_method, data)
        if data.get("type") == "MOCK" and answer[0] == 201:
            method = apigateway_v1._resources[api_id][resource_id]["resourceMethods"][http_method]
            method["methodIntegration"]["httpMethod"] = data.get("httpMethod")
        return answer

    def create(data):
        answer = create_usage_plan(data)
        plan = apigateway_v1._usage_plans[json.loads(answer[2])["id"]]
        for name in ("quota", "throttle"):
            if not plan.get(name):
                plan.pop(name, None)
        return answer

    def generate(data):
        return create_api_key({name: value for name, value in data.items() if name != "value" or value})

    apigateway_v1._put_integration, apigateway_v1._create_usage_plan = put, create
    apigateway_v1._create_api_key = generate


def disable_an_api_key():
    """UpdateApiKey keeps a patch's value as it came, which is always a string: enabled becomes "false".

    That is neither what a client can read (Terraform gives up on the key) nor, as a non-empty string, false: the key
    went on opening everything.
    """
    update = apigateway_v1._update_api_key

    def typed(key_id, data):
        for patch in data.get("patchOperations", []):
            if patch.get("path") == "/enabled":
                patch["value"] = str(patch.get("value")).lower() == "true"
        return update(key_id, data)

    apigateway_v1._update_api_key = typed


def name_the_caller():
    """A proxy event lacks `requestContext.identity.apiKeyId` and `apiKey`, which API Gateway always sends with a key.

    The functions record the key's id as the actor of a change and scope idempotency keys by it; without this the local
    system would take the code path of an API without keys.
    """
    build_event = apigateway_v1._build_lambda_event_v1

    def with_caller(*args, **kwargs):
        event = build_event(*args, **kwargs)
        key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(event["headers"]))
        if key is not None:
            event["requestContext"]["identity"].update({"apiKeyId": key["id"], "apiKey": key["value"]})
        return event

    apigateway_v1._build_lambda_event_v1 = with_caller


def know_a_request_by_one_id():
    """Integrations make up a request id each, and the answer's headers carry yet another.

    With API Gateway `requestContext.requestId`, `$context.requestId` in a template and the header `x-amzn-requestid` are
    one: what a client reports is what the logs and the audit trail have. A MOCK integration's template is not rendered at
    all.
    """
    execute, build_event = apigateway_v1._execute_in_scope, apigateway_v1._build_lambda_event_v1
    invoke_mock = apigateway_v1._invoke_mock_v1
    current = contextvars.ContextVar("request id")

    async def known(request, *args):
        current.set(request["request_id"])
        answer = await execute(request, *args)
        if isinstance(answer, tuple):
            status, headers, body = answer
            return status, {**headers, "x-amzn-requestid": request["request_id"]}, body
        return answer

    def with_id(*args, **kwargs):
        event = build_event(*args, **kwargs)
        context = event["requestContext"]
        context["requestId"] = context["extendedRequestId"] = current.get(context["requestId"])
        return event

    def rendered(integration):
        status, headers, body = invoke_mock(integration)
        known_by = current.get("test-invoke-request")
        headers = {name: known_by if value == "context.requestId" else value for name, value in headers.items()}
        return status, headers, body.replace(b"$context.requestId", known_by.encode())

    apigateway_v1._execute_in_scope, apigateway_v1._build_lambda_event_v1 = known, with_id
    apigateway_v1._invoke_mock_v1 = rendered


def answer_without_waiting_for_logs():
    """After each invocation the emulator waits 50 ms for a first log line and 5 ms after the last, before it answers.

    Lambda does not make the caller wait for logs, and latencies measured here would be the emulator's. Lines that come
    later are not lost: the next invocation's drain picks them up.
    """
    for worker in (lambda_runtime.Worker, lambda_runtime.ProvidedWorker):
        drain = vars(worker).get("_drain_stderr_bounded")
        if drain is not None:
            drain.__defaults__ = (0.002, 0.001, 0.25)  # first_line_wait, idle_confirm, hard_cap


def send_runtime_events_at_once():
    """The Runtime API server writes headers and body separately; Nagle's algorithm then delays each event by 40 ms."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def answer_a_repeated_request_alike():
    """A client whose answer got lost sends its request again, and a create then fails: "Alias already exists".

    A connection can break when two cores compile, plan and serve at the same time. The AWS SDKs mark all attempts of
    one call with one `amz-sdk-invocation-id`: a later attempt is given the answer of the first. Only Lambda's own API
    and IAM's: a message that is sent twice must stay two messages, as it may on AWS.
    """
    serve, answers = app.app, collections.OrderedDict()

    async def once(scope, receive, send):
        headers = dict(scope.get("headers") or ())
        call = headers.get(b"amz-sdk-invocation-id")
        authorization = headers.get(b"authorization", b"")
        administers = b"/lambda/aws4_request" in authorization or b"/iam/aws4_request" in authorization
        if call is None or not administers or scope.get("path", "").endswith("/invocations"):
            return await serve(scope, receive, send)
        if call in answers and (answer := await answers[call]) is not None:
            for message in answer:
                await send(message)
            return None

        answers[call] = asyncio.get_running_loop().create_future()
        while len(answers) > 256:
            answers.popitem(last=False)
        future, answer = answers[call], []

        async def remembering(message):
            answer.append(message)
            await send(message)

        try:
            await serve(scope, receive, remembering)
        finally:
            # What failed in the emulator is to be tried again in earnest.
            failed = not answer or answer[0].get("status", 500) >= 500
            future.set_result(None if failed else answer)
        return None

    app.app = once


def take_loopback_for_tls():
    """Queues, topics and buckets refuse what does not come over TLS. Nothing here does; nothing here leaves the machine."""
    pin_request_origin = app.pin_request_origin
    app.pin_request_origin = lambda source_ip, _secure: pin_request_origin(source_ip, True)
    # What a service does by itself has no request: a topic's delivery to a queue, for example.
    iam_evaluator._request_origin = contextvars.ContextVar("request origin", default=("127.0.0.1", True))


def ask_for_the_permission_that_aws_asks_for():
    """What is done to one alias or one event source is taken for a listing of all, a Glue database for a table.

    For some calls the emulator does not know the resource and says `*`, which no policy grants that names its resources:
    then the action alone must be granted. What AWS would refuse for its resource is allowed here.
    """
    lambda_action, extract_resource_arn = iam_actions._lambda_action, iam_actions.extract_resource_arn
    resource_matches = iam_evaluator._resource_matches
    verbs = {"GET": "Get", "PUT": "Update", "DELETE": "Delete"}

    def action(method, path):
        parts = [part for part in path.split("/") if part]
        for collection, one in (("aliases", "Alias"), ("event-source-mappings", "EventSourceMapping")):
            if parts[-2:-1] == [collection] and method in verbs:
                return verbs[method] + one
        return lambda_action(method, path)

    def resource(service, *args, **kwargs):
        arn = extract_resource_arn(service, *args, **kwargs)
        if service == "glue" and arn.rsplit("/", 1)[0].endswith(":table"):
            return arn.replace(":table/", ":database/")
        # All but the tag actions are checked on the group with this suffix; `NAME` alone doesn't match it.
        if service == "logs" and ":log-group:" in arn and not tags_a_log_group(args, kwargs):
            return arn + ":log-stream:"
        return arn

    def tags_a_log_group(args, kwargs):
        # service is the first argument; method, path and headers follow.
        headers = kwargs.get("headers") or args[2]
        return headers.get("x-amz-target", "").rsplit(".", 1)[-1] in (
            "TagResource", "UntagResource", "ListTagsForResource", "DescribeLogGroups"
        )

    def matches(resource_arn, resources, not_resources):
        return resource_arn == "*" and not not_resources or resource_matches(resource_arn, resources, not_resources)

    iam_actions._lambda_action, iam_actions.extract_resource_arn = action, resource
    iam_evaluator._resource_matches = matches


def know_the_namespace_of_a_metric():
    """A policy that grants PutMetricData by its namespace grants nothing, because the emulator doesn't know the condition key."""
    request_tag_context = iam_actions.request_tag_context

    def namespace(body, params):
        if given := cloudwatch._p(params, "Namespace"):
            return given
        try:
            return json.loads(body).get("Namespace", "")
        except (AttributeError, ValueError):
            return ""

    def context(service, iam_action, body, params):
        known = request_tag_context(service, iam_action, body, params)
        if iam_action == "cloudwatch:PutMetricData":
            known["cloudwatch:namespace"] = namespace(body, params)
        return known

    iam_actions.request_tag_context = context


def read_all_claims_of_a_token():
    """A trust policy can ask for `aud`, `sub` and `amr` of an OIDC token only; GitHub's other claims are unknown.

    AWS has accepted `repository_id`, `job_workflow_ref` and `ref` as condition keys since 2026.
    """
    principal = sts._web_identity_principal

    def with_all_claims(token, provider_id, role_arn):
        provider, keys = principal(token, provider_id, role_arn)
        try:
            from ministack.services.cognito import _decode_id_token_unverified
            claims = _decode_id_token_unverified(token)
        except (ValueError, TypeError):
            claims = {}
        host = str(claims.get("iss") or "").split("://", 1)[-1].rstrip("/")
        more = ("repository_id", "job_workflow_ref", "ref")
        return provider, keys | {f"{host}:{name}".lower(): claims[name] for name in more if name in claims}

    sts._web_identity_principal = with_all_claims


DEPLOYMENT_SECONDS = 5


def limit_the_rate_of_deployments():
    """CreateDeployment is allowed once in five seconds per account, a quota that AWS doesn't raise.

    Several repositories share one API: without the limit here, what they do about the refusal is never tried.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    """
    create_deployment, last = apigateway_v1._create_deployment, [float("-inf")]

    def limited(api_id, data):
        now = time.monotonic()
        if now - last[0] < DEPLOYMENT_SECONDS:
            return apigateway_v1._v1_error("TooManyRequestsException", "Too Many Requests", 429)
        answer = create_deployment(api_id, data)
        if answer[0] < 400:
            last[0] = now
        return answer

    apigateway_v1._create_deployment = limited


def refuse_a_method_without_integration():
    """CreateDeployment succeeds while a method has no integration; AWS refuses it, whoever asks.

    Between creating a method and its integration, one repository's apply blocks the deployments of all others.
    """
    create_deployment = apigateway_v1._create_deployment

    def whole(api_id, data):
        for resource in (apigateway_v1._resources.get(api_id) or {}).values():
            for method in (resource.get("resourceMethods") or {}).values():
                if not method.get("methodIntegration"):
                    return apigateway_v1._v1_error("BadRequestException", "No integration defined for method", 400)
        return create_deployment(api_id, data)

    apigateway_v1._create_deployment = whole


def keep_method_settings_by_their_pointer():
    """Settings of a method are taken under its path, escaped or not.

    AWS reads the patch's path as a JSON Pointer and describes the settings under the same pointer: with `~1` for each slash
    of the resource's own path. Unescaped, a nested path is accepted and applies to nothing.
    """
    apply_patch, settings_of = apigateway_v1._try_apply_method_settings_patch, apigateway_v1._method_throttle_settings

    def by_pointer(stage, operation):
        path = (operation.get("path") or "").lstrip("/")
        resource = path.split("/", 1)[0]
        if "~1" not in resource:
            return apply_patch(stage, operation)
        # Without its escapes the pointer would be taken apart: the path stands in under a name that holds no slash.
        settings = stage.setdefault("methodSettings", {})

        def rename(old, new):
            for key in [key for key in settings if key.split("/", 1)[0] == old]:
                settings[key.replace(old, new, 1)] = settings.pop(key)

        name = resource.replace("~1", "\u241f")
        rename(resource, name)
        handled = apply_patch(stage, {**operation, "path": "/" + path.replace(resource, name, 1)})
        rename(name, resource)
        return handled

    def escaped(stage, resource_path, http_method):
        settings = stage.get("methodSettings") or {}
        own = settings.get(f"{resource_path.replace('/', '~1')}/{http_method}")
        nested = resource_path.strip("/").count("/") > 0
        if own is not None or nested:
            only = {"*/*": settings["*/*"]} if "*/*" in settings else {}
            return own or settings_of({**stage, "methodSettings": only}, resource_path, http_method)
        return settings_of(stage, resource_path, http_method)

    apigateway_v1._try_apply_method_settings_patch = by_pointer
    apigateway_v1._method_throttle_settings = escaped


def compress_and_decompress():
    """`minimumCompressionSize` is kept and has no effect.

    With it, API Gateway decompresses a gzip body before anything else reads it, answers 415 for another encoding, and
    compresses an answer of that size for a client that accepts gzip.
    """
    execute, update = apigateway_v1.handle_execute, apigateway_v1._update_rest_api

    def minimum(api_id):
        scope = apigateway_v1.find_api_scope(api_id)
        api = apigateway_v1._rest_apis.get_scoped(*scope, api_id) if scope else None
        size = (api or {}).get("minimumCompressionSize")
        return None if size is None else int(size)

    async def coded(api_id, stage_name, method, path, headers, body, query_params):
        smallest = minimum(api_id)
        if smallest is None:
            return await execute(api_id, stage_name, method, path, headers, body, query_params)
        headers = dict(headers or {})
        given = {name.lower(): name for name in headers}
        encoding = headers.get(given.get("content-encoding", ""), "").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError):
                return 400, {"Content-Type": "application/json"}, b'{"message":"Bad Request"}'
            headers.pop(given["content-encoding"])
            if "content-length" in given:
                headers[given["content-length"]] = str(len(body))
        status, answered, content = await execute(api_id, stage_name, method, path, headers, body, query_params)
        accepted = headers.get(given.get("accept-encoding", ""), "").lower()
        coded_already = any(name.lower() == "content-encoding" for name in answered)
        if "gzip" in accepted and len(content) >= smallest and not coded_already and method != "HEAD":
            content = gzip.compress(content, 6)
            answered = {name: value for name, value in answered.items() if name.lower() != "content-length"}
            answered["Content-Encoding"] = "gzip"
        return status, answered, content

    def number(api_id, data):
        for patch in data.get("patchOperations", []):
            if patch.get("path") == "/minimumCompressionSize" and patch.get("value") is not None:
                patch["value"] = int(patch["value"])
        return update(api_id, data)

    apigateway_v1.handle_execute, apigateway_v1._update_rest_api = coded, number


PUBLISH_BYTES = 256 * 1024


def deliver_batches_as_aws_does():
    """Each record of a pipe's batch is published alone, escaped to ASCII; one that is refused is dropped with a warning, and
    the pipe's role isn't asked.

    AWS publishes a batch with one PublishBatch, which takes 256 KiB in total, keeps UTF-8 as it is, halves a batch that
    fails (AUTOMATIC_BISECT), and moves to the dead-letter queue what fails alone. A record that was dropped here was a hole
    in the audit trail that AWS doesn't have. Without the role's permission or the topic nothing is published: the pipe
    tries again until a record is older than MaximumRecordAgeInSeconds, then moves its position to the dead-letter queue.
    """
    deliver, given_up = pipes._deliver_batch, set()

    def message(record):
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"))

    def set_aside(pipe, record, stream):
        queue = (stream.get("DeadLetterConfig") or {}).get("Arn")
        where = {
            "context": {"partnerResourceArn": pipe["Arn"], "condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": dynamodb_streams._DEFAULT_SHARD_ID,
                "startSequenceNumber": record["dynamodb"]["SequenceNumber"],
                "endSequenceNumber": record["dynamodb"]["SequenceNumber"],
                "batchSize": 1,
                "streamArn": pipe["Source"],
            },
        }
        if queue:
            name = queue.rsplit(":", 1)[-1]
            url = next(url for url in sqs._queues if url.rsplit("/", 1)[-1] == name)
            sqs._act_send_message({"MessageBody": json.dumps(where)}, url)

    def publish(pipe, records, stream):
        messages = [message(record) for record in records]
        if sum(len(text.encode()) for text in messages) > PUBLISH_BYTES:
            if len(records) == 1 or stream.get("OnPartialBatchItemFailure") != "AUTOMATIC_BISECT":
                for record in records:
                    set_aside(pipe, record, stream)
            else:
                middle = len(records) // 2
                publish(pipe, records[:middle], stream)
                publish(pipe, records[middle:], stream)
            return
        for text in messages:
            sns.publish_internal(pipe["Target"], text, f"Pipes {pipe['Name']}")

    def refusal(pipe):
        """Why the target takes nothing from this pipe; None if it does."""
        if sns._topic_by_arn_any_scope(pipe["Target"]) is None:
            return "NotFound: the topic doesn't exist"
        if not _role_may(pipe["RoleArn"], "sns:Publish", pipe["Target"]):
            return f"AuthorizationError: {pipe['RoleArn']} isn't authorized to perform sns:Publish on {pipe['Target']}"
        return None

    def fail(pipe, reason, records, stream):
        observation.count("AWS/EventBridge/Pipes", "ExecutionFailed", {"PipeName": pipe["Name"]})
        destination = ((pipe.get("LogConfiguration") or {}).get("CloudwatchLogsLogDestinationParameters") or {}).get("LogGroupArn")
        if destination:
            line = {"resourceArn": pipe["Arn"], "timestamp": int(time.time() * 1000), "logLevel": "ERROR",
                    "messageType": "ExecutionFailed", "error": {"message": reason}}
            observation.write_log(destination.split(":log-group:", 1)[-1].removesuffix(":*"), json.dumps(line))
        oldest = float(stream.get("MaximumRecordAgeInSeconds") or -1)
        for record in records:
            age = observation.CLOCK.age(record["dynamodb"]["ApproximateCreationDateTime"])
            if 0 <= oldest < age:
                set_aside(pipe, record, stream)
                given_up.add((pipe["Arn"], record["dynamodb"]["SequenceNumber"]))

    def as_aws_does(pipe, batch):
        if pipes._arn_service(pipe.get("Target", "")) != "sns":
            return deliver(pipe, batch)
        stream = (pipe.get("SourceParameters") or {}).get("DynamoDBStreamParameters") or {}
        batch = [record for record in batch if (pipe["Arn"], record["dynamodb"]["SequenceNumber"]) not in given_up]
        if not batch:
            return True
        observation.count("AWS/EventBridge/Pipes", "EventCount", {"PipeName": pipe["Name"]}, len(batch))
        reason = refusal(pipe)
        if reason is not None:
            fail(pipe, reason, batch, stream)
            return False
        size = int(stream.get("BatchSize") or 1)
        for start in range(0, len(batch), size):
            publish(pipe, batch[start:start + size], stream)
        return True

    pipes._deliver_batch = as_aws_does


def _role_may(role_arn, action, resource):
    """Whether a role's policies, and its boundary, allow an action that a service does under it."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/service", principal_type="AssumedRole",
        principal_account=account, action=action, resource_arn=resource, region=resource.split(":")[3],
    )
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    policies = iam_evaluator._gather_role_policies(name, account)
    return iam_evaluator.evaluate(context, policies, *boundary).decision == "Allow"


def refuse_a_pipe_on_a_new_stream():
    """A pipe can be created on a stream at once; on AWS that fails, now and then, for up to two minutes.

    Off the ordinary path, which would have to wait: EMULATOR_STREAM_SETTLE_SECONDS says for how long a stream is new.
    """
    settle, create_pipe = float(os.environ.get("EMULATOR_STREAM_SETTLE_SECONDS", "0")), pipes._create_pipe

    def on_a_known_stream(name, body):
        label = body.get("Source", "").rsplit("/stream/", 1)[-1]
        try:
            age = time.time() - datetime.fromisoformat(label).replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            age = settle
        if age < settle:
            return pipes._error(400, "ValidationException", "Cannot access stream " + body["Source"])
        return create_pipe(name, body)

    pipes._create_pipe = on_a_known_stream


def record_used_permissions():
    """Writes down, once each, which role was granted which action: `role action`, a line each.

    The emulator enforces each role's policies and its boundary, so a permission that is missing fails a test. One that is
    there and never used fails none: the system tests compare this list with the policies.
    """
    evaluate, seen = iam_evaluator.evaluate, set()

    def recording(context, *policies):
        result = evaluate(context, *policies)
        if context.principal_type == "AssumedRole" and result.decision == "Allow":
            used = (iam_evaluator._role_name_from_assumed_arn(context.principal_arn), context.action)
            if used not in seen:
                seen.add(used)
                with open(os.environ["USED_PERMISSIONS"], "a", encoding="utf-8") as file:
                    file.write(" ".join(used) + "\n")
        return result

    iam_evaluator.evaluate = recording


def save_on_request():
    """State reaches the disk only at a clean stop, while S3 objects (Terraform's state among them) are written at once.

    After a crash the two would disagree about everything. `catalogctl` sends SIGUSR1 when it has applied something.
    """

    def save(_signal, _frame):
        persistence.save_all(app._build_persistence_save_dict())

    signal.signal(signal.SIGUSR1, save)


def lead_a_session():
    """A Ctrl-C in the terminal must not reach the emulator before Terraform has written its state to it, and closing the
    terminal must not end one that was asked to stay. `catalogctl` stops it by name; its functions are in its group."""
    try:
        os.setsid()
    except PermissionError:
        pass  # Started by hand as a job of its own: it leads a group already.


def main():
    installed = version("ministack")
    if installed != CORRECTED_VERSION:
        sys.exit(f"emulator.py corrects ministack {CORRECTED_VERSION}, but {installed} is installed: "
                 "install requirements.txt, or review the corrections for the new version.")
    lead_a_session()
    describe_alarms_completely()
    keep_alarm_fields()
    remember_a_pipes_source()
    keep_streams_over_a_restart()
    keep_locks_over_a_restart()
    save_log_queries()
    remember_which_objects_a_lifecycle_moves()
    leave_out_what_was_not_given()
    disable_an_api_key()
    name_the_caller()
    know_a_request_by_one_id()
    answer_without_waiting_for_logs()
    send_runtime_events_at_once()
    answer_a_repeated_request_alike()
    take_loopback_for_tls()
    ask_for_the_permission_that_aws_asks_for()
    know_the_namespace_of_a_metric()
    read_all_claims_of_a_token()
    limit_the_rate_of_deployments()
    refuse_a_method_without_integration()
    keep_method_settings_by_their_pointer()
    compress_and_decompress()
    deliver_batches_as_aws_does()
    observation.observe_invocations()
    observation.observe_requests()
    observation.observe_deliveries()
    observation.observe_queues_and_alarms()
    refuse_a_pipe_on_a_new_stream()
    record_used_permissions()
    save_on_request()
    sys.exit(app.main())


if __name__ == "__main__":
    main()
