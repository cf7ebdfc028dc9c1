//! The one error of the bindings, in the words of the person who sees it.

/// Why a call failed. Closed: a new one breaks the build of the shells until they have words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum PairlightError {
    /// The caller gave something impossible: a short buffer, a bad address, an unknown id. Correct the call.
    #[error("the call makes no sense: {what}")]
    Misuse {
        /// What is wrong.
        what: String,
    },
    /// The network or the relay is out of reach. Try again later.
    #[error("no connection: {what}")]
    Offline {
        /// What happened.
        what: String,
    },
    /// The relay asks for patience.
    #[error("too many attempts; wait {retry_after_ms} ms")]
    TooManyAttempts {
        /// When a new try makes sense, ms; 0 = not stated.
        retry_after_ms: u64,
    },
    /// The relay refuses.
    #[error("the relay refuses: {what}")]
    Refused {
        /// Its words.
        what: String,
    },
    /// One of the two programs is too old. Update.
    #[error("an update is needed")]
    UpdateNeeded,
    /// Something was altered, or somebody lies. Nothing was changed here.
    #[error("something is not authentic")]
    NotAuthentic,
    /// The store cannot be used: full, locked, damaged, wrong key.
    #[error("the store cannot be used: {what}")]
    Storage {
        /// What happened and what to do.
        what: String,
    },
    /// The key store refused, or the person cancelled its prompt.
    #[error("the key store refuses: {what}")]
    KeyStore {
        /// What it said.
        what: String,
    },
    /// The person did not unlock the device when asked to approve. The approval screen stays.
    #[error("nobody unlocked this device")]
    NotConfirmed,
    /// There is no account or link here yet, or it is of the other role.
    #[error("no such account here: {what}")]
    NoAccount {
        /// What is missing.
        what: String,
    },
    /// The flow or line has ended; its last event says why.
    #[error("this has ended")]
    Ended,
    /// A defect of this library. The app lives on; report it.
    #[error("internal error: {what}")]
    Internal {
        /// Where, for the report.
        what: String,
    },
}

impl PairlightError {
    pub(crate) fn internal(place: &str) -> Self {
        Self::Internal { what: place.to_owned() }
    }

    pub(crate) fn misuse(what: impl ToString) -> Self {
        Self::Misuse { what: what.to_string() }
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for PairlightError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::KeyStore { what: error.reason }
    }
}
