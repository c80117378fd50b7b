//! What became of a change: its journal entry, its audit object, and where it is if it has neither.

use anyhow::{Context, Result};
use aws_sdk_s3::error::ProvideErrorMetadata;
use serde_json::Value;

use super::search::{Logs, Window, now};
use super::{Change, Missing, Step};
use crate::aws::CallContext;
use crate::dlq::diagnosis::Diagnosis;
use crate::dlq::peek::{self, DeadLetters};
use crate::logs::Log;
use crate::products_table::document;
use crate::progress::Progress;
use crate::queue::Message;
use crate::status::queues;
use crate::target::Target;
use audit_log::ids::{EventId, ProductId};
use audit_log::record::millis;

/// A clock that is ahead must not hide a line.
const BEFORE: i64 = 60_000;
/// Lines of an invocation are written when it ends, after the record.
const AFTER: i64 = 5 * 60_000;
/// Messages of a dead-letter queue that are looked at.
const MAX_LETTERS: usize = 1_000;
/// How long the table keeps a journal entry, in milliseconds.
const JOURNAL_MILLIS: i64 = 90 * 24 * 60 * 60 * 1_000;
/// How long an accepted change can wait: 4 days in its queue, 14 in the dead-letter queue.
const MAX_WAIT_MILLIS: i64 = 18 * 24 * 60 * 60 * 1_000;

/// A change and its way.
pub struct Followed {
    pub change: Change,
    /// Without the log lines, which [`Logs`] keeps.
    pub steps: Vec<Step>,
    pub missing: Option<Missing>,
}

/// The object of a change in the audit bucket.
enum AuditObject {
    /// The record, and when it was written, in seconds since 1970.
    Found(Value, Option<i64>),
    /// It exists, and can't be read without a restore.
    Archived,
    Absent,
}

/// Follows a change through journal, bucket, logs and dead-letter queues.
pub async fn follow(target: &Target, logs: &mut Logs<'_>, event: EventId, progress: &Progress) -> Result<Followed> {
    let (mut change, mut steps) = (Change::new(event), Vec::new());
    let object = audit_object(target, event).await?;
    let occurred = i64::try_from(event.millis()).unwrap_or(i64::MAX);
    let end = match &object {
        AuditObject::Found(record, written) => {
            Some(written.map_or(0, |seconds| seconds * 1_000).max(recorded_at(record)).max(occurred) + AFTER)
        }
        AuditObject::Archived => Some(occurred + AFTER),
        AuditObject::Absent => None,
    };
    let window = Window { start: (occurred - BEFORE).max(0), end };
    logs.search(&Log::OF_CHANGES, window, &[&event.to_string()]).await?;
    if let AuditObject::Found(record, _) = &object {
        learn(&mut change, record);
    }
    let field = |name| logs.field(event, name);
    change.product_id = change.product_id.or_else(|| field("productId").as_deref().and_then(ProductId::parse));
    change.request_id = change.request_id.or_else(|| field("requestId"));

    let mut letter = None;
    if matches!(object, AuditObject::Absent) && change.product_id.is_none() {
        // Nobody but the message itself may know the product.
        letter = dead_letter(target, DeadLetters::Change, event, progress).await?;
        change.product_id = letter.as_ref().and_then(|(_, diagnosis)| diagnosis.product_id);
    }
    let entry = match change.product_id {
        Some(product) => target.products().item(product, &format!("EVENT#{event}")).await?,
        None => None,
    };
    let entry = entry.map(document).transpose().context("failed to read the journal entry")?;
    if let Some(entry) = &entry {
        learn(&mut change, entry);
        let words = ["type", "outcome", "reason"].map(|name| entry[name].as_str().unwrap_or_default());
        let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let version = entry["version"].as_u64().map(|version| format!(", version {version}")).unwrap_or_default();
        steps.push(Step::new(recorded_at(entry), "journal", format!("change recorded: {words}{version}"), Some(event)));
    }
    if let AuditObject::Found(record, written) = &object {
        let time = written.map_or_else(|| recorded_at(record), |seconds| seconds * 1_000);
        let step = Step::new(time, "audit bucket", format!("{} written", event.object_key()), Some(event));
        // S3 counts seconds: sorted at the end of the second, because the object is written after the entry.
        steps.push(Step { millis: time + 999, ..step });
    }
    // Of a message sent by hand it can be any text, which a filter pattern would take for its own syntax.
    let is_plain = |id: &&str| !id.is_empty() && id.chars().all(|each| each.is_ascii_alphanumeric() || each == '-');
    if let Some(request) = change.request_id.as_deref().filter(is_plain) {
        let window = Window { start: window.start, end: Some(occurred + AFTER) };
        logs.search(&[Log::Api], window, &[request]).await?;
    }

    let missing = match (&entry, &object) {
        (Some(_), AuditObject::Absent) => {
            letter = dead_letter(target, DeadLetters::Audit, event, progress).await?;
            Some(no_object(target, event, letter.as_ref()).await?)
        }
        (None, AuditObject::Absent) => {
            if letter.is_none() && change.product_id.is_some() {
                letter = dead_letter(target, DeadLetters::Change, event, progress).await?;
            }
            let is_logged = logs.field(event, "eventId").is_some();
            let is_known = letter.is_some() || change.product_id.is_some() || is_logged;
            // An ID that nothing knows isn't a change that got lost.
            if is_known { Some(unrecorded(target, event, letter.as_ref()).await?) } else { None }
        }
        (None, _) if now() - occurred < JOURNAL_MILLIS => Some(no_entry(target, event)),
        _ => None,
    };
    if let Some((message, diagnosis)) = letter {
        let queue = if entry.is_some() { DeadLetters::Audit } else { DeadLetters::Change };
        let what = format!("message {}: {}: {}", message.id, diagnosis.kind, diagnosis.reason);
        let sent = i64::try_from(message.sent_at).unwrap_or(i64::MAX);
        steps.push(Step::new(sent, target.queue_name(queue.name()), what, Some(event)));
    }
    Ok(Followed { change, steps, missing })
}

