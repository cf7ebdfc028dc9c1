//! Each content is announced once.

use crate::time::Timestamp;

/// How many different contents are remembered; the one that was in view longest ago is forgotten first.
const MOST_REMEMBERED: usize = 64;

/// Remembers what was already announced, so that a code that stays in view is announced once.
#[derive(Clone, Debug, Default)]
pub struct SeenFilter {
    seen: Vec<(Vec<u8>, Timestamp)>,
}

impl SeenFilter {
    /// A filter that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: Vec::new() }
    }

    /// Notes that this content is in view at `now`. True the first time since the start or the last
    /// [`rearm`](Self::rearm).
    pub fn is_new(&mut self, bytes: &[u8], now: Timestamp) -> bool {
        if let Some((_, last)) = self.seen.iter_mut().find(|(content, _)| content == bytes) {
            *last = now;
            return false;
        }
        if self.seen.len() >= MOST_REMEMBERED {
            let oldest = self.seen.iter().enumerate().min_by_key(|(_, (_, last))| *last).map(|(i, _)| i);
            if let Some(oldest) = oldest {
                self.seen.swap_remove(oldest);
            }
        }
        self.seen.push((bytes.to_vec(), now));
        true
    }

    /// Forgets everything: whatever is in view is announced again.
    pub fn rearm(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp::from_unix_ms(1);

    #[test]
    fn a_content_is_new_once_until_rearmed() {
        let mut filter = SeenFilter::new();
        assert!(filter.is_new(b"a", T));
        assert!(!filter.is_new(b"a", T));
        assert!(filter.is_new(b"b", T));
        filter.rearm();
        assert!(filter.is_new(b"a", T));
    }

    #[test]
    fn memory_is_bounded_and_forgets_what_left_the_view_first() {
        let mut filter = SeenFilter::new();
        for i in 0..MOST_REMEMBERED as u64 {
            assert!(filter.is_new(&i.to_be_bytes(), Timestamp::from_unix_ms(i)));
        }
        let later = Timestamp::from_unix_ms(1000);
        assert!(!filter.is_new(&0u64.to_be_bytes(), later));
        assert!(filter.is_new(b"one more", later));
        assert_eq!(filter.seen.len(), MOST_REMEMBERED);
        assert!(!filter.is_new(&0u64.to_be_bytes(), later));
        assert!(filter.is_new(&1u64.to_be_bytes(), later));
    }
}
