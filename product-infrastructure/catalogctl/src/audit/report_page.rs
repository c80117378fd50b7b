//! The page of `catalogctl audit report`: one HTML file without scripts that loads nothing.
//!
//! Whatever comes from outside goes through [`shown`] and maud's escaping, so it can neither become markup nor reorder the text.

use std::borrow::Cow;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::filter::Filter;
use super::record_row::Row;
use super::report::Listed;
use super::verify::{Verified, retention};
use crate::printable::printable;
use audit_log::finding::Finding;
use audit_log::verification::{Form, Integrity, Report};

/// Findings that the page lists; `audit verify --json` has all.
const MAX_FINDINGS: usize = 1_000;

/// Nothing is loaded and nothing is run, even if a browser were deceived.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --line: #d0d7de; --back: #ffffff; --head: #f3f5f7;
  --good: #1a7f37; --bad: #b42318; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --muted: #9da7b1; --line: #3d444d; --back: #0d1117;
  --head: #1c2128; --good: #4ac26b; --bad: #ff8078; --unsure: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem; max-width: 90rem; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; break-after: avoid; }
p, ul, ol { margin: .5rem 0; max-width: 48rem; }
.muted { color: var(--muted); }
.verdicts { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0 0; }
.verdict { flex: 1 1 20rem; border: 1px solid var(--line); border-left: .4rem solid var(--unsure); padding: .75rem 1rem;
  break-inside: avoid; }
.verdict strong { font-size: 1.25rem; color: var(--unsure); }
.good { border-left-color: var(--good); } .good strong { color: var(--good); }
.bad { border-left-color: var(--bad); } .bad strong { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .375rem .625rem; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); }
th[scope=row] { font-weight: 600; width: 15rem; }
tr { break-inside: avoid; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.counts { max-width: 38rem; } .counts th[scope=row] { width: auto; font-weight: 400; }
.records td { min-width: 6rem; overflow-wrap: anywhere; } .records td.product { min-width: 11rem; }
.records td.object { min-width: 17rem; }
code, .code { font-family: ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: .8125rem;
  overflow-wrap: anywhere; }
pre { background: var(--head); padding: .75rem 1rem; overflow-x: auto; white-space: pre-wrap; }
@page { size: A4 landscape; margin: 14mm; }
@media print { :root { color-scheme: light; --text: #000; --muted: #444; --line: #999; --back: #fff; --head: #eee;
  --good: #0b5d24; --bad: #8f1a10; --unsure: #6b4500; }
  body { padding: 0; max-width: none; font-size: 10pt; } table { font-size: 8pt; } .scroll { overflow: visible; }
  code, .code { font-size: 7.5pt; } .records td, .records td.product, .records td.object { min-width: 0; } }
";

/// The page of a verification and of the records that the filter selects.
pub fn page(verified: &Verified, filter: &Filter, listed: &Listed<'_>) -> Markup {
    let title = format!("Audit report: product catalogue, {}", verified.environment);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (shown(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (shown(&title)) }
                    p.muted { "Days: " (verified.days()) " (UTC). Verified: " (verified.verified_at) " by " (verified.tool) "." }
                }
                main {
                    (verdict_boxes(&verified.report))
                    (scope(verified, filter))
                    (counts(&verified.report))
                    (findings(&verified.report))
                    (records(filter, listed))
                    (proof(&verified.report))
                    (checking(verified))
                }
            }
        }
    }
}

/// Text from outside, without characters that reorder text or act upon a terminal.
fn shown(text: &str) -> Cow<'_, str> {
    printable(text)
}

fn verdict_boxes(report: &Report) -> Markup {
    let (class, word, sentence) = match report.integrity {
        Integrity::Intact if !report.compared_with_table => (
            "good",
            "INTACT",
            "Every record that was found was read and is what was written. Whether the newest records of a product are missing \
             wasn't verified.",
        ),
        Integrity::Intact => {
            ("good", "INTACT", "Every record of these days was read and is what was written, and none is missing.")
        }
        Integrity::Broken => (
            "bad",
            "BROKEN",
            "A record was altered, is missing, was reordered or isn't locked as required, or the database differs from the \
             records. See the findings.",
        ),
        Integrity::Incomplete if report.objects == 0 => ("unsure", "INCOMPLETE", "These days have no records."),
        Integrity::Incomplete => {
            ("unsure", "INCOMPLETE", "Nothing wrong was found, but archived records weren't read.")
        }
    };
    let (form_class, form, form_sentence) = match report.form {
        Form::Ok => ("good", "OK", "Each record that was read matches its schema."),
        Form::Invalid => (
            "bad",
            "INVALID",
            "A record doesn't match its schema. By itself, this does not indicate tampering. See the findings.",
        ),
    };
    html! {
        div.verdicts {
            section class={ "verdict " (class) } { div { "Integrity: " strong { (word) } } p { (sentence) } }
            section class={ "verdict " (form_class) } { div { "Form: " strong { (form) } } p { (form_sentence) } }
        }
    }
}