/// Takes over what a record says.
fn learn(change: &mut Change, record: &Value) {
    change.product_id = record["productId"].as_str().and_then(ProductId::parse).or(change.product_id);
    change.request_id = record["requestId"].as_str().map(str::to_owned).or(change.request_id.take());
    for name in ["type", "actor", "outcome", "reason", "version"] {
        if let Some(value) = record.get(name).filter(|value| !value.is_null()) {
            change.record.insert(name, value.clone());
        }
    }
}

/// When a change was recorded, in milliseconds since 1970.
fn recorded_at(record: &Value) -> i64 {
    record["recordedAt"].as_str().and_then(millis).and_then(|millis| i64::try_from(millis).ok()).unwrap_or_default()
}

async fn audit_object(target: &Target, event: EventId) -> Result<AuditObject> {
    let (bucket, key) = (&target.bucket, event.object_key());
    let response = target.s3().get_object().bucket(bucket).key(&key).send().await;
    match response.as_ref().err().and_then(|error| error.code()) {
        Some("NoSuchKey") => return Ok(AuditObject::Absent),
        Some("InvalidObjectState") => return Ok(AuditObject::Archived),
        _ => {}
    }
    let object = response.call("s3:GetObject", format!("object {key} of bucket {bucket}"))?;
    let written = object.last_modified().map(|moment| moment.secs());
    let bytes = object.body.collect().await.with_context(|| format!("failed to read {key}"))?.into_bytes();
    // An object that isn't JSON exists all the same; `audit verify` judges it.
    Ok(AuditObject::Found(serde_json::from_slice(&bytes).unwrap_or_default(), written))
}

/// The message about a change in a dead-letter queue. The messages are visible to others again afterwards.
async fn dead_letter(
    target: &Target,
    letters: DeadLetters,
    event: EventId,
    progress: &Progress,
) -> Result<Option<(Message, Diagnosis)>> {
    let queue = letters.queue(target).await?;
    let step = progress.step(format!("look into {}", queue.name));
    let (mut messages, id) = (Vec::new(), event.to_string());
    let is_it = |message: &Message| message.body.contains(&id);
    let is_enough = |messages: &[Message]| messages.len() >= MAX_LETTERS || messages.iter().any(is_it);
    let received = peek::receive(&queue, &mut messages, is_enough, &step.meter()).await;
    queue.release(&messages).await;
    received?;
    step.done(format!("{} messages", messages.len()));
    let Some(message) = messages.into_iter().find(is_it) else { return Ok(None) };
    let diagnosis = letters.diagnose(target, &message).await;
    Ok(Some((message, diagnosis)))
}

