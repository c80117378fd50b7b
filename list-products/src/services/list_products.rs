//! One page of the catalogue: the shards are read at once and merged into one order.
//!
//! A page starts after a sort key rather than at a stored place in each shard. Sort keys are unique and say nothing of
//! shards, so their number may be raised between two pages without a product being skipped or repeated.
//!
//! A shard is asked for its likely share of the page, not for a whole page: what is read costs capacity and CPU, shown or
//! not. Where a share was too small to tell what comes next, the rest is asked for in a second round, which is the last.

use std::iter::zip;

use futures_util::future::try_join_all;

use crate::repositories::product_index::{IndexError, KeyRange, Order, Partition, ProductIndex, Row};

/// How often a page may need a second round. Fewer would be paid for with rows that are read in vain: for 20 products of 4
/// shards, 12 rows of each instead of 11 would come to one page in 240.
const SECOND_ROUNDS: f64 = 1.0 / 50.0;

/// Which products, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only products of this name; case and white space make no difference.
    pub name: Option<String>,
    /// Only products in this part of the order.
    pub range: KeyRange,
    pub order: Order,
}

/// A part of what is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Whether more follow the last row.
    pub more: bool,
}

/// The first `limit` selected products after the one at sort key `after`.
///
/// `after` must lie in the selection's range; it need not exist any more.
pub async fn list_products(
    index: &dyn ProductIndex,
    shards: u32,
    selection: &Selection,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, IndexError> {
    let mut range = selection.range.clone();
    if let Some(after) = after {
        range.start_at(after, selection.order);
    }
    // A range that begins at `after` may hold that row itself.
    let shown = limit + usize::from(after.is_some());
    let partitions: Vec<Partition> = match &selection.name {
        Some(name) => vec![Partition::Name(name.clone())],
        None => (0..shards).map(Partition::Shard).collect(),
    };

    let mut rows = first_rows(index, &partitions, &range, selection.order, shown).await?;
    rows.retain(|row| Some(row.sort_key.as_str()) != after);
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Page { rows, more })
}

/// The first rows of all partitions together, in order: `shown` of them and at least one more, or as many as there are.
///
/// Both rounds see the table as it is then, like two pages: a product that gets another price in between may be seen twice.
async fn first_rows(
    index: &dyn ProductIndex,
    partitions: &[Partition],
    range: &KeyRange,
    order: Order,
    shown: usize,
) -> Result<Vec<Row>, IndexError> {
    let share = likely_share(shown, partitions.len());
    let reads = partitions.iter().map(|partition| index.rows(partition, range, order, share));
    let mut runs = try_join_all(reads).await?;

    // No row that was not read yet can come before the last of those that will be shown: it would push that one out, never
    // back. So a run that reaches to it, or to the partition's end, is long enough.
    let last = {
        let mut keys: Vec<&str> = runs.iter().flatten().map(|row| row.sort_key.as_str()).collect();
        keys.sort_unstable_by(|one, other| order.compare(one, other));
        // Of no more than are shown it is not known yet whether more follow.
        keys.get(shown).and_then(|_| keys.get(shown - 1)).map(|key| (*key).to_owned())
    };
    let ends_too_early = |run: &Vec<Row>| {
        let end = run.last().map(|row| row.sort_key.as_str());
        let before_last = |end| last.as_ref().is_none_or(|last| order.compare(end, last).is_lt());
        run.len() == share && end.is_some_and(before_last)
    };
    let rests = zip(partitions, &mut runs).filter(|(_, run)| ends_too_early(run)).map(async |(partition, run)| {
        let mut range = range.clone();
        let end = run.last().map(|row| row.sort_key.clone()).unwrap_or_default();
        range.start_at(&end, order);
        // Of this partition alone as many as could be needed, one more, and the row at which the range begins.
        let rest = index.rows(partition, &range, order, shown + 1 - run.len() + 1).await?;
        run.extend(rest.into_iter().filter(|row| row.sort_key != end));
        Ok::<_, IndexError>(())
    });
    try_join_all(rests).await?;

    let mut rows: Vec<Row> = runs.into_iter().flatten().collect();
    rows.sort_unstable_by(|one, other| order.compare(&one.sort_key, &other.sort_key));
    Ok(rows)
}

/// Of how many rows of each partition `shown` rows of all can be made, but for one page in fifty.
///
/// A product's shard is a hash of its id and has nothing to do with its place in the order. So the number of rows that one
/// of n shards has among the first r is binomial with r trials of chance 1/n. A second round is needed if any of the n has
/// as many as it was asked for, or more, and that is at most n times as likely as for one.
fn likely_share(shown: usize, partitions: usize) -> usize {
    if partitions <= 1 {
        return shown + 1;
    }
    let (trials, shards) = (shown as f64, partitions as f64);
    // The chance that a shard has `number` of the rows, and that it has so many or more.
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
    fn a_share_is_what_the_binomial_distribution_says() {
        // Summed up once with exact fractions: one page of 20 over 4 shards in 64 needs a second round.
        for (shown, partitions, share) in [
            (20, 1, 21),
            (1, 4, 2),
            (5, 4, 5),
            (20, 4, 11),
            (21, 4, 12),
            (100, 4, 38),
            (20, 2, 16),
            (20, 8, 8),
            (100, 16, 16),
            (20, 64, 4),
            (100, 64, 8),
        ] {
            assert_eq!(likely_share(shown, partitions), share, "{shown} of {partitions}");
        }
    }

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_a_page() {
        for shown in 1..=101 {
            for partitions in 1..=64 {
                let share = likely_share(shown, partitions);
                assert!((1..=shown + 1).contains(&share), "{shown} of {partitions}: {share}");
                assert!(share * partitions >= shown, "{shown} of {partitions}: {share}");
            }
        }
    }
}
