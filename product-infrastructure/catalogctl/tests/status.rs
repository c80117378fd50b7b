//! `catalogctl status` on an account in this process.

mod support;

use serde_json::json;
use support::services::Services;
use support::system::{Ended, run_against};

const FUNCTIONS: [&str; 7] = [
    "list-products",
    "get-product",
    "create-product",
    "update-product",
    "delete-product",
    "product-creator",
    "audit-logger",
];

impl Services {
    /// An account in which all is well.
    async fn healthy() -> Self {
        let account = Self::start().await;
        let alarm = |name: &str, state: &str| json!({"AlarmName": name, "AlarmDescription": "d", "StateValue": state});
        account.set("DescribeAlarms", json!({"MetricAlarms": [alarm("bbws-a", "OK")], "NextToken": "2"}));
        account.set("DescribeAlarms 2", json!({"MetricAlarms": [alarm("bbws-b", "INSUFFICIENT_DATA")]}));
        for queue in ["change", "audit", "change-dlq", "audit-dlq", "events-dlq"] {
            account.depth(queue, 0, 0);
        }
        account.set("GetMetricData", json!({"MetricDataResults": [{"Id": "queue0", "Values": [7.0, 9.0]}]}));
        account.set("/v1/pipes/bbws-product-events-dev", json!({"CurrentState": "RUNNING"}));
        for function in FUNCTIONS {
            account.version(function, "41");
            account.release(function, "41");
        }
        for consumer in ["product-creator", "audit-logger"] {
            account.mapping(consumer, "Enabled");
        }
        account.set(
            "/bbws-terraform-state-dev/product-infrastructure/releases/shared.json",
            json!({"commit": "fedcba9", "root": "shared", "provenAt": "2026-11-01T00:00:00Z"}),
        );
        let key = |id: &str, name: &str, enabled: bool| json!({"id": id, "name": format!("bbws-product-api-dev-{name}"), "enabled": enabled, "createdDate": 1_769_860_800});
        account.set("/apikeys", json!({"item": [key("s1", "shop-7", false), key("k1", "1", true)]}));
        account
    }

    fn depth(&self, queue: &str, visible: u64, in_flight: u64) {
        let attributes = json!({
            "ApproximateNumberOfMessages": visible.to_string(),
            "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
        });
        self.set(&format!("GetQueueAttributes bbws-product-{queue}-dev"), json!({"Attributes": attributes}));
    }

    fn version(&self, function: &str, version: &str) {
        self.set(
            &format!("/2015-03-31/functions/bbws-{function}-dev/configuration live"),
            json!({"Version": version, "LastModified": "2026-11-01T00:00:00.000+0000"}),
        );
    }

    fn mapping(&self, function: &str, state: &str) {
        self.set(
            &format!("/2015-03-31/event-source-mappings bbws-{function}-dev:live"),
            json!({"EventSourceMappings": [{"UUID": "u", "State": state}]}),
        );
    }

    fn release(&self, function: &str, version: &str) {
        self.set(
            &format!("/bbws-terraform-state-dev/{function}/releases/released.json"),
            json!({"commit": format!("commit-of-{function}"), "digest": "d", "version": version, "run": "", "provenAt": "2026-11-01T00:00:00Z"}),
        );
    }

    async fn status(&self, code: i32) -> Ended {
        run_against(&self.endpoint, &["status"]).await.expect(code)
    }

    async fn attention(&self, code: i32) -> Vec<String> {
        let report = run_against(&self.endpoint, &["status", "--json"]).await.expect(code).json();
        serde_json::from_value(report["attention"].clone()).unwrap()
    }
}

#[tokio::test]
async fn reports_a_healthy_environment() {
    let account = Services::healthy().await;
    let text = account.status(0).await.stdout;
    for part in [
        "OK: nothing needs attention.",
        "Alarms: 2, active: 0, without enough data: 1",
        "bbws-product-change-dev      0        0          7 s",
        "Pipe bbws-product-events-dev: RUNNING",
        "Event source mapping of bbws-product-creator-dev: Enabled",
        "bbws-get-product-dev      41            2026-11-01T00:00:00.000+0000  41            commit-of-get-product",
        "Infrastructure: commit fedcba9, proven 2026-11-01T00:00:00Z",
        "default  1           k1          enabled ",
        "shop     7           s1          disabled",
    ] {
        assert!(text.contains(part), "{part} isn't in:\n{text}");
    }
    let report = run_against(&account.endpoint, &["status", "--json"]).await.expect(0).json();
    assert_eq!(report["attention"], json!([]));
    assert_eq!(report["queues"][0]["oldestSeconds"], 7);
    assert_eq!(report["functions"][1]["lastRelease"]["commit"], "commit-of-get-product");
    assert_eq!((&report["keys"][0]["client"], &report["keys"][1]["client"]), (&json!("default"), &json!("shop")));
    assert!(report["keys"][0]["ageDays"].as_i64().unwrap() > 100, "{report:#}");
}

