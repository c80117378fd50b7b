//! `catalogctl audit history`: the changes of one product.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;

use super::product_search::{self, Description, Matches};
use super::verify::{Days, describe};
use crate::audit_bucket::Listed;
use crate::exit_status::ExitStatus;
use crate::keys::register::Register;
use crate::output;
use crate::progress::Progress;
use crate::table_text::table;
use crate::target::Target;
use audit_log::chain::Chains;
use audit_log::finding::{Finding, Verdict};
use audit_log::ids::{EventId, ProductId};
use audit_log::record::Record;
use audit_log::verification::{Content, Object};
use audit_log::window::Window;

/// Show a product's changes: what was requested, by whom, with which outcome
///
/// Reads every object of the bucket or of the window, because S3 has no index by product. --quick instead follows the chain
/// back from the product's newest record, and reads the last 90 days' journal of the table; it omits older changes that
/// weren't applied or were made outside the API.
///
/// With --sku or --name, the product is first searched for in the same records: one that has or had the SKU or the name,
/// deleted products included. With --quick, it is looked up in the table, which finds active products only. If more than one
/// matches, they are listed instead.
///
/// Exit codes: 0 the hash chain is intact; 1 the command failed, or there is no record of the product; 2 there are findings, or
/// more than one product matches.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub product: Product,
    #[command(flatten)]
    pub days: Days,
    /// Follow the chain back from the table's product instead of reading the whole bucket
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub quick: bool,
    /// Print the output as JSON: the records and the findings
    #[arg(long)]
    pub json: bool,
}

/// Which product.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Product {
    /// Product ID
    #[arg(value_parser = product)]
    pub id: Option<ProductId>,
    /// SKU that the product has or had, compared exactly
    #[arg(long, value_name = "SKU", value_parser = Description::sku)]
    pub sku: Option<Description>,
    /// Name that the product has or had, compared regardless of case and whitespace
    #[arg(long, value_name = "NAME", value_parser = Description::name)]
    pub name: Option<Description>,
}

/// Parses a product ID; surrounding whitespace and upper case are accepted.
pub fn product(text: &str) -> Result<ProductId, String> {
    ProductId::parse(&text.trim().to_lowercase()).ok_or_else(|| "must be a UUID with hyphens".to_owned())
}

/// The records of a product.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    pub product_id: ProductId,
    /// In the order of time.
    pub records: Vec<Value>,
    /// The names of the clients in the records, by API key ID.
    pub clients: BTreeMap<String, String>,
    pub findings: Vec<Finding>,
}

impl History {
    fn name_clients(&mut self, register: &Register) {
        let keys = self.records.iter().filter_map(|record| record["actor"]["apiKeyId"].as_str());
        self.clients = keys.filter_map(|id| Some((id.to_owned(), register.client(id)?.to_owned()))).collect();
    }
}

