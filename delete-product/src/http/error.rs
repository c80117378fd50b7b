//! The one error envelope of the API, `{"error":{"code","message","requestId","details"}}`.
//!
//! A code and a message are for the caller. A cause inside the system travels beside them to the log and never leaves:
//! `Failure::cause` has no way into the body.

use std::error::Error;

use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::repositories::store_error::StoreError;

/// One field, parameter or header that is wrong. All that are wrong are told at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The field's path in the body (`tags[2]`), or the name of a parameter or header.
    pub field: String,
    pub code: &'static str,
    pub message: String,
}

impl Detail {
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}

/// The codes that callers may rely on, each with its one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    ValidationFailed,
    MalformedJson,
    InvalidCursor,
    InvalidParameter,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    InternalError,
    ServiceUnavailable,
}

impl ErrorCode {
    /// The code as callers and the log read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValidationFailed => "VALIDATION_FAILED",
            Self::MalformedJson => "MALFORMED_JSON",
            Self::InvalidCursor => "INVALID_CURSOR",
            Self::InvalidParameter => "INVALID_PARAMETER",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::NotFound => "NOT_FOUND",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }

    pub const fn status(self) -> StatusCode {
        match self {
            Self::ValidationFailed
            | Self::MalformedJson
            | Self::InvalidCursor
            | Self::InvalidParameter
            | Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that was not carried out: what the caller is told, and what only the log is told.
#[derive(Debug)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
    pub details: Vec<Detail>,
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), cause: None }
    }

    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    /// The answer to an id that names no product, or a deleted one: a caller can't tell them apart.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "There is no such product.")
    }

    /// A service that the function needs cannot be reached or refuses; trying again may help.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let failure = Self::new(ErrorCode::ServiceUnavailable, "The catalogue cannot be reached. Please try again.");
        Self { cause: Some(cause.into()), ..failure }
    }

    /// Something that should not be possible; trying again will not help.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let failure = Self::new(ErrorCode::InternalError, "Something went wrong on our side.");
        Self { cause: Some(cause.into()), ..failure }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Refused(_) | StoreError::Unreadable(_) => Self::internal(error),
        }
    }
}