#[tokio::test]
async fn names_each_thing_that_needs_attention() {
    let account = Services::healthy().await;
    account.set(
        "DescribeAlarms 2",
        json!({"MetricAlarms": [{
            "AlarmName": "bbws-product-change-dlq-depth-dev", "AlarmDescription": "NOW: a change moved.",
            "StateValue": "ALARM", "StateUpdatedTimestamp": 1_769_860_800.5,
        }]}),
    );
    account.depth("change-dlq", 1, 2);
    account.set("GetMetricData", json!({"MetricDataResults": [
        {"Id": "queue0", "Values": [301.0]}, {"Id": "queue1", "Values": [300.0]}, {"Id": "queue2", "Values": [9999.0]},
    ]}));
    account.set("/v1/pipes/bbws-product-events-dev", json!({"CurrentState": "STOPPED", "StateReason": "by hand"}));
    account.mapping("audit-logger", "Disabled");
    account.remove("/2015-03-31/event-source-mappings bbws-product-creator-dev:live");
    account.version("get-product", "40");
    account.remove("/2015-03-31/functions/bbws-list-products-dev/configuration live");
    account.set(
        "/bbws-terraform-state-dev/product-infrastructure/releases/shared.json",
        json!({"commit": "fedcba9", "provenAt": null}),
    );
    account.set("/apikeys", json!({"item": [{"id": "k1", "name": "bbws-product-api-dev-1", "enabled": false}]}));
    assert_eq!(
        account.attention(2).await,
        [
            "alarm bbws-product-change-dlq-depth-dev has been active since 2026-01-31T12:00:00Z: NOW: a change moved.",
            "the oldest message of queue bbws-product-change-dev has been waiting for 301 s",
            "queue bbws-product-change-dlq-dev has messages: 3",
            "pipe bbws-product-events-dev is STOPPED: by hand",
            "the event source mapping of bbws-product-creator-dev is NOT_FOUND",
            "the event source mapping of bbws-audit-logger-dev is Disabled",
            "function bbws-list-products-dev has no alias live",
            "function bbws-get-product-dev serves version 40, but its last proven release is version 41",
            "the last apply of the infrastructure isn't proven: commit fedcba9",
            "no API key is enabled",
        ]
    );
    let text = account.status(2).await.stdout;
    assert!(text.starts_with("Needs attention:\n  - alarm bbws-product-change-dlq-depth-dev"), "{text}");
}

#[tokio::test]
async fn without_recorded_releases_nothing_is_compared() {
    let account = Services::healthy().await;
    for function in FUNCTIONS {
        account.remove(&format!("/bbws-terraform-state-dev/{function}/releases/released.json"));
    }
    account.remove("/bbws-terraform-state-dev/product-infrastructure/releases/shared.json");
    account.status(0).await;
}

#[tokio::test]
async fn part_that_cannot_be_read_needs_attention_and_hides_no_other() {
    let account = Services::healthy().await;
    account.refuse("DescribeAlarms");
    account.mapping("audit-logger", "Disabled");
    let found = account.attention(2).await;
    assert_eq!(found[0], "the event source mapping of bbws-audit-logger-dev is Disabled");
    assert!(
        found[1].starts_with("cloudwatch:DescribeAlarms on the alarms failed: access denied") && found.len() == 2,
        "{found:?}"
    );
}

#[tokio::test]
async fn repeats_calls_that_are_throttled_or_fail_in_the_service() {
    let account = Services::healthy().await;
    let throttled = json!({"__type": "com.amazonaws#ThrottlingException", "message": "Rate exceeded"});
    account.first("DescribeAlarms", 400, throttled);
    account.first("/v1/pipes/bbws-product-events-dev", 503, json!({}));
    account.status(0).await;
    assert_eq!(account.inputs("DescribeAlarms").len(), 2);
    assert_eq!(account.inputs("/v1/pipes/bbws-product-events-dev").len(), 2);
}

#[tokio::test]
async fn fails_when_nothing_can_be_read() {
    let closed = run_against("http://127.0.0.1:9", &["status"]).await.expect(1);
    assert!(closed.stderr.contains("couldn't be reached"), "{}", closed.stderr);
}
