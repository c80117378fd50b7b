//! The bucket for Terraform's state: its required settings, and how missing ones are applied.

use std::fmt;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus,
    CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, VersioningConfiguration,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::CallContext;
use crate::target::Environment;

/// Days for which a replaced state can be restored.
const NONCURRENT_DAYS: i32 = 90;
/// Days after which an incomplete upload is aborted.
const ABORT_DAYS: i32 = 7;
/// IDs of this module's lifecycle rule and policy statement; others stay as they are.
const RULE: &str = "noncurrent-states-go-after-90-days";
const STATEMENT: &str = "TlsOnly";

/// The name of an environment's bucket, as in every root's `environments/{env}.s3.tfbackend`.
pub fn name(environment: Environment) -> String {
    format!("bbws-terraform-state-{environment}")
}

/// A required setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Public access is blocked in all four ways: the state of `api-keys` holds the keys.
    NotPublic,
    /// Access control lists are disabled, so only policies grant access.
    OwnerEnforced,
    /// An overwritten or deleted state can be restored.
    Versioned,
    /// Encrypted by default with SSE-S3, or with KMS where that is set already. SSE-S3 because `encrypt = true` in the
    /// roots' backends requests it for every state, so a KMS default would never be used.
    Encrypted,
    /// Noncurrent versions expire after 90 days, incomplete uploads after 7; expired delete markers are removed.
    Lifecycle,
    /// Requests without TLS are denied.
    TlsOnly,
}

impl Setting {
    /// All settings, in the order in which a new bucket gets them: access is blocked first.
    pub const ALL: [Self; 6] =
        [Self::NotPublic, Self::OwnerEnforced, Self::Versioned, Self::Encrypted, Self::Lifecycle, Self::TlsOnly];
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotPublic => "block all public access",
            Self::OwnerEnforced => "bucket owner enforced (no access control lists)",
            Self::Versioned => "versioning",
            Self::Encrypted => "default encryption (SSE-S3)",
            Self::Lifecycle => "lifecycle: noncurrent versions expire after 90 days, incomplete uploads after 7",
            Self::TlsOnly => "policy: TLS only",
        })
    }
}

/// The changes that a bucket needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The bucket doesn't exist.
    pub create: bool,
    /// Settings that are missing or different.
    pub settings: Vec<Setting>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        !self.create && self.settings.is_empty()
    }
}

/// A bucket for Terraform's state.
#[derive(Debug)]
pub struct StateBucket {
    pub client: Client,
    pub name: String,
    pub region: String,
    /// The account that must own the bucket. Bucket names are global: without this check, the state could be written to
    /// somebody else's bucket of that name.
    pub owner: Option<String>,
}

impl StateBucket {
    /// Compares the bucket with the required settings.
    pub async fn plan(&self) -> Result<Plan> {
        if !self.exists().await? {
            return Ok(Plan { create: true, settings: Setting::ALL.to_vec() });
        }
        let mut settings = Vec::new();
        for setting in &Setting::ALL {
            let has = self.has(*setting).await;
            if !has.with_context(|| format!("failed to read a setting of bucket {} ({setting})", self.name))? {
                settings.push(*setting);
            }
        }
        Ok(Plan { create: false, settings })
    }

    /// Makes the changes.
    pub async fn apply(&self, plan: &Plan) -> Result<()> {
        if plan.create {
            self.create().await.with_context(|| format!("failed to create bucket {}", self.name))?;
        }
        for setting in &plan.settings {
            self.set(*setting)
                .await
                .with_context(|| format!("failed to configure bucket {} ({setting})", self.name))?;
        }
        Ok(())
    }

