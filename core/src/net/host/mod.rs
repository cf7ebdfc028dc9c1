//! What the platform gives the drivers: tasks, timers, sockets, calls, a clock. One file per platform, with the same names, so
//! that every driver is one and the same code on a phone, a laptop and in a browser.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
pub(super) use browser::{Http, LanListener, Response, Sleep, Socket, Task, now_ms, run_probe, sleep, spawn, timeout};
#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{Http, Response, Sleep, Socket, Task, now_ms, sleep, spawn, stopwatch, timeout};

#[cfg(not(target_arch = "wasm32"))]
pub(super) use super::lan::{LanListener, run_probe};

/// No single request takes longer, unless it says so.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// Largest frame: an envelope and its wrapping.
const FRAME_BYTES: usize = 128 * 1024;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

/// A call over HTTP.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// After this it has failed.
    pub(super) patience: Duration,
}

impl Request {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Vec::new(), patience: REQUEST }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// What a socket says next.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A binary frame.
    Binary(Vec<u8>),
    /// The end; with a code when the other side gave one.
    Closed(Option<u16>),
    /// A frame that is not of the protocol.
    Foreign,
}

/// It took too long.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
pub(super) struct Elapsed;
