//! What a caller says of a product, in the form of a change event, and the rules that it must keep.
//!
//! The edge checks them to give a clear answer, and product-creator checks them again: what is on the queue may come
//! from an older version of the edge, or from a hand.

use std::collections::BTreeMap;

use fluent_uri::Uri;
use fluent_uri::component::Authority;
use serde::{Deserialize, Serialize};

use super::money::{Currency, InvalidMoney, Money};
use super::product::ProductDetails;
use super::violation::{DetailCode, Violation};

const LONGEST_NAME: usize = 200;
const LONGEST_SKU: usize = 64;
const LONGEST_DESCRIPTION: usize = 4_000;
const LONGEST_CATEGORY: usize = 100;
const MOST_TAGS: usize = 20;
const LONGEST_TAG: usize = 50;
const MOST_IMAGES: usize = 10;
const LONGEST_URL: usize = 2_048;
const MOST_ATTRIBUTES: usize = 50;
const LONGEST_ATTRIBUTE_NAME: usize = 64;
const LONGEST_ATTRIBUTE_VALUE: usize = 500;

/// The content of a product as JSON. Lengths are counted in Unicode scalar values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductContent {
    pub name: String,
    pub price: String,
    pub currency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl ProductContent {
    /// The details, if every rule is kept; otherwise all that are not.
    pub fn check(self) -> Result<ProductDetails, Vec<Violation>> {
        let mut found = Vec::new();
        check_text(&mut found, "name", &self.name, 1, LONGEST_NAME);
        if self.name.trim() != self.name {
            found.push(Violation::new("name", DetailCode::InvalidFormat, "must not begin or end with whitespace"));
        }
        if let Some(sku) = &self.sku {
            check_text(&mut found, "sku", sku, 1, LONGEST_SKU);
        }
        if let Some(description) = &self.description {
            check_length(&mut found, "description", description, 0, LONGEST_DESCRIPTION);
        }
        if let Some(category) = &self.category {
            check_text(&mut found, "category", category, 1, LONGEST_CATEGORY);
        }
        check_tags(&mut found, &self.tags);
        check_image_urls(&mut found, &self.image_urls);
        check_attributes(&mut found, &self.attributes);

        match check_price(&self.price, &self.currency) {
            Ok(price) if found.is_empty() => Ok(ProductDetails {
                name: self.name,
                price,
                sku: self.sku,
                description: self.description,
                category: self.category,
                tags: self.tags,
                image_urls: self.image_urls,
                attributes: self.attributes,
            }),
            Ok(_) => Err(found),
            Err(violation) => {
                found.push(violation);
                Err(found)
            }
        }
    }
}

impl From<ProductDetails> for ProductContent {
    fn from(details: ProductDetails) -> Self {
        Self {
            name: details.name,
            price: details.price.to_string(),
            currency: details.price.currency().code().to_owned(),
            sku: details.sku,
            description: details.description,
            category: details.category,
            tags: details.tags,
            image_urls: details.image_urls,
            attributes: details.attributes,
        }
    }
}

fn check_price(price: &str, currency: &str) -> Result<Money, Violation> {
    let unknown = || Violation::new("currency", DetailCode::UnknownCurrency, "must be an ISO 4217 code such as EUR");
    let currency = Currency::from_code(currency).ok_or_else(unknown)?;
    Money::parse(price, currency).map_err(|error| {
        let code = match error {
            InvalidMoney::Format => DetailCode::InvalidFormat,
            InvalidMoney::Range => DetailCode::OutOfRange,
            InvalidMoney::Decimals(_) => DetailCode::TooManyDecimals,
            InvalidMoney::Currency => return unknown(),
        };
        Violation::new("price", code, error.to_string())
    })
}

/// A text of one line: a control character in a name is a mistake, or an attempt on somebody's terminal.
fn check_text(found: &mut Vec<Violation>, field: &str, text: &str, least: usize, most: usize) {
    check_length(found, field, text, least, most);
    if text.chars().any(char::is_control) {
        found.push(Violation::new(field, DetailCode::InvalidFormat, "must not contain control characters"));
    }
}

