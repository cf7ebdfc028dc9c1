//! A device list that does not follow from the known one: somebody shows different devices different lists.

use pairlight_wire::record;

record! {
    /// Two lists of one epoch, by their hashes: what the person is shown, on every device that sees it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ListFork [1] {
        /// The epoch.
        pub epoch: u64,
        /// Hash of the list that this device has.
        pub ours: [u8; 32],
        /// Hash of the other one.
        pub theirs: [u8; 32],
        /// When it was seen, ms since 1970.
        pub at: u64,
    }
}
