//! Deadlines that survive a clock that jumps back: the time left is kept, not the moment.

use crate::Timestamp;

/// The running deadlines of a machine, by name.
pub(crate) struct Timers<K> {
    last: Timestamp,
    running: Vec<(K, Timestamp)>,
}

impl<K: Copy + PartialEq> Timers<K> {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { last: now, running: Vec::new() }
    }

    /// Takes note of the time; when the clock went back, every deadline goes back with it.
    pub(crate) fn observe(&mut self, now: Timestamp) {
        let back = self.last.ms_since(now);
        if back > 0 {
            for (_, deadline) in &mut self.running {
                *deadline = Timestamp::from_unix_ms(deadline.unix_ms().saturating_sub(back));
            }
        }
        self.last = now;
    }

    /// Starts or restarts a deadline `ms` from the last observed time.
    pub(crate) fn start(&mut self, name: K, ms: u64) {
        self.stop(name);
        self.running.push((name, self.last.plus_ms(ms)));
    }

    pub(crate) fn stop(&mut self, name: K) {
        self.running.retain(|(known, _)| *known != name);
    }

    pub(crate) fn stop_all(&mut self) {
        self.running.clear();
    }

    /// Takes the earliest deadline that has passed.
    pub(crate) fn expired(&mut self) -> Option<K> {
        let (name, _) = *self.running.iter().filter(|(_, at)| *at <= self.last).min_by_key(|(_, at)| *at)?;
        self.stop(name);
        Some(name)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.running.iter().map(|(_, at)| *at).min()
    }

    /// Time until a named deadline, ms.
    pub(crate) fn left_ms(&self, name: K) -> Option<u64> {
        self.running.iter().find(|(known, _)| *known == name).map(|(_, at)| at.ms_since(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_back_leaves_the_time_left_as_it_was() {
        let day = 24 * 3_600_000;
        let start = Timestamp::from_unix_ms(10 * day);
        let mut timers = Timers::new(start);
        timers.start('a', 1000);
        timers.observe(Timestamp::from_unix_ms(9 * day));
        assert_eq!(timers.left_ms('a'), Some(1000));
        timers.observe(Timestamp::from_unix_ms(9 * day + 999));
        assert_eq!(timers.expired(), None);
        timers.observe(Timestamp::from_unix_ms(9 * day + 1000));
        assert_eq!(timers.expired(), Some('a'));
        assert_eq!(timers.expired(), None);
    }
}
