//! Queues a replacement or a patch of an existing product that has the version that the caller expects.
//!
//! The product is read first. A caller's typo is a 404 at once instead of a message that nobody can apply, and the event ID
//! is greater than that of the last change seen, whatever this machine's clock says.

use serde_json::{Map, Value};

use crate::models::change_event::{ChangeEvent, ChangeType, Origin, Requested};
use crate::models::expected_version::{Evaluation, ExpectedVersion};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::money::Amount;
use crate::models::product_content::ProductContent;
use crate::models::product_status::Status;
use crate::models::timestamp::Timestamp;
use crate::models::violation::Violation;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_products::{CurrentProducts, ReadError};

/// A request to change a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateProductRequest {
    pub product_id: ProductId,
    pub update: Update,
    /// The conditions of the request's headers.
    pub expected: ExpectedVersion,
    pub origin: Origin,
    pub now: Timestamp,
}

/// The requested change of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    Replace(ProductContent),
    /// A normalized merge patch. An empty one is a change like any other: the product gets a new version.
    Patch(Map<String, Value>),
}

/// The outcome of an understood request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted(EventId),
    /// The product is unknown or deleted.
    NotFound,
    /// The product's version doesn't meet the caller's conditions.
    PreconditionFailed {
        failed: Evaluation,
        current_version: u64,
    },
    /// The patch makes a product that breaks a rule.
    InvalidResult(Vec<Violation>),
    /// Another active product has the SKU.
    SkuTaken {
        holder: ProductId,
    },
}

/// Why a change was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UpdateProductError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Queues the change. product-creator checks version, rules and SKU again, with authority: another change may be under way.
///
/// A patch is merged into the product as it is then. The merge here only refuses at once what cannot work.
pub async fn update_product(
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
    request: UpdateProductRequest,
) -> Result<Outcome, UpdateProductError> {
    let UpdateProductRequest { product_id, update, expected, origin, now } = request;
    let Some(current) = products.current(product_id).await?.filter(|current| current.status == Status::Active) else {
        return Ok(Outcome::NotFound);
    };
    let failed = expected.evaluate(current.version);
    if failed != Evaluation::Met {
        return Ok(Outcome::PreconditionFailed { failed, current_version: current.version });
    }
    let (content, requested) = match update {
        Update::Replace(content) => {
            let requested = Requested::Product(content.to_json());
            (content, requested)
        }
        Update::Patch(patch) => {
            let patch = with_decimals_of(&current.content, patch);
            match current.content.merge(&patch) {
                Ok(content) => (content, Requested::Patch(patch)),
                Err(violations) => return Ok(Outcome::InvalidResult(violations)),
            }
        }
    };
    if let Some(sku) = content.sku.as_ref().filter(|sku| Some(*sku) != current.content.sku.as_ref())
        && let Some(holder) = products.sku_holder(sku).await?
        && holder != product_id
    {
        return Ok(Outcome::SkuTaken { holder });
    }
    let mut event =
        ChangeEvent::new(ChangeType::Update, product_id, Some(current.last_event_id), now, origin, Some(requested));
    event.expected_version = expected.required_version(current.version);
    queue.publish(&event).await?;
    Ok(Outcome::Accepted(event.event_id))
}