/// Collects a product's records and prints them.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let window = arguments.days.window()?;
    let id = match find(target, arguments, window, progress).await? {
        Found::One(id) => id,
        Found::Several(description, matches) => {
            if arguments.json {
                output::print_json(&matches)?;
            } else {
                output::print(&matches.text(&description))?;
            }
            return Ok(ExitStatus::NeedsAttention);
        }
    };
    let register = Register::read_and_report(&target.audit_bucket(), progress).await?;
    let mut history = if arguments.quick {
        follow_chain(target, id, progress).await?
    } else {
        search(target, id, window, progress).await?
    };
    history.name_clients(&register);
    if history.records.is_empty() && history.findings.is_empty() {
        if window.is_whole() {
            bail!("the audit log has no record of product {id}");
        }
        bail!(
            "the audit log has no record of product {id} in this window ({}). Other days weren't searched",
            describe(&window)
        );
    }
    if arguments.json {
        output::print_json(&history)?;
    } else {
        output::print(&text(&history))?;
    }
    Ok(if history.findings.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// What the arguments name.
enum Found {
    One(ProductId),
    Several(Description, Matches),
}

/// The product that the arguments name. Fails when no product matches a SKU or a name.
async fn find(target: &Target, arguments: &Arguments, window: Window, progress: &Progress) -> Result<Found> {
    let Product { id, sku, name } = &arguments.product;
    let description = match (id, sku.as_ref().or(name.as_ref())) {
        (Some(id), _) => return Ok(Found::One(*id)),
        (None, Some(description)) => description,
        (None, None) => bail!("no product is named. Use an ID, --sku or --name"),
    };
    let matches = if arguments.quick {
        product_search::in_table(target, description).await?
    } else {
        product_search::in_records(target, description, window, progress).await?
    };
    let gaps = matches.gaps();
    match matches.matches.as_slice() {
        [] if arguments.quick => bail!(
            "no active product has the {description}. Without --quick, the audit records are searched, and deleted and \
             changed products with them"
        ),
        [] => {
            let gaps = gaps.map(|gaps| format!(". {gaps}")).unwrap_or_default();
            bail!("no audit record ({}) has a product with the {description}{gaps}", describe(&window))
        }
        found => {
            if let Some(gaps) = gaps {
                progress.say(gaps);
            }
            match found {
                [one] => Ok(Found::One(one.product_id)),
                _ => Ok(Found::Several(description.clone(), matches)),
            }
        }
    }
}

/// Searches every object of the window.
async fn search(target: &Target, id: ProductId, window: Window, progress: &Progress) -> Result<History> {
    let bucket = target.audit_bucket();
    let step = progress.step(format!("search bucket {} for product {id}", bucket.name()));
    let mut collected = Collected::new(id, window.from.is_some());
    let mut objects = std::pin::pin!(bucket.objects(window.all_keys(), &step.meter()));
    let mut read = 0_u64;
    while let Some(object) = objects.try_next().await? {
        read += 1;
        collected.take(object);
    }
    step.done(format!("{} of {read} objects", collected.records.len()));
    Ok(collected.finish())
}

/// Follows the chain back from the table's product, and reads its journal.
async fn follow_chain(target: &Target, id: ProductId, progress: &Progress) -> Result<History> {
    let (bucket, table) = (target.audit_bucket(), target.products());
    let step = progress.step(format!("follow the chain of product {id}"));
    let meter = step.meter();
    let (facts, entries) = table.product(id, None).await?;
    let mut events: BTreeSet<EventId> = entries.into_iter().map(|(event, _)| event).collect();
    let mut next = facts.map(|facts| facts.last_event);
    while let Some(event) = next {
        meter.now(event.object_key());
        events.insert(event);
        next = match bucket.record(&event.object_key(), None).await {
            Ok(Record::Change(change)) => change.link.and_then(|link| link.before).map(|(_, before)| before),
            // `collected` reports what is wrong with it.
            _ => None,
        };
    }
    let mut collected = Collected::new(id, false);
    let listed = events.iter().map(|event| Listed::once(event.object_key())).collect();
    let mut objects = std::pin::pin!(bucket.read_listed(listed));
    while let Some(object) = objects.try_next().await? {
        collected.take(object);
    }
    step.done(format!("{} objects", events.len()));
    Ok(collected.finish())
}

/// The product's records found so far.
struct Collected {
    id: ProductId,
    chains: Chains,
    records: Vec<(u64, String, Value)>,
    findings: Vec<Finding>,
}

impl Collected {
    fn new(id: ProductId, may_have_begun: bool) -> Self {
        Self { id, chains: Chains::new(may_have_begun), records: Vec::new(), findings: Vec::new() }
    }

    fn take(&mut self, object: Object) {
        match object.content {
            Content::Record(record) if record.product_id() == Some(self.id) => {
                self.findings.extend(record.form().map(|form| form.clone().of(self.id)));
                if let Record::Change(change) = &record {
                    self.findings.extend(self.chains.follow(change, None));
                }
                self.records.push((record.millis(), object.key, record.document().clone()));
            }
            // An unreadable object may be of any product.
            Content::Invalid(finding, _) if finding.product_id.is_none_or(|product| product == self.id) => {
                self.findings.push(finding);
            }
            Content::Archived => self.chains.may_have_begun(),
            _ => {}
        }
    }

    fn finish(mut self) -> History {
        self.findings.extend(self.chains.finish(|_| None));
        self.records.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let records: Vec<Value> = self.records.into_iter().map(|(_, _, document)| document).collect();
        // Unreadable objects of no known product matter only if this chain has a gap.
        let own = |finding: &Finding| finding.product_id == Some(self.id);
        let has_gap = |finding: &Finding| own(finding) && finding.verdict == Verdict::Integrity;
        if !self.findings.iter().any(has_gap) && !records.is_empty() {
            self.findings.retain(own);
        }
        History { product_id: self.id, records, clients: BTreeMap::new(), findings: self.findings }
    }
}

/// A line for each record, then the findings.
fn text(history: &History) -> String {
    let rows: Vec<[String; 6]> = history.records.iter().map(|record| row(record, &history.clients)).collect();
    let mut text = format!("Product {}\n\n", history.product_id);
    text.push_str(&table(["time (UTC)", "change", "outcome", "version", "by", "event: what changed"], &rows));
    let (integrity, form): (Vec<_>, Vec<_>) =
        history.findings.iter().partition(|finding| finding.verdict == Verdict::Integrity);
    let list = |findings: &[&Finding]| findings.iter().map(|finding| format!("\n  {finding}")).collect::<String>();
    text.push_str(&match integrity.as_slice() {
        [] => "\nHash chain intact.".to_owned(),
        findings => format!("\nBROKEN:{}", list(findings)),
    });
    if !form.is_empty() {
        text.push_str(&format!("\nThese records don't match their schema:{}", list(&form)));
    }
    text
}

fn row(record: &Value, clients: &BTreeMap<String, String>) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if record["recordType"] == "OUT_OF_BAND" {
        let what = format!("{} {}", text(&record["changeType"]), text(&record["key"]["SK"]));
        let changed = differences(record.get("before"), record.get("after"));
        let by = if record["cause"] == "TTL" { "DynamoDB (expired)" } else { "outside the API" };
        return [
            text(&record["observedAt"]),
            "OUT_OF_BAND".to_owned(),
            String::new(),
            String::new(),
            by.to_owned(),
            if record["cause"] == "TTL" { what } else { format!("{what}: {changed}") },
        ];
    }
    let outcome = match record["reason"].as_str() {
        Some(reason) => format!("{} {reason}", text(&record["outcome"])),
        None => text(&record["outcome"]),
    };
    let key = text(&record["actor"]["apiKeyId"]);
    let key = clients.get(&key).map(|client| format!("{client} ({key})")).unwrap_or(key);
    let actor = [key, text(&record["actor"]["sourceIp"])];
    let changed = if record["outcome"] == "APPLIED" {
        if record["type"] == "DELETE" { None } else { Some(differences(record.get("before"), record.get("after"))) }
    } else {
        let requested = &record["requested"];
        let content = requested.get("product").or(requested.get("patch"));
        content.map(|content| format!("requested {}", differences(None, Some(content))))
    };
    let changed = changed.map(|changed| format!(": {changed}")).unwrap_or_default();
    [
        text(&record["occurredAt"]),
        text(&record["type"]),
        outcome,
        record["version"].as_u64().map(|version| version.to_string()).unwrap_or_default(),
        actor.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        format!("{}{changed}", text(&record["eventId"])),
    ]
}

