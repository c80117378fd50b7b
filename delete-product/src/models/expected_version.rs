//! Which versions of a product a request expects: the conditions of `If-Match` and `If-None-Match`, without HTTP.

/// The versions that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Whichever version there is.
    Any,
    /// One of these. An empty list matches no version.
    OneOf(Vec<u64>),
}

impl Versions {
    fn contain(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// The conditions of one request; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedVersion {
    /// The product must have one of these versions.
    pub if_match: Option<Versions>,
    /// The product must have none of these versions.
    pub if_none_match: Option<Versions>,
}

/// The result of the conditions, in the order of RFC 9110 §13.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    Met,
    IfMatchFailed,
    /// For a read: the caller has this version already. For a change: a failed precondition like the other.
    IfNoneMatchFailed,
}

impl ExpectedVersion {
    /// Compares the conditions with the version of a product that exists.
    pub fn evaluate(&self, current: u64) -> Evaluation {
        if self.if_match.as_ref().is_some_and(|versions| !versions.contain(current)) {
            Evaluation::IfMatchFailed
        } else if self.if_none_match.as_ref().is_some_and(|versions| versions.contain(current)) {
            Evaluation::IfNoneMatchFailed
        } else {
            Evaluation::Met
        }
    }

    /// The version that a change must still find when it is applied, given that the conditions are met now.
    ///
    /// `*` asks only that the product exists, and `If-None-Match` says which versions to avoid: neither names one.
    pub fn required_version(&self, current: u64) -> Option<u64> {
        matches!(self.if_match, Some(Versions::OneOf(_))).then_some(current)
    }
}

#[cfg(test)]
mod tests {
    use super::Evaluation::{IfMatchFailed, IfNoneMatchFailed, Met};
    use super::*;

    #[test]
    fn evaluates_if_match_before_if_none_match() {
        let one_of = |versions: &[u64]| Some(Versions::OneOf(versions.to_vec()));
        for (if_match, if_none_match, evaluation) in [
            (None, None, Met),
            (one_of(&[1, 3]), None, Met),
            (Some(Versions::Any), None, Met),
            (one_of(&[1, 2]), None, IfMatchFailed),
            (one_of(&[]), None, IfMatchFailed),
            (None, one_of(&[2]), Met),
            (None, one_of(&[]), Met),
            (None, one_of(&[3]), IfNoneMatchFailed),
            (None, Some(Versions::Any), IfNoneMatchFailed),
            (one_of(&[3]), one_of(&[3]), IfNoneMatchFailed),
            (one_of(&[2]), one_of(&[3]), IfMatchFailed),
        ] {
            let expected = ExpectedVersion { if_match, if_none_match };
            assert_eq!(expected.evaluate(3), evaluation, "{expected:?}");
        }
    }

    #[test]
    fn requires_a_version_only_if_the_caller_named_one() {
        let with = |if_match| ExpectedVersion { if_match, if_none_match: Some(Versions::OneOf(vec![1])) };
        assert_eq!(with(Some(Versions::OneOf(vec![3, 4]))).required_version(3), Some(3));
        assert_eq!(with(Some(Versions::Any)).required_version(3), None);
        assert_eq!(with(None).required_version(3), None);
    }
}
