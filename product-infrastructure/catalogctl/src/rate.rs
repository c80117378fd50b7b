//! A limit on messages or requests per second, so that a redrive or an import leaves room for the API's other clients.

use std::time::{Duration, Instant};

/// Messages in one call, at most: SQS accepts ten.
const MAX_BATCH: usize = crate::queue::MAX_BATCH;

/// Spaces calls evenly. A pause isn't made up for by a burst.
#[derive(Debug)]
pub struct Rate {
    interval: Duration,
    next: Instant,
}

impl Rate {
    pub fn per_second(messages: u32) -> Self {
        Self { interval: Duration::from_secs(1) / messages.max(1), next: Instant::now() }
    }

    /// Messages to send in one call: at most what is due in a second.
    pub fn batch_size(&self) -> usize {
        let per_second = Duration::from_secs(1).as_nanos() / self.interval.as_nanos().max(1);
        usize::try_from(per_second).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
    }

    /// Waits until that number of messages may be sent.
    pub async fn wait(&mut self, messages: usize) {
        tokio::time::sleep(self.reserve(messages)).await;
    }

    /// The time until that number of messages may be sent, for callers that share the limit; they count as sent then.
    pub fn reserve(&mut self, messages: usize) -> Duration {
        self.delay(Instant::now(), messages)
    }

    /// The time until that number of messages may be sent; they count as sent then.
    fn delay(&mut self, now: Instant, messages: usize) -> Duration {
        let start = self.next.max(now);
        self.next = start + self.interval * u32::try_from(messages).unwrap_or(u32::MAX);
        start - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_at_most_one_second_of_messages() {
        assert_eq!([4, 1, 500].map(|rate| Rate::per_second(rate).batch_size()), [4, 1, MAX_BATCH]);
    }

    #[test]
    fn messages_are_spaced_and_pauses_are_not_made_up_for() {
        let mut rate = Rate::per_second(4);
        let now = rate.next;
        assert_eq!(rate.delay(now, 4), Duration::ZERO);
        assert_eq!(rate.delay(now, 1), Duration::from_secs(1));
        assert_eq!(rate.delay(now, 2), Duration::from_millis(1_250));
        assert_eq!(rate.delay(now + Duration::from_secs(60), 1), Duration::ZERO);
    }
}