/// The members that differ, without those that differ in every change: `price "19.99" → "17.50"`.
fn differences(before: Option<&Value>, after: Option<&Value>) -> String {
    const ALWAYS: [&str; 5] = ["version", "updatedAt", "lastEventId", "chainHash", "PK"];
    const FIRST: [&str; 5] = ["productId", "status", "createdAt", "SK", "expiresAt"];
    const MAX_CHARACTERS: usize = 60;
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (members(before), members(after));
    let shorten = |value: &Value| {
        let text = value.to_string();
        let cut: String = text.chars().take(MAX_CHARACTERS).collect();
        if cut.len() < text.len() { format!("{cut}…") } else { cut }
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changes: Vec<String> = names
        .into_iter()
        .filter(|name| !ALWAYS.contains(&name.as_str()))
        .filter(|name| before.is_some() && after.is_some() || !FIRST.contains(&name.as_str()))
        .filter_map(|name| match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("{name} {} → {}", shorten(old), shorten(new))),
            (None, Some(new)) => Some(format!("{name} {}", shorten(new))),
            (Some(old), None) => Some(format!("{name} {} → removed", shorten(old))),
            (None, None) => None,
        })
        .collect();
    changes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_shows_what_changed() {
        let clients = BTreeMap::from([("k1".to_owned(), "shop".to_owned())]);
        let row = |record: &Value| super::row(record, &clients);
        let product = json!({"name": "Lamp", "price": "1.00", "version": 1, "status": "ACTIVE"});
        let mut other = product.clone();
        other["price"] = json!("2.00");
        other["sku"] = json!("S");
        let update = json!({"recordType": "CHANGE", "type": "UPDATE", "outcome": "APPLIED", "version": 2, "eventId": "e",
            "occurredAt": "t", "actor": {"apiKeyId": "k"}, "before": product, "after": other});
        assert_eq!(row(&update), ["t", "UPDATE", "APPLIED", "2", "k", "e: price \"1.00\" → \"2.00\", sku \"S\""]);
        let back = differences(Some(&other), Some(&product));
        assert_eq!(back, "price \"2.00\" → \"1.00\", sku \"S\" → removed");
        let create = json!({"recordType": "CHANGE", "type": "CREATE", "outcome": "APPLIED", "version": 1, "eventId": "e",
            "occurredAt": "t", "actor": {}, "after": product});
        assert_eq!(row(&create)[5], "e: name \"Lamp\", price \"1.00\"");
        let rejected = json!({"recordType": "CHANGE", "type": "DELETE", "outcome": "REJECTED", "reason": "NOT_FOUND",
            "eventId": "e", "occurredAt": "t", "actor": {"apiKeyId": "k", "sourceIp": "i"}});
        let mut of_client = rejected.clone();
        of_client["actor"]["apiKeyId"] = json!("k1");
        assert_eq!(row(&of_client)[4], "shop (k1) i");
        assert_eq!(row(&rejected), ["t", "DELETE", "REJECTED NOT_FOUND", "", "k i", "e"]);
        let patch = json!({"recordType": "CHANGE", "type": "UPDATE", "outcome": "REJECTED", "reason": "INVALID_RESULT",
            "eventId": "e", "occurredAt": "t", "actor": {}, "version": 3, "requested": {"patch": {"price": "0.001"}}});
        assert_eq!(row(&patch)[5], "e: requested price \"0.001\"");
        let edit = json!({"recordType": "OUT_OF_BAND", "cause": "MANUAL", "changeType": "MODIFY", "observedAt": "t",
            "key": {"SK": "META"}, "before": {"name": "a"}, "after": {"name": "x".repeat(80)}});
        assert_eq!(row(&edit)[4], "outside the API");
        assert!(row(&edit)[5].starts_with("MODIFY META: name \"a\" → \"xxx") && row(&edit)[5].ends_with('…'));
        let expired = json!({"recordType": "OUT_OF_BAND", "cause": "TTL", "changeType": "REMOVE", "observedAt": "t",
            "key": {"SK": "EVENT#1"}, "before": {"name": "a"}});
        assert_eq!(row(&expired), ["t", "OUT_OF_BAND", "", "", "DynamoDB (expired)", "REMOVE EVENT#1"]);
    }

    #[test]
    fn accepts_copied_product_id() {
        let id = "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03";
        assert_eq!(product(&format!(" {} ", id.to_uppercase())).unwrap().to_string(), id);
        assert!(product("lamp").is_err());
    }
}
