//! Failed calls to AWS: which may succeed when they are repeated. Each adapter makes its port's error of this.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Error codes of client errors (4xx) that mean "later" rather than "no".
const RETRYABLE_CODES: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TransactionInProgressException",
];

/// Whether the same call may succeed later: the service was unreachable, throttled or failing, after the client's own
/// retries. Otherwise it refused the call: a missing permission or table, an invalid request.
pub fn is_retryable<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or_default();
            RETRYABLE_CODES.contains(&code) || !answer.raw().status().is_client_error()
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    fn answer(status: u16, code: &str) -> SdkError<ErrorMetadata, HttpResponse> {
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        SdkError::service_error(ErrorMetadata::builder().code(code).build(), response)
    }

    #[test]
    fn retries_what_may_succeed_later() {
        assert!(is_retryable(&SdkError::<ErrorMetadata, _>::timeout_error("slow")));
        assert!(is_retryable(&answer(500, "InternalServerError")));
        assert!(is_retryable(&answer(400, "ThrottlingException")));
        assert!(!is_retryable(&answer(400, "ValidationException")));
        assert!(!is_retryable(&SdkError::<ErrorMetadata, _>::construction_failure("a malformed request")));
    }
}