    async fn exists(&self) -> Result<bool> {
        let head = self.client.head_bucket().bucket(&self.name).set_expected_bucket_owner(self.owner.clone());
        match head.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => Ok(false),
            // 403: another account owns the name, or the credentials lack s3:ListBucket. 301: another region.
            Err(SdkError::ServiceError(error)) => bail!(
                "bucket {} exists but isn't accessible (HTTP {}): it belongs to another account or region, or these \
                 credentials lack s3:ListBucket",
                self.name,
                error.raw().status()
            ),
            Err(error) => Err(error).call("s3:ListBucket", format!("bucket {}", self.name)).map_err(Into::into),
        }
    }

    async fn create(&self) -> Result<()> {
        // S3 rejects a location constraint for us-east-1.
        let location = (self.region != "us-east-1").then(|| {
            let region = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        self.client.create_bucket().bucket(&self.name).set_create_bucket_configuration(location).send().await?;
        Ok(())
    }

    async fn has(&self, setting: Setting) -> Result<bool> {
        let (bucket, owner) = (&self.name, self.owner.clone());
        Ok(match setting {
            Setting::NotPublic => {
                let answer = self.client.get_public_access_block().bucket(bucket).set_expected_bucket_owner(owner);
                let found = unless_absent(answer.send().await, "NoSuchPublicAccessBlockConfiguration")?;
                found.and_then(|found| found.public_access_block_configuration).is_some_and(|found| {
                    [
                        found.block_public_acls,
                        found.ignore_public_acls,
                        found.block_public_policy,
                        found.restrict_public_buckets,
                    ]
                    .iter()
                    .all(|blocked| *blocked == Some(true))
                })
            }
            Setting::OwnerEnforced => {
                let answer =
                    self.client.get_bucket_ownership_controls().bucket(bucket).set_expected_bucket_owner(owner);
                let found = unless_absent(answer.send().await, "OwnershipControlsNotFoundError")?;
                let rules = found.and_then(|found| found.ownership_controls).map(|controls| controls.rules);
                rules
                    .unwrap_or_default()
                    .iter()
                    .any(|rule| rule.object_ownership == ObjectOwnership::BucketOwnerEnforced)
            }
            Setting::Versioned => {
                let answer = self.client.get_bucket_versioning().bucket(bucket).set_expected_bucket_owner(owner);
                answer.send().await?.status == Some(BucketVersioningStatus::Enabled)
            }
            Setting::Encrypted => {
                let answer = self.client.get_bucket_encryption().bucket(bucket).set_expected_bucket_owner(owner);
                let found = unless_absent(answer.send().await, "ServerSideEncryptionConfigurationNotFoundError")?;
                let rules = found.and_then(|found| found.server_side_encryption_configuration).map(|found| found.rules);
                rules.unwrap_or_default().iter().any(|rule| rule.apply_server_side_encryption_by_default.is_some())
            }
            Setting::Lifecycle => self.lifecycle().await?.contains(&our_rule()?),
            Setting::TlsOnly => with_statement(self.policy().await?.as_deref(), bucket)?.is_none(),
        })
    }

    async fn set(&self, setting: Setting) -> Result<()> {
        let (bucket, owner) = (&self.name, self.owner.clone());
        match setting {
            Setting::NotPublic => {
                let all = PublicAccessBlockConfiguration::builder()
                    .block_public_acls(true)
                    .ignore_public_acls(true)
                    .block_public_policy(true)
                    .restrict_public_buckets(true)
                    .build();
                let call = self.client.put_public_access_block().bucket(bucket).set_expected_bucket_owner(owner);
                call.public_access_block_configuration(all).send().await?;
            }
            Setting::OwnerEnforced => {
                let rule =
                    OwnershipControlsRule::builder().object_ownership(ObjectOwnership::BucketOwnerEnforced).build()?;
                let call = self.client.put_bucket_ownership_controls().bucket(bucket).set_expected_bucket_owner(owner);
                call.ownership_controls(OwnershipControls::builder().rules(rule).build()?).send().await?;
            }
            Setting::Versioned => {
                let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
                let call = self.client.put_bucket_versioning().bucket(bucket).set_expected_bucket_owner(owner);
                call.versioning_configuration(enabled).send().await?;
            }
            Setting::Encrypted => {
                let default =
                    ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build()?;
                let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
                let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
                let call = self.client.put_bucket_encryption().bucket(bucket).set_expected_bucket_owner(owner);
                call.server_side_encryption_configuration(rules).send().await?;
            }
            Setting::Lifecycle => {
                let others = self.lifecycle().await?.into_iter().filter(|rule| rule.id.as_deref() != Some(RULE));
                let rules = others.chain([our_rule()?]).collect();
                let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build()?;
                let call = self.client.put_bucket_lifecycle_configuration().bucket(bucket);
                call.set_expected_bucket_owner(owner).lifecycle_configuration(rules).send().await?;
            }
            Setting::TlsOnly => {
                if let Some(policy) = with_statement(self.policy().await?.as_deref(), bucket)? {
                    let call = self.client.put_bucket_policy().bucket(bucket).set_expected_bucket_owner(owner);
                    call.policy(policy).send().await?;
                }
            }
        }
        Ok(())
    }

    async fn lifecycle(&self) -> Result<Vec<LifecycleRule>> {
        let call = self.client.get_bucket_lifecycle_configuration().bucket(&self.name);
        let answer = call.set_expected_bucket_owner(self.owner.clone()).send().await;
        let found = unless_absent(answer, "NoSuchLifecycleConfiguration")?;
        Ok(found.and_then(|found| found.rules).unwrap_or_default())
    }

    async fn policy(&self) -> Result<Option<String>> {
        let call = self.client.get_bucket_policy().bucket(&self.name).set_expected_bucket_owner(self.owner.clone());
        Ok(unless_absent(call.send().await, "NoSuchBucketPolicy")?.and_then(|found| found.policy))
    }
}

/// The response, or `None` when S3's error code says that the setting doesn't exist.
fn unless_absent<T, E, R>(answer: Result<T, SdkError<E, R>>, code: &str) -> Result<Option<T>>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some(code) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn our_rule() -> Result<LifecycleRule> {
    let rule = LifecycleRule::builder()
        .id(RULE)
        .status(ExpirationStatus::Enabled)
        // An empty prefix matches every object.
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .noncurrent_version_expiration(NoncurrentVersionExpiration::builder().noncurrent_days(NONCURRENT_DAYS).build())
        .expiration(LifecycleExpiration::builder().expired_object_delete_marker(true).build())
        .abort_incomplete_multipart_upload(
            AbortIncompleteMultipartUpload::builder().days_after_initiation(ABORT_DAYS).build(),
        )
        .build()?;
    Ok(rule)
}

/// The policy with the statement that denies requests without TLS; `None` when the statement exists. Other statements stay
/// as they are.
fn with_statement(policy: Option<&str>, bucket: &str) -> Result<Option<String>> {
    let ours = json!({
        "Sid": STATEMENT, "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    let mut policy: Value = match policy {
        Some(policy) => serde_json::from_str(policy).context("the bucket policy isn't valid JSON")?,
        None => json!({"Version": "2012-10-17", "Statement": []}),
    };
    let statements = policy["Statement"].take();
    // IAM also accepts a single statement without an array.
    let mut statements = if let Value::Array(list) = statements { list } else { vec![statements] };
    if statements.contains(&ours) {
        return Ok(None);
    }
    statements.retain(|statement| statement["Sid"] != STATEMENT);
    statements.push(ours);
    policy["Statement"] = Value::Array(statements);
    Ok(Some(policy.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_keeps_other_statements() {
        let new: Value = serde_json::from_str(&with_statement(None, "b").unwrap().unwrap()).unwrap();
        assert_eq!(new["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(with_statement(Some(&new.to_string()), "b").unwrap(), None);
        let others = json!({"Version": "2012-10-17", "Id": "x", "Statement": {"Sid": "A", "Effect": "Deny"}});
        let both: Value =
            serde_json::from_str(&with_statement(Some(&others.to_string()), "b").unwrap().unwrap()).unwrap();
        assert_eq!(
            (&both["Id"], &both["Statement"][0]["Sid"], &both["Statement"][1]),
            (&json!("x"), &json!("A"), &new["Statement"][0])
        );
        let mut weakened = new.clone();
        weakened["Statement"][0]["Effect"] = json!("Allow");
        let repaired = with_statement(Some(&weakened.to_string()), "b").unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&repaired).unwrap(), new);
        assert!(with_statement(Some("{"), "b").is_err());
    }
}
