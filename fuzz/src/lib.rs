//! What each fuzz target does with its input. The targets in `fuzz_targets/` only call these, and so does
//! `tests/tests/fuzz_corpus.rs`, which replays the corpora without a fuzzer.

mod codes;
mod input;
mod keys;
mod lists;
mod machines;
mod records;
mod reports;
mod rows;
mod sync;

pub use codes::{frame, payload, qr_text, stream};
pub use keys::{cose_key, header};
pub use lists::device_list;
pub use machines::{linked_machine, pairing, primary_machine, reaches_link};
pub use records::{RECORDS, wire_record};
pub use reports::{lifetime_row, reports};
pub use rows::{envelope, stored_row};
pub use sync::{sync, sync_seeds};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 16] = [
    ("wire_record", wire_record),
    ("qr_text", qr_text),
    ("payload", payload),
    ("frame", frame),
    ("stream", stream),
    ("stored_row", stored_row),
    ("device_list", device_list),
    ("envelope", envelope),
    ("linked_machine", linked_machine),
    ("primary_machine", primary_machine),
    ("pairing", pairing),
    ("lifetime_row", lifetime_row),
    ("reports", reports),
    ("sync", sync),
    ("cose_key", cose_key),
    ("header", header),
];
