//! A made-up history, to try a link with.

use pairlight_core::sync::Change;
use pairlight_core::sync::messages::{self, Message};

use crate::messages::new_id;

/// A made-up history: conversations of different sizes, texts of about 200 bytes.
pub(crate) fn made_up(count: u32, now: u64) -> impl Iterator<Item = Vec<Change>> {
    const WORDS: [&str; 24] = [
        "see", "you", "at", "the", "station", "tomorrow", "morning", "bring", "coffee", "please", "and", "tell", "her",
        "that", "we", "are", "late", "again", "because", "of", "rain", "thanks", "yes", "maybe",
    ];
    const NAMES: [&str; 8] = ["Ana", "Ben", "Chloe", "Dario", "Emre", "Fatima", "Goran", "Hana"];
    let talks = (count / 500).clamp(3, 400);
    let ids: Vec<[u8; 16]> = (0..talks).map(|_| new_id()).collect();
    let mut seed = u64::from(count) | 1;
    let mut next = move || {
        // A plain generator: nobody has to be surprised by these messages.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let heads = ids.clone().into_iter().enumerate().filter_map(move |(n, id)| {
        let title = format!("{} {}", NAMES[n % NAMES.len()], n + 1);
        messages::put_conversation(&id, &title, now.saturating_sub(1_000_000 + n as u64)).ok()
    });
    let heads: Vec<Change> = heads.collect();
    let span = 3 * 365 * 86_400_000_u64;
    let mut done = 0;
    let bodies = std::iter::from_fn(move || {
        if done == count {
            return None;
        }
        let batch = (count - done).min(2000);
        let changes = (done..done + batch).filter_map(|n| {
            // A few conversations have most of the messages.
            let talk = (next() % u64::from(talks)).min(next() % u64::from(talks));
            let (talk, speaker) = (usize::try_from(talk).unwrap_or(0), next());
            let bytes = 40 + next() % 320;
            let mut text = String::new();
            while (text.len() as u64) < bytes {
                text.push_str(WORDS[usize::try_from(next() % 24).unwrap_or(0)]);
                text.push(' ');
            }
            let sent = now.saturating_sub(span / u64::from(count) * u64::from(count - n));
            let mut id = [0; 16];
            id[..8].copy_from_slice(&next().to_be_bytes());
            id[8..].copy_from_slice(&u64::from(n).to_be_bytes());
            let sender = if speaker.is_multiple_of(2) { "me" } else { NAMES[talk % NAMES.len()] };
            messages::put_message(&ids[talk], &id, sent, &Message::text(sender, &text)).ok()
        });
        let changes = changes.collect();
        done += batch;
        Some(changes)
    });
    std::iter::once(heads).chain(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_history_has_the_asked_number_of_messages() {
        let all: Vec<Change> = made_up(2_500, 1_800_000_000_000).flatten().collect();
        assert_eq!(all.len(), 2_500 + 5);
    }
}
