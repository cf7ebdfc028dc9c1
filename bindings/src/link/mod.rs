//! Accounts, links, devices and records in step: what the feature `link` adds to the scanner.

mod alert;
mod devices;
mod evidence;
mod files;
mod host;
mod line;
mod linked;
mod primary;
mod reason;
mod recovery;
mod sync;
mod task;

pub use alert::{Alert, AlertKind, Fork};
pub use devices::{Device, DeviceStanding, RemovedDevice};
pub use evidence::{
    LinkedHooks, Passkey, PasskeyAssertion, PasskeyWanted, PrimaryHooks, Radio, RegisteredPasskey, TapMedium,
};
pub use files::{Attachment, FileState, NewFile};
pub use host::{Approver, Clock, KeyWrap, RelayAddress};
pub use line::LineEvent;
pub use linked::{CodePicture, LinkedAccount, LinkingEvent, LinkingFlow, OwnStanding};
pub use primary::{Approval, PairingEvent, PairingFlow, PolicyPreset, PrimaryAccount, Source};
pub use reason::EndedReason;
pub use recovery::{RecoveredAccount, recover_account};
pub use sync::{ChangedRecord, Conversation, History, HistoryStage, HistoryState, Message, PageMark, Sync, SyncEvent};