/// The patch with its price written as the product's currency writes it, if it has no currency of its own.
fn with_decimals_of(content: &ProductContent, mut patch: Map<String, Value>) -> Map<String, Value> {
    if !patch.contains_key("currency")
        && let Some(price) = patch.get_mut("price")
        && let Some(Ok(amount)) = price.as_str().map(Amount::parse)
        // An amount with too many decimals stays as it is: the merge names the violation.
        && let Ok(money) = amount.in_currency(content.price.currency())
    {
        *price = Value::String(money.to_string());
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::current_products::{CurrentProduct, MockCurrentProducts};
    use serde_json::json;

    const NOW: u64 = 1_800_000_000_000;

    fn content(sku: &str) -> ProductContent {
        serde_json::from_value(json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "sku": sku})).unwrap()
    }

    fn request(update: Update) -> UpdateProductRequest {
        UpdateProductRequest {
            product_id: ProductId::random(),
            update,
            expected: ExpectedVersion::default(),
            origin: Origin::default(),
            now: Timestamp::from_unix_millis(NOW),
        }
    }

    fn replace(sku: &str) -> UpdateProductRequest {
        request(Update::Replace(content(sku)))
    }

    fn patch(patch: &Value) -> UpdateProductRequest {
        request(Update::Patch(patch.as_object().unwrap().clone()))
    }

    /// A table with version 3 of the product, whose SKU is OAK-1.
    fn table_with(status: Status, last_event_millis: u64) -> MockCurrentProducts {
        let last_event_id = EventId::after(None, Timestamp::from_unix_millis(last_event_millis));
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(move |_| {
            Ok(Some(CurrentProduct { status, version: 3, last_event_id, content: content("OAK-1") }))
        });
        products
    }

    fn queue_expecting(requested: Requested) -> MockChangePublisher {
        let mut queue = MockChangePublisher::new();
        queue
            .expect_publish()
            .withf(move |event| event.requested == Some(requested.clone()))
            .times(1)
            .returning(|_| Ok(()));
        queue
    }

    #[tokio::test]
    async fn takes_event_id_after_change_that_was_seen_even_if_clock_is_behind() {
        let mut queue = MockChangePublisher::new();
        queue
            .expect_publish()
            .withf(|event| event.event_id.unix_millis() == NOW + 5_001 && event.occurred_at.unix_millis() == NOW)
            .times(1)
            .returning(|_| Ok(()));
        let products = table_with(Status::Active, NOW + 5_000);
        let outcome = update_product(&products, &queue, replace("OAK-1")).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn queues_nothing_for_unknown_or_deleted_product() {
        let mut nothing = MockCurrentProducts::new();
        nothing.expect_current().returning(|_| Ok(None));
        for products in [nothing, table_with(Status::Deleted, NOW)] {
            let outcome = update_product(&products, &MockChangePublisher::new(), replace("OAK-1")).await.unwrap();
            assert_eq!(outcome, Outcome::NotFound);
        }
    }

    #[tokio::test]
    async fn queues_patch_itself_with_decimals_of_current_currency() {
        let queue = queue_expecting(Requested::Patch(json!({"price": "24.50"}).as_object().unwrap().clone()));
        let products = table_with(Status::Active, NOW);
        let outcome = update_product(&products, &queue, patch(&json!({"price": "24.5"}))).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn queues_empty_patch() {
        let queue = queue_expecting(Requested::Patch(Map::new()));
        let outcome = update_product(&table_with(Status::Active, NOW), &queue, patch(&json!({}))).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn refuses_patch_that_makes_an_invalid_product() {
        for invalid in [json!({"currency": "JPY"}), json!({"price": "1.234"}), json!({"currency": "KWD"})] {
            let products = table_with(Status::Active, NOW);
            let outcome = update_product(&products, &MockChangePublisher::new(), patch(&invalid)).await.unwrap();
            assert!(
                matches!(outcome, Outcome::InvalidResult(violations) if violations[0].field == "price"),
                "{invalid}"
            );
        }
    }

    #[tokio::test]
    async fn looks_for_holder_of_new_sku_only() {
        let holder = ProductId::random();
        for update in [replace("OAK-2"), patch(&json!({"sku": "OAK-2"}))] {
            let mut products = table_with(Status::Active, NOW);
            products.expect_sku_holder().times(1).returning(move |_| Ok(Some(holder)));
            let outcome = update_product(&products, &MockChangePublisher::new(), update).await.unwrap();
            assert_eq!(outcome, Outcome::SkuTaken { holder });
        }
        for update in [replace("OAK-1"), patch(&json!({"sku": null})), patch(&json!({"name": "x"}))] {
            let mut products = table_with(Status::Active, NOW);
            products.expect_sku_holder().never();
            let mut queue = MockChangePublisher::new();
            queue.expect_publish().times(1).returning(|_| Ok(()));
            assert!(matches!(update_product(&products, &queue, update).await.unwrap(), Outcome::Accepted(_)));
        }
    }
}
