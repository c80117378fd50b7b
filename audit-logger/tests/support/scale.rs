//! How much of a fault test is run.

/// `short` as a rule, so that a run of all tests stays bounded; `long` when the variable `FAULTS` says so, as
/// `cargo catalogctl test --long` of product-infrastructure does.
pub fn scale<T>(short: T, long: T) -> T {
    if std::env::var_os("FAULTS").is_some_and(|faults| faults == "long") { long } else { short }
}