fn check_length(found: &mut Vec<Violation>, field: &str, text: &str, least: usize, most: usize) {
    let length = text.chars().count();
    if length < least {
        found.push(Violation::new(field, DetailCode::TooShort, "must not be empty"));
    } else if length > most {
        found.push(Violation::new(field, DetailCode::TooLong, format!("must contain at most {most} characters")));
    }
    // Amazon SQS refuses a message that holds one of them (SendMessage, "Unicode characters"). JSON escapes the control
    // characters that it refuses as well, but not these two.
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        found.push(Violation::new(
            field,
            DetailCode::InvalidFormat,
            "must not contain the noncharacters U+FFFE and U+FFFF",
        ));
    }
}

fn check_tags(found: &mut Vec<Violation>, tags: &[String]) {
    if tags.len() > MOST_TAGS {
        found.push(Violation::new("tags", DetailCode::TooMany, format!("must contain at most {MOST_TAGS} items")));
        return;
    }
    for (place, tag) in tags.iter().enumerate() {
        let field = format!("tags[{place}]");
        check_text(found, &field, tag, 1, LONGEST_TAG);
        if tags[..place].contains(tag) {
            found.push(Violation::new(field, DetailCode::Duplicate, "duplicates an earlier item"));
        }
    }
}

fn check_image_urls(found: &mut Vec<Violation>, urls: &[String]) {
    if urls.len() > MOST_IMAGES {
        found.push(Violation::new(
            "imageUrls",
            DetailCode::TooMany,
            format!("must contain at most {MOST_IMAGES} items"),
        ));
        return;
    }
    for (place, text) in urls.iter().enumerate() {
        let field = format!("imageUrls[{place}]");
        check_length(found, &field, text, 1, LONGEST_URL);
        if !is_https_url(text) {
            found.push(Violation::new(field, DetailCode::InvalidFormat, "must be an https URL"));
        }
    }
}

/// An absolute URL as RFC 3986 writes it, with a host name and without credentials.
///
/// What a browser would mend (white space, a missing slash, a backslash) is refused: others do not mend it. So is an
/// address in place of a name, which means another machine to everybody who follows it.
fn is_https_url(text: &str) -> bool {
    let Ok(uri) = Uri::parse(text) else { return false };
    let is_sound = |authority: Authority<'_>| {
        !authority.has_userinfo() && is_host_name(authority.host()) && authority.port_to_u16().is_ok()
    };
    text.starts_with("https://") && uri.authority().is_some_and(is_sound)
}

