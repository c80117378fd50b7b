//! One order of several shards: each is read at once, and the rows are merged.
//!
//! A page starts after a position rather than at a stored place in each shard. Positions are unique and independent of
//! shards, so that their number may be raised between two pages without a row being skipped or repeated.
//!
//! A shard is asked for its likely share of the page and not for a whole page: every row that is read costs capacity and CPU,
//! returned or not. If a share was too small, the rest is read in a second round, which is the last one.

use futures_util::future::try_join_all;

use crate::models::selection::Order;
use crate::repositories::product_index::{ChangedProduct, IndexError, Row};

/// Share of the pages that may need a second round. A smaller one would cost more rows in every page: for 20 products of 4
/// shards, 12 rows of each instead of 11 would reduce it to one page in 240.
const SECOND_ROUNDS: f64 = 1.0 / 50.0;

/// A row with its place in the order.
pub trait Positioned {
    type Position: Ord + Clone;

    fn position(&self) -> Self::Position;
}

impl Positioned for Row {
    type Position = crate::models::selection::Position;

    fn position(&self) -> Self::Position {
        self.position.clone()
    }
}

impl Positioned for ChangedProduct {
    type Position = crate::models::selection::FeedPosition;

    fn position(&self) -> Self::Position {
        self.position
    }
}

/// The first rows of all shards together, in order: `shown` of them and at least one more, or as many as there are.
///
/// `read(shard, after, limit)` returns the shard's first `limit` rows after `after`; fewer mean that there are no more. Both
/// rounds see the table as it is at their time, like two pages: a product whose price changes in between may be in both.
pub async fn first_rows<T: Positioned>(
    shards: u32,
    order: Order,
    after: Option<T::Position>,
    shown: usize,
    read: impl AsyncFn(u32, Option<T::Position>, usize) -> Result<Vec<T>, IndexError>,
) -> Result<Vec<T>, IndexError> {
    let share = likely_share(shown, shards as usize);
    let mut runs = try_join_all((0..shards).map(|shard| read(shard, after.clone(), share))).await?;

    // A row that was not read yet can't come before the last row of the page: it would push that row out, never in. So a run
    // that reaches to that row, or to the end of its shard, is long enough.
    let last = {
        let mut positions: Vec<_> = runs.iter().flatten().map(Positioned::position).collect();
        positions.sort_unstable_by(|one, other| order.compare(one, other));
        // If no more rows than the page were read, it is unknown whether more follow.
        if positions.len() > shown { Some(positions.swap_remove(shown - 1)) } else { None }
    };
    let ends_too_early = |run: &Vec<T>| {
        let end = run.last().map(Positioned::position);
        let before_last = |end| last.as_ref().is_none_or(|last| order.compare(&end, last).is_lt());
        run.len() == share && end.is_some_and(before_last)
    };
    let short = (0..shards).zip(&mut runs).filter(|(_, run)| ends_too_early(run));
    let rests = short.map(async |(shard, run)| {
        let end = run.last().map(Positioned::position);
        // This shard alone may have the rest of the page, and the row that shows whether more follow.
        let rest = read(shard, end, shown + 1 - run.len()).await?;
        run.extend(rest);
        Ok::<_, IndexError>(())
    });
    try_join_all(rests).await?;

    let mut rows: Vec<T> = runs.into_iter().flatten().collect();
    rows.sort_by_cached_key(Positioned::position);
    if order == Order::Descending {
        rows.reverse();
    }
    Ok(rows)
}

/// How many rows of each shard suffice for `shown` rows of all shards, in all but one page of fifty.
///
/// A product's shard is a hash of its ID and independent of its place in the order. So the number of rows that one of n
/// shards has among the first r is binomially distributed, with r trials of probability 1/n. A second round is needed if any
/// of the n shards has at least as many as were requested, which is at most n times as likely as for one.
fn likely_share(shown: usize, shard_count: usize) -> usize {
    if shard_count <= 1 {
        return shown + 1;
    }
    let (trials, shards) = (shown as f64, shard_count as f64);
    // The probability that a shard has exactly `number` of the rows, and at least as many.
    let mut exactly = (1.0 - 1.0 / shards).powf(trials);
    let mut at_least = 1.0;
    for number in 0..=shown {
        if at_least * shards <= SECOND_ROUNDS {
            return number;
        }
        at_least -= exactly;
        exactly *= (trials - number as f64) / (number as f64 + 1.0) / (shards - 1.0);
    }
    shown + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_share_by_binomial_distribution() {
        // Computed with exact fractions: of 64 pages of 20 products over 4 shards, one needs a second round.
        for (shown, shard_count, share) in [
            (20, 1, 21),
            (1, 4, 2),
            (5, 4, 5),
            (20, 4, 11),
            (21, 4, 12),
            (100, 4, 38),
            (20, 2, 16),
            (20, 8, 8),
            (100, 16, 16),
            (20, 32, 5),
        ] {
            assert_eq!(likely_share(shown, shard_count), share, "{shown} of {shard_count}");
        }
    }

    #[test]
    fn computes_share_between_one_row_and_a_page() {
        for shown in 1..=101 {
            for shard_count in 1..=32 {
                let share = likely_share(shown, shard_count);
                assert!((1..=shown + 1).contains(&share), "{shown} of {shard_count}: {share}");
                assert!(share * shard_count >= shown, "{shown} of {shard_count}: {share}");
            }
        }
    }

    impl Positioned for u32 {
        type Position = u32;

        fn position(&self) -> u32 {
            *self
        }
    }

    /// The first 20 rows of these shards and more, and the shards that were read, in turn. A share of four shards is 11 rows.
    async fn first_20(shards: [Vec<u32>; 4]) -> (Vec<u32>, Vec<u32>) {
        let reads = std::sync::Mutex::new(Vec::new());
        let read = async |shard: u32, after: Option<u32>, limit| {
            reads.lock().unwrap().push(shard);
            let rows = shards[shard as usize].iter().copied();
            Ok(rows.filter(|row| after.is_none_or(|after| *row > after)).take(limit).collect())
        };
        let rows = first_rows(4, Order::Ascending, None, 20, read).await.unwrap();
        (rows, reads.into_inner().unwrap())
    }

    #[tokio::test]
    async fn reads_on_if_all_shares_together_are_just_the_page() {
        // The first shard's share ends with the page's last row, and only that shard can tell whether one follows.
        let (rows, reads) = first_20([(9..30).collect(), (0..9).collect(), vec![], vec![]]).await;
        assert_eq!((rows.into_iter().take(21).collect::<Vec<_>>(), reads), ((0..21).collect(), vec![0, 1, 2, 3, 0]));
    }

    #[tokio::test]
    async fn reads_once_if_the_longest_share_reaches_the_last_row() {
        let longest = (0..10).chain([19, 30]).collect();
        let (rows, reads) = first_20([longest, (10..19).collect(), vec![20], vec![]]).await;
        assert_eq!((rows, reads), ((0..21).collect(), vec![0, 1, 2, 3]));
    }
}
