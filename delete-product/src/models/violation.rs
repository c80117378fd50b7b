//! Violations of the API's rules: what a response lists under `error.details`.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// The codes of single violations. Clients act on them; adding one is compatible, renaming one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetailCode {
    Duplicate,
    InvalidFormat,
    InvalidType,
    NotAllowed,
    OutOfRange,
    ReadOnlyField,
    RepeatedParameter,
    Required,
    SkuTaken,
    TooLong,
    TooMany,
    TooManyDecimals,
    TooShort,
    UnknownCurrency,
    UnknownField,
    UnknownParameter,
}

impl DetailCode {
    /// The code as it stands in the response and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "DUPLICATE",
            Self::InvalidFormat => "INVALID_FORMAT",
            Self::InvalidType => "INVALID_TYPE",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::ReadOnlyField => "READ_ONLY_FIELD",
            Self::RepeatedParameter => "REPEATED_PARAMETER",
            Self::Required => "REQUIRED",
            Self::SkuTaken => "SKU_TAKEN",
            Self::TooLong => "TOO_LONG",
            Self::TooMany => "TOO_MANY",
            Self::TooManyDecimals => "TOO_MANY_DECIMALS",
            Self::TooShort => "TOO_SHORT",
            Self::UnknownCurrency => "UNKNOWN_CURRENCY",
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::UnknownParameter => "UNKNOWN_PARAMETER",
        }
    }
}

impl Serialize for DetailCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One invalid field, parameter or header. A response lists all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The field's path in the body (`tags[2]`), or the name of a parameter or header.
    pub field: String,
    pub code: DetailCode,
    /// A predicate without subject or full stop, such as `is required`.
    pub message: Cow<'static, str>,
}

impl Violation {
    pub fn new(field: impl Into<String>, code: DetailCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_field_code_and_message() {
        let violation = Violation::new("tags[2]", DetailCode::TooLong, "must contain at most 50 characters");
        assert_eq!(
            serde_json::to_value(violation).unwrap(),
            serde_json::json!({"field": "tags[2]", "code": "TOO_LONG", "message": "must contain at most 50 characters"})
        );
    }
}