/// Letters, digits and hyphens between dots (RFC 1123 §2.1); the last part begins with a letter, or it might be an address.
fn is_host_name(host: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(is_label) && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn check_attributes(found: &mut Vec<Violation>, attributes: &BTreeMap<String, String>) {
    if attributes.len() > MOST_ATTRIBUTES {
        found.push(Violation::new(
            "attributes",
            DetailCode::TooMany,
            format!("must contain at most {MOST_ATTRIBUTES} items"),
        ));
        return;
    }
    for (name, value) in attributes {
        // A name that is too long is not sent back whole.
        let shown: String = name.chars().take(64).collect();
        let field = format!("attributes[{shown:?}]");
        check_text(found, &field, name, 1, LONGEST_ATTRIBUTE_NAME);
        check_length(found, &field, value, 0, LONGEST_ATTRIBUTE_VALUE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> ProductContent {
        ProductContent {
            name: "Oak table".to_owned(),
            price: "19.99".to_owned(),
            currency: "EUR".to_owned(),
            ..ProductContent::default()
        }
    }

    fn violations(change: impl FnOnce(&mut ProductContent)) -> Vec<(String, &'static str)> {
        let mut changed = content();
        change(&mut changed);
        let found = changed.check().expect_err("a violation");
        found.into_iter().map(|violation| (violation.field, violation.code.name())).collect()
    }

    #[test]
    fn the_least_and_the_most_that_is_allowed_is_allowed() {
        assert!(content().check().is_ok());
        let most = ProductContent {
            name: "ä".repeat(200),
            sku: Some("s".repeat(64)),
            description: Some("line\n\t".repeat(666)),
            category: Some("c".repeat(100)),
            tags: (0..20).map(|tag| format!("{tag:050}")).collect(),
            image_urls: vec![format!("https://x.example/{}", "u".repeat(2_030)); 10],
            attributes: (0..50).map(|name| (format!("{name:064}"), "v".repeat(500))).collect(),
            ..content()
        };
        let details = most.clone().check().unwrap();
        assert_eq!(ProductContent::from(details), most);
    }

    #[test]
    fn each_rule_is_checked() {
        let one = |field: &str, code| vec![(field.to_owned(), code)];
        assert_eq!(violations(|c| c.name = String::new()), one("name", "TOO_SHORT"));
        assert_eq!(violations(|c| c.name = "x".repeat(201)), one("name", "TOO_LONG"));
        assert_eq!(violations(|c| c.name = " x".to_owned()), one("name", "INVALID_FORMAT"));
        assert_eq!(violations(|c| c.name = "a\u{7}b".to_owned()), one("name", "INVALID_FORMAT"));
        assert_eq!(violations(|c| c.price = "1e3".to_owned()), one("price", "INVALID_FORMAT"));
        assert_eq!(violations(|c| c.price = "-1".to_owned()), one("price", "OUT_OF_RANGE"));
        assert_eq!(violations(|c| c.price = "1.001".to_owned()), one("price", "TOO_MANY_DECIMALS"));
        assert_eq!(violations(|c| c.currency = "EURO".to_owned()), one("currency", "UNKNOWN_CURRENCY"));
        assert_eq!(violations(|c| c.currency = "XAU".to_owned()), one("currency", "UNKNOWN_CURRENCY"));
        assert_eq!(violations(|c| c.sku = Some(String::new())), one("sku", "TOO_SHORT"));
        assert_eq!(violations(|c| c.description = Some("x".repeat(4_001))), one("description", "TOO_LONG"));
        assert_eq!(violations(|c| c.category = Some("x".repeat(101))), one("category", "TOO_LONG"));
        assert_eq!(violations(|c| c.tags = vec!["x".to_owned(); 21]), one("tags", "TOO_MANY"));
        assert_eq!(violations(|c| c.tags = vec!["x".to_owned(); 2]), one("tags[1]", "DUPLICATE"));
        assert_eq!(violations(|c| c.tags = vec!["x".repeat(51)]), one("tags[0]", "TOO_LONG"));
        assert_eq!(violations(|c| c.image_urls = vec![String::from("https://a"); 11]), one("imageUrls", "TOO_MANY"));
        for url in [
            "http://x.example/a.jpg",
            "https://",
            "https:x.example",
            " https://x.example",
            "https://x.example/a b",
            "data:,",
            "https://203.0.113.9/a.jpg",
            "https://[2001:db8::9]/a.jpg",
            "https://user:password@x.example/a.jpg",
            "https://x..example/a.jpg",
            "https://x.example*/a.jpg",
            "https://x.example:65536/a.jpg",
            "https://x.example\\a.jpg",
            "https://x.example/{a}.jpg",
            "https://x.example/%zz.jpg",
            "https://bücher.example/a.jpg",
        ] {
            assert_eq!(
                violations(|c| c.image_urls = vec![url.to_owned()]),
                one("imageUrls[0]", "INVALID_FORMAT"),
                "{url}"
            );
        }
        let attributes = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(violations(|c| c.attributes = attributes("", "x")), one("attributes[\"\"]", "TOO_SHORT"));
        assert_eq!(
            violations(|c| c.attributes = attributes("a", &"x".repeat(501))),
            one("attributes[\"a\"]", "TOO_LONG")
        );
        let many = (0..51).map(|name| (name.to_string(), String::new())).collect();
        assert_eq!(violations(|c| c.attributes = many), one("attributes", "TOO_MANY"));
    }

    #[test]
    fn a_url_may_have_all_that_a_url_has() {
        for url in [
            "https://x.example",
            "https://X-1.example:8443/a/b%20c.jpg?size=2&of=a/b#top",
            "https://localhost/a.jpg",
            "https://x.example:",
        ] {
            let content = ProductContent { image_urls: vec![url.to_owned()], ..content() };
            assert!(content.check().is_ok(), "{url}");
        }
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let found = violations(|content| {
            content.name = String::new();
            content.price = "x".to_owned();
            content.tags = vec![String::new(), "ok".to_owned(), String::new()];
        });
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["name", "tags[0]", "tags[2]", "tags[2]", "price"]);
    }
}
