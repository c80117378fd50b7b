//! The size of a fault test.

/// `short`, or `long` if the environment variable `FAULTS` is `long`, as in `cargo xtask test --long` of
/// product-infrastructure.
pub fn scale<T>(short: T, long: T) -> T {
    if std::env::var_os("FAULTS").is_some_and(|faults| faults == "long") { long } else { short }
}
