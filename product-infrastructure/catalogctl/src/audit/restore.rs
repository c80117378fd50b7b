//! `catalogctl audit restore`: makes archived records readable again for a number of days.
//!
//! After 365 days S3 moves records to Glacier, where they must be restored before `verify`, `export`, Athena or anybody else can
//! read them. The restored copy is temporary; the archived object stays locked and unchanged.

use anyhow::Result;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    GlacierJobParameters, ObjectStorageClass, OptionalObjectAttributes, RestoreRequest, Tier as S3Tier,
};
use clap::{Args, ValueEnum};
use futures_util::{TryStreamExt, stream};
use serde::Serialize;

use super::verify::Days;
use crate::aws::CallContext;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::{Meter, Progress};
use crate::target::Target;
use audit_log::window::Keys;

/// Concurrent restore requests.
const MAX_CONCURRENCY: usize = 20;

/// Restore archived audit records, so that they can be read for a number of days (default: dry run)
///
/// Records are archived 365 days after they were written. A bulk retrieval takes 5 to 12 hours, a standard one 3 to 5 hours
/// (S3 Glacier Flexible Retrieval). Run the command again to see the progress; a repeated request changes nothing.
///
/// Exit codes: 0 every record of the window can be read; 1 the command failed; 2 records are archived or being restored.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub days: Days,
    /// Days for which the restored copies can be read
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
    pub keep: u16,
    /// Retrieval tier: bulk is the cheapest
    #[arg(long, default_value = "bulk")]
    pub tier: Tier,
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// How quickly S3 restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    Bulk,
    Standard,
}

/// The state of the window's records, after the requests that were made.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Records in the window.
    pub objects: u64,
    /// Archived records whose restored copy can be read.
    pub restored: u64,
    /// Records that S3 is restoring.
    pub in_progress: u64,
    /// Archived records without a request.
    pub archived: u64,
    /// Requests that this run made; they are in progress.
    pub requested: u64,
}

/// Restores and prints the state.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let restored = restore(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&restored)?;
    } else {
        output::print(&text(&restored, arguments))?;
    }
    let readable = restored.archived == 0 && restored.in_progress == 0;
    Ok(if readable { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

async fn restore(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Restored> {
    let window = arguments.days.window()?;
    let (client, bucket) = (target.s3(), target.bucket.as_str());
    let step = progress.step(format!("list bucket {bucket}"));
    let (mut restored, mut archived) = (Restored::default(), Vec::new());
    for keys in window.all_keys() {
        list(&client, bucket, &keys, &step.meter(), &mut restored, &mut archived).await?;
    }
    step.done(format!("{} objects, {} archived", restored.objects, archived.len()));
    if !arguments.apply || archived.is_empty() {
        restored.archived = archived.len() as u64;
        return Ok(restored);
    }
    let step = progress.step("request restores");
    let meter = step.meter();
    meter.length(archived.len() as u64);
    let requests = stream::iter(archived.into_iter().map(Ok)).map_ok(|key| {
        let (client, meter) = (client.clone(), meter.clone());
        async move {
            request(&client, bucket, key, arguments).await?;
            meter.advance();
            anyhow::Ok(1)
        }
    });
    restored.requested =
        requests.try_buffer_unordered(MAX_CONCURRENCY).try_fold(0, async |sum, one| Ok(sum + one)).await?;
    restored.in_progress += restored.requested;
    step.done(format!("{} requested", restored.requested));
    Ok(restored)
}

/// Counts the objects of a range by their state, and collects the keys of archived ones.
async fn list(
    client: &Client,
    bucket: &str,
    range: &Keys,
    meter: &Meter,
    restored: &mut Restored,
    archived: &mut Vec<String>,
) -> Result<()> {
    let request =
        client.list_objects_v2().bucket(bucket).set_start_after((!range.after.is_empty()).then(|| range.after.clone()));
    let mut pages = request.optional_object_attributes(OptionalObjectAttributes::RestoreStatus).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.call("s3:ListBucket", format!("bucket {bucket}"))?;
        for object in page.contents() {
            let key = object.key().unwrap_or_default();
            if range.before.as_deref().is_some_and(|before| key >= before) {
                return Ok(());
            }
            restored.objects += 1;
            let is_archived =
                matches!(object.storage_class(), Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive));
            if !is_archived {
                continue;
            }
            match object.restore_status() {
                Some(status) if status.is_restore_in_progress() == Some(true) => restored.in_progress += 1,
                Some(status) if status.restore_expiry_date().is_some() => restored.restored += 1,
                _ => archived.push(key.to_owned()),
            }
        }
        meter.now(format!("{} objects", restored.objects));
    }
    Ok(())
}

/// Requests a restore. One that is already in progress counts as requested.
async fn request(client: &Client, bucket: &str, key: String, arguments: &Arguments) -> Result<()> {
    let tier = match arguments.tier {
        Tier::Bulk => S3Tier::Bulk,
        Tier::Standard => S3Tier::Standard,
    };
    let parameters = GlacierJobParameters::builder().tier(tier).build()?;
    let request = RestoreRequest::builder().days(i32::from(arguments.keep)).glacier_job_parameters(parameters).build();
    match client.restore_object().bucket(bucket).key(&key).restore_request(request).send().await {
        Err(error) if error.code() == Some("RestoreAlreadyInProgress") => Ok(()),
        response => {
            response.call("s3:RestoreObject", format!("object {key} of bucket {bucket}"))?;
            Ok(())
        }
    }
}

fn text(restored: &Restored, arguments: &Arguments) -> String {
    let Restored { objects, restored: readable, in_progress, archived, requested } = restored;
    let mut lines =
        vec![format!("Objects: {objects}. Restored: {readable}. In progress: {in_progress}. Archived: {archived}.")];
    if *requested > 0 {
        lines.push(format!(
            "Requested: {requested}, for {} days. Run the command again to see the progress.",
            arguments.keep
        ));
    }
    if *archived > 0 {
        lines.push("Dry run: no changes made. Re-run with --apply.".to_owned());
    }
    lines.join("\n")
}