/// What to type next: a command of this program, for the same system.
fn command(target: &Target, arguments: &str) -> String {
    match &target.local {
        Some(_) => format!("catalogctl {arguments}"),
        None => format!("catalogctl {arguments} --env {}", target.environment),
    }
}

/// What to do about a message in a dead-letter queue.
fn redrive(target: &Target, queue: &str, message: &Message, diagnosis: &Diagnosis) -> String {
    if diagnosis.kind.is_hopeful() {
        command(target, &format!("dlq redrive {queue} --message {}", message.id))
    } else {
        command(target, &format!("dlq peek {queue}"))
    }
}

async fn no_object(target: &Target, event: EventId, letter: Option<&(Message, Diagnosis)>) -> Result<Missing> {
    let (why, next) = match letter {
        Some((message, diagnosis)) => (
            format!("audit-logger failed to write it; its message is in {}", target.queue_name("audit-dlq")),
            redrive(target, "audit", message, diagnosis),
        ),
        None => {
            let queue = queues::depth(target, "audit").await?;
            let why = format!(
                "the events pipe hasn't delivered it, it waits in {} ({} messages there), or it was removed. A record is \
                 written within a minute",
                queue.name,
                queue.visible + queue.in_flight
            );
            (why, format!("{}, then {}", command(target, "status"), command(target, "audit repair")))
        }
    };
    Ok(Missing { what: "AUDIT_OBJECT", event_id: Some(event), why, next })
}

async fn unrecorded(target: &Target, event: EventId, letter: Option<&(Message, Diagnosis)>) -> Result<Missing> {
    let (why, next) = match letter {
        Some((message, diagnosis)) => (
            format!(
                "product-creator failed to apply the change; its message is in {}",
                target.queue_name("change-dlq")
            ),
            redrive(target, "change", message, diagnosis),
        ),
        None => {
            let queue = queues::depth(target, "change").await?;
            let count = queue.visible + queue.in_flight;
            let age = now() - i64::try_from(event.millis()).unwrap_or(i64::MAX);
            let why = if age > MAX_WAIT_MILLIS {
                "its message expired, 4 days in the queue and 14 in the dead-letter queue, or it was deleted".to_owned()
            } else {
                format!("it waits in {} ({count} messages there), or it wasn't accepted", queue.name)
            };
            (why, command(target, "status"))
        }
    };
    Ok(Missing { what: "JOURNAL_ENTRY_AND_AUDIT_OBJECT", event_id: Some(event), why, next })
}

fn no_entry(target: &Target, event: EventId) -> Missing {
    Missing {
        what: "JOURNAL_ENTRY",
        event_id: Some(event),
        why: "the audit object exists, and the journal entry, which is kept for 90 days, doesn't: the table was restored, or \
              somebody edited it"
            .to_owned(),
        next: command(target, "audit verify"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::SdkConfig;
    use serde_json::json;

    fn event() -> EventId {
        EventId::parse("019c13ec-9e00-728a-83f3-929b1085347a").unwrap()
    }

    #[test]
    fn a_later_record_overrules_and_keeps_what_it_does_not_say() {
        let mut change = Change::new(event());
        change.request_id = Some("r-1".to_owned());
        learn(&mut change, &json!({"type": "UPDATE", "outcome": "REJECTED", "reason": null, "version": 2}));
        assert_eq!(change.request_id.as_deref(), Some("r-1"));
        assert_eq!(change.record.keys().copied().collect::<Vec<_>>(), ["outcome", "type", "version"]);
    }

    #[test]
    fn next_command_names_the_environment_on_aws_only() {
        let target = Target::by_contract(SdkConfig::builder().build(), "sit", "sit".to_owned());
        assert_eq!(no_entry(&target, event()).next, "catalogctl audit verify --env sit");
    }
}