fn scope(verified: &Verified, filter: &Filter) -> Markup {
    let Verified { system, environment, bucket, table, tool, verified_at, report, .. } = verified;
    let table = match table {
        Some(table) => shown(table),
        None => Cow::Borrowed("not compared"),
    };
    let filter = filter.describe();
    html! {
        h2 { "What was verified" }
        table {
            tbody {
                (fact("Environment", environment))
                (fact("System", system))
                (fact("Bucket", bucket))
                (fact("Database table", &table))
                (fact("Days (UTC)", &verified.days()))
                (fact("Lock of each record", &retention(verified)))
                (fact("Records listed", filter.as_deref().unwrap_or("all")))
                (fact("Verified at", verified_at))
                (fact("Program", tool))
                tr { th scope="row" { "Digest of the objects read" } td.code { (report.digest) } }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { tr { th scope="row" { (name) } td { (shown(value)) } } }
}

fn counts(report: &Report) -> Markup {
    let rows = [
        ("Objects in these days", report.objects),
        ("Changes requested through the API", report.changes),
        ("… of which applied", report.applied),
        ("Products with applied changes", report.products),
        ("Changes made outside the API", report.made_by_hand),
        ("Archived objects, which weren't read", report.archived),
        ("Changes so recent that their records need not exist yet", report.pending),
        ("Products whose history began before these days", report.chains_begun_before),
        ("Objects whose lock could not be read", report.locks_unknown),
        ("Findings", report.findings.len() as u64),
    ];
    html! {
        h2 { "Counts" }
        table.counts {
            tbody {
                @for (name, count) in rows { tr { th scope="row" { (name) } td.number { (count) } } }
            }
        }
    }
}

fn findings(report: &Report) -> Markup {
    if report.findings.is_empty() {
        return html! { h2 { "Findings" } p { "None." } };
    }
    let row = |finding: &Finding| {
        html! {
            tr {
                td { @match finding.verdict {
                    audit_log::finding::Verdict::Integrity => "Integrity",
                    audit_log::finding::Verdict::Form => "Form",
                } }
                td { (finding.fault.name()) }
                td.code { (shown(&finding.object)) }
                td.code { @if let Some(id) = finding.product_id { (id.to_string()) } }
                td { (shown(&finding.why)) }
            }
        }
    };
    html! {
        h2 { "Findings" }
        div.scroll {
            table.records {
                thead { tr { th { "Verdict" } th { "Finding" } th { "Object" } th { "Product" } th { "Reason" } } }
                tbody { @for finding in report.findings.iter().take(MAX_FINDINGS) { (row(finding)) } }
            }
        }
        @if report.findings.len() > MAX_FINDINGS {
            p { (report.findings.len() - MAX_FINDINGS) " more findings are in the output of "
                code { "catalogctl audit verify --json" } "." }
        }
    }
}

fn records(filter: &Filter, listed: &Listed<'_>) -> Markup {
    let (selected, rows) = (listed.selected(), listed.rows.len() as u64);
    let kinds: Vec<String> = listed.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    html! {
        h2 { "Records" }
        p {
            (selected) " records" @if let Some(filter) = filter.describe() { " match " code { (shown(&filter)) } }
            @if !kinds.is_empty() { ": " (kinds.join(", ")) } "."
            @if rows < selected { " The first " (rows) " are listed; " code { "catalogctl audit export" } " writes all of them." }
        }
        @if rows > 0 {
            div.scroll {
                table.records {
                    thead {
                        tr {
                            th { "Time (UTC)" } th { "Product" } th { "Change" } th { "Outcome" } th { "By" }
                            th { "Price before" } th { "Price after" } th { "Changed" } th { "Record" }
                        }
                    }
                    tbody { @for row in &listed.rows { (record(row)) } }
                }
            }
        }
    }
}

fn record(row: &Row) -> Markup {
    let by = match (row.record_type.as_str(), row.reason.as_str()) {
        ("OUT_OF_BAND", "TTL") => "DynamoDB (expired)".to_owned(),
        ("OUT_OF_BAND", _) => "outside the API".to_owned(),
        _ if row.client.is_empty() => [row.api_key_id.as_str(), row.source_ip.as_str()].join(" "),
        _ => format!("{} ({}) {}", row.client, row.api_key_id, row.source_ip),
    };
    let outcome = match row.record_type.as_str() {
        "INVALID" => format!("INVALID {}: {}", row.fault, row.why),
        "OUT_OF_BAND" => "OUT_OF_BAND".to_owned(),
        _ => format!("{} {}", row.outcome, row.reason),
    };
    let requested = !row.price_requested.is_empty() && row.outcome != "APPLIED";
    html! {
        tr {
            td { (shown(&row.occurred_at)) }
            td.product {
                (shown(&row.name))
                @if !row.sku.is_empty() { br; "SKU " (shown(&row.sku)) }
                br;
                span.code { (shown(if row.product_id.is_empty() { &row.item } else { &row.product_id })) }
            }
            td { (shown(&row.change_type)) @if !row.version.is_empty() { br; span.muted { "version " (shown(&row.version)) } } }
            td { (shown(outcome.trim())) }
            td { (shown(by.trim())) }
            td.number { (amount(&row.price_before, &row.currency_before)) }
            td.number {
                (amount(&row.price_after, &row.currency_after))
                @if requested { br; span.muted { "requested " (amount(&row.price_requested, &row.currency_requested)) } }
            }
            td { (shown(&row.changed)) }
            td.code.object { (shown(&row.object)) br; span.muted { (shown(&row.sha256)) } }
        }
    }
}

fn amount(price: &str, currency: &str) -> Markup {
    html! { (shown(price)) @if !price.is_empty() { " " (shown(currency)) } }
}

/// What a reader may conclude, and what not.
fn proof(report: &Report) -> Markup {
    let is_intact = report.integrity == Integrity::Intact;
    let newest = if report.compared_with_table {
        "Yes, by comparison with the database."
    } else {
        "No: this verification didn't compare the records with the database."
    };
    let unapplied = if report.compared_with_table {
        "For the 90 days before the verification, by comparison with the database's journal. For older ones by the lock only: \
         such records aren't part of a chain."
    } else {
        "By the lock only: this verification didn't compare the records with the database."
    };
    let locked = match report.locks_unknown {
        0 => {
            "Yes, with mode and end. The lock of each object was read; an object without one is among the findings as \
             UNLOCKED, one whose lock can be lifted or ends earlier than required as WEAK_LOCK."
                .to_owned()
        }
        count => format!("Not for {count} objects, whose lock could not be read."),
    };
    let rows: [(&str, &str); 8] = [
        (
            "Was a record altered, removed, inserted or reordered after it was written?",
            if is_intact {
                "No. Each record of an applied change contains a hash of itself and of the product's previous record, and every \
                 hash was computed again."
            } else {
                "This report doesn't prove that none was. See the verdict and the findings."
            },
        ),
        ("Would the removal of a product's newest records be noticed?", newest),
        ("Are refused and superseded changes complete?", unapplied),
        ("Was it verified that the records are locked?", &locked),
        (
            "Did the person who owns the API key make the change?",
            "Not proved. A record shows which API key was used, not who used it.",
        ),
        (
            "Are the times right?",
            "As far as the clocks of AWS are. Records aren't signed by a time-stamping authority.",
        ),
        (
            "Could somebody with full control of the account have written false records from the start?",
            "Not excluded. Before a record is written, the programs and the account's administrators are trusted.",
        ),
        (
            "Is this page itself what the program wrote?",
            "Compare its SHA-256 with the manifest, as described below. Neither is signed: take the manifest from somebody you \
             trust, or repeat the verification.",
        ),
    ];
    html! {
        h2 { "What this proves, and what not" }
        table {
            thead { tr { th { "Question" } th { "Answer" } } }
            tbody { @for (question, answer) in rows { tr { td { (question) } td { (answer) } } } }
        }
    }
}

/// How somebody else can check the page.
fn checking(verified: &Verified) -> Markup {
    let option =
        |name: &str, date: Option<time::Date>| date.map(|date| format!(" --{name} {date}")).unwrap_or_default();
    let days = [option("from", verified.from), option("to", verified.to)].concat();
    html! {
        h2 { "How to check this report" }
        ol {
            li { "Compute the SHA-256 of this file, for example with " code { "sha256sum" } ". It must be the "
                code { "sha256" } " in the manifest, the file of the same name with " code { ".manifest.json" } " at its end." }
            li { "Verify the bucket again with credentials that may read it:"
                pre { code { "catalogctl audit verify --env " (verified.environment) (days) } }
                "If it prints the same digest, the bucket still has the same objects, byte for byte. Records that were written \
                 since then change the digest, so compare days that are over." }
            li { "For one record, compute the SHA-256 of its object in the bucket. It must be the one in the column Record." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit_bucket::DefaultRetention;
    use audit_log::lock::RequiredRetention;
    use std::collections::BTreeMap;

    fn report() -> Report {
        Report {
            integrity: Integrity::Intact,
            form: Form::Ok,
            digest: "d".repeat(64),
            findings: Vec::new(),
            objects: 2,
            changes: 2,
            applied: 1,
            made_by_hand: 0,
            products: 1,
            chains_begun_before: 0,
            archived: 0,
            pending: 0,
            locks_unknown: 0,
            compared_with_table: true,
        }
    }

    fn rendered(report: Report, rows: &[Row]) -> String {
        let verified = Verified {
            system: "prod (<AWS>, eu-west-1)".to_owned(),
            environment: "prod".to_owned(),
            bucket: "bbws-product-audit-logs-prod".to_owned(),
            table: Some("products".to_owned()),
            from: audit_log::window::day("2026-01-01").ok(),
            to: None,
            required_retention: RequiredRetention::in_environment("prod"),
            default_retention: DefaultRetention::None,
            tool: "catalogctl 0.1.0",
            verified_at: "2026-11-29T12:00:00Z".to_owned(),
            report,
        };
        let counts = BTreeMap::from([("APPLIED", rows.len() as u64)]);
        let listed = Listed { rows: rows.iter().collect(), counts };
        page(&verified, &Filter::default(), &listed).into_string()
    }

    #[test]
    fn escapes_whatever_comes_from_outside() {
        let attack = "</td><script>alert(1)</script>\" onload=\"x\u{202e}";
        let text = || attack.to_owned();
        let row = Row {
            record_type: "INVALID".to_owned(),
            occurred_at: text(),
            product_id: text(),
            change_type: text(),
            outcome: text(),
            reason: text(),
            version: text(),
            api_key_id: text(),
            source_ip: text(),
            name: text(),
            sku: text(),
            price_before: text(),
            currency_before: text(),
            price_after: text(),
            price_requested: text(),
            changed: text(),
            object: text(),
            sha256: text(),
            fault: text(),
            why: text(),
            ..Row::default()
        };
        let finding = Finding::new(attack, audit_log::finding::Fault::Foreign, attack);
        let html = rendered(Report { findings: vec![finding], ..report() }, &[row]);
        for part in ["<script", "\" onload", "<AWS>", "\u{202e}"] {
            assert!(!html.contains(part), "{part}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains("\\u{202e}"));
    }

    #[test]
    fn loads_nothing_from_elsewhere() {
        let html = rendered(report(), &[]);
        for part in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!html.contains(part), "{part}");
        }
        assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    }

    #[test]
    fn states_verdict_scope_and_limits() {
        let html = rendered(report(), &[]);
        for part in [
            "Integrity: <strong>INTACT</strong>",
            "bbws-product-audit-logs-prod",
            "from 2026-01-01",
            "--from 2026-01-01",
            "required: COMPLIANCE for at least 2557 days; default for new objects: none",
            "Yes, by comparison with the database.",
            "A record shows which API key was used, not who used it.",
        ] {
            assert!(html.contains(part), "{part}");
        }
        let broken = rendered(Report { integrity: Integrity::Broken, ..report() }, &[]);
        assert!(broken.contains("<strong>BROKEN</strong>") && broken.contains("doesn't prove that none was"));
        let alone = rendered(Report { compared_with_table: false, ..report() }, &[]);
        assert!(alone.contains("this verification didn't compare the records with the database"));
        assert!(!alone.contains("none is missing"), "the newest records may be");
        let empty = rendered(Report { integrity: Integrity::Incomplete, objects: 0, ..report() }, &[]);
        assert!(empty.contains("These days have no records."));
    }
}
