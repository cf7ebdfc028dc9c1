//! One way to say no, for HTTP answers and for frames.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pairlight_wire::id::SlotId;
use pairlight_wire::relay::{RefusalCode, Refused};
use pairlight_wire::{DecodeError, Text, Wire};

use crate::call_id::CallId;

/// Why a call is not done, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) words: &'static str,
    pub(crate) retry_after: Duration,
    pub(crate) slot: Option<SlotId>,
    /// Of the refused post.
    pub(crate) reference: Option<u64>,
    /// Epoch of the stored list, for the writer that was too slow.
    pub(crate) epoch: Option<u64>,
}

/// Header with the epoch of the stored list, on 409 answers to a publication.
const EPOCH_HEADER: &str = "pairlight-epoch";

pub(crate) fn refuse(code: RefusalCode, words: &'static str) -> Refusal {
    Refusal { code, words, retry_after: Duration::ZERO, slot: None, reference: None, epoch: None }
}

impl Refusal {
    pub(crate) fn about(self, slot: SlotId) -> Self {
        Self { slot: Some(slot), ..self }
    }

    pub(crate) fn of_post(self, reference: u64) -> Self {
        Self { reference: Some(reference), ..self }
    }

    pub(crate) fn after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    pub(crate) fn with_epoch(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// The words, with the name of the call.
    fn said(&self) -> String {
        CallId::current().map_or_else(|| self.words.to_owned(), |id| format!("{} (request {id})", self.words))
    }

    /// A line in the log. Callers who are too fast come in crowds: they are counted by the metrics.
    pub(crate) fn log(&self) {
        let code = format!("{:?}", self.code);
        match self.code {
            RefusalCode::Unavailable => tracing::warn!(code, reason = self.words, "refused"),
            RefusalCode::RateLimited => tracing::debug!(code, reason = self.words, "refused"),
            _ => tracing::info!(code, reason = self.words, "refused"),
        }
    }

    pub(crate) fn to_wire(&self) -> Refused {
        Refused {
            code: self.code,
            retry_after_ms: u64::try_from(self.retry_after.as_millis()).unwrap_or(u64::MAX),
            words: Text::truncated(&self.said()),
            slot: self.slot,
            reference: self.reference,
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::OverLimit { .. } => refuse(RefusalCode::TooLarge, "a part of the message is over its limit"),
            _ => refuse(RefusalCode::Protocol, "this is not a message of the protocol"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.log();
        let status = StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = cbor(status, &self.to_wire());
        if !self.retry_after.is_zero() {
            // Whole seconds, rounded up: one second early would be refused again.
            let seconds = self.retry_after.as_secs().saturating_add(u64::from(self.retry_after.subsec_nanos() > 0));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(epoch) = self.epoch {
            response.headers_mut().insert(EPOCH_HEADER, HeaderValue::from(epoch));
        }
        response
    }
}

/// An encoded answer.
pub(crate) fn cbor(status: StatusCode, message: &impl Wire) -> Response {
    let mut response = Response::new(Body::from(message.encode()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    response
}
