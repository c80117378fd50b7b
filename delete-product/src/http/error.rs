//! The one error envelope of the API, `{"error":{"code","message","requestId","details"}}`.
//!
//! Code, message and details are for the caller. A cause inside the system goes to the log only: nothing writes
//! `Failure::cause` into a response.

use std::error::Error;

use lambda_http::http::StatusCode;

use crate::models::violation::Violation;

/// The codes that callers may rely on, each with its one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    ValidationFailed,
    MalformedJson,
    InvalidCursor,
    InvalidParameter,
    InvalidRequest,
    NotFound,
    SkuTaken,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    InternalError,
    ServiceUnavailable,
}

impl ErrorCode {
    /// The code as it stands in the response and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValidationFailed => "VALIDATION_FAILED",
            Self::MalformedJson => "MALFORMED_JSON",
            Self::InvalidCursor => "INVALID_CURSOR",
            Self::InvalidParameter => "INVALID_PARAMETER",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::NotFound => "NOT_FOUND",
            Self::SkuTaken => "SKU_TAKEN",
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
            Self::SkuTaken => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that was refused or failed: what the response says, and the cause for the log.
#[derive(Debug)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
    pub details: Vec<Violation>,
    /// The product's version at the time, sent as `ETag`.
    pub current_version: Option<u64>,
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), current_version: None, cause: None }
    }

    #[must_use]
    pub fn with_details(mut self, details: Vec<Violation>) -> Self {
        self.details = details;
        self
    }

    /// The ID is unknown or names a deleted product; callers cannot tell the two apart.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "Product not found.")
    }

    /// A service that the function needs is unreachable, throttles or fails; a retry may succeed.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let failure = Self::new(ErrorCode::ServiceUnavailable, "The service is temporarily unavailable. Retry later.");
        Self { cause: Some(cause.into()), ..failure }
    }

    /// A fault of the system; a retry will not help.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let failure = Self::new(ErrorCode::InternalError, "An internal error occurred.");
        Self { cause: Some(cause.into()), ..failure }
    }
}
