//! What the relay counts, in the text form of Prometheus, on a listener of its own. Sums over all callers only: no ids, no
//! addresses, nothing that tells two people apart.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::server::State;

/// Upper ends of the buckets for the time of an answer, in ms.
const ANSWER_MS: [u64; 9] = [1, 5, 10, 25, 50, 100, 500, 2_500, 10_000];
/// And for the time from a claim to its end.
const LINK_MS: [u64; 7] = [1_000, 5_000, 10_000, 20_000, 40_000, 80_000, 180_000];

/// A number that grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Clone)]
pub(crate) struct Times {
    ends_ms: &'static [u64],
    /// By bucket, each without those below it; the last for all that took longer.
    counts: Vec<u64>,
    sum: Duration,
}

impl Times {
    fn new(ends_ms: &'static [u64]) -> Self {
        Self { ends_ms, counts: vec![0; ends_ms.len().saturating_add(1)], sum: Duration::ZERO }
    }

    /// For links, from claim to end.
    pub(crate) fn of_links() -> Self {
        Self::new(&LINK_MS)
    }

    pub(crate) fn note(&mut self, took: Duration) {
        let at = self.ends_ms.iter().position(|end| took <= Duration::from_millis(*end)).unwrap_or(self.ends_ms.len());
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(took);
    }

    fn write(&self, page: &mut Page, name: &str, help: &str) {
        page.head(name, "histogram", help);
        let mut total = 0_u64;
        let ends = self.ends_ms.iter().map(|end| Duration::from_millis(*end).as_secs_f64().to_string());
        for (count, end) in self.counts.iter().zip(ends.chain(["+Inf".to_owned()])) {
            total = total.saturating_add(*count);
            page.line(&format!("{name}_bucket"), &[("le", &end)], total);
        }
        let _ = writeln!(page.0, "pairlight_relay_{name}_sum {}", self.sum.as_secs_f64());
        page.line(&format!("{name}_count"), &[], total);
    }
}

/// What all calls count; slots count for themselves.
pub(crate) struct Metrics {
    pub(crate) devices_added: Counter,
    pub(crate) envelopes_stored: Counter,
    pub(crate) envelopes_repeated: Counter,
    pub(crate) envelopes_refused: Counter,
    pub(crate) envelopes_passed_on: Counter,
    pub(crate) envelopes_delivered: Counter,
    pub(crate) blob_bytes_stored: Counter,
    pub(crate) blob_bytes_read: Counter,
    answers: Mutex<(BTreeMap<u16, u64>, Times)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            devices_added: Counter::default(),
            envelopes_stored: Counter::default(),
            envelopes_repeated: Counter::default(),
            envelopes_refused: Counter::default(),
            envelopes_passed_on: Counter::default(),
            envelopes_delivered: Counter::default(),
            blob_bytes_stored: Counter::default(),
            blob_bytes_read: Counter::default(),
            answers: Mutex::new((BTreeMap::new(), Times::new(&ANSWER_MS))),
        }
    }
}

impl Metrics {
    /// One HTTP answer. The time of those that may wait on purpose says nothing: `None`.
    pub(crate) fn answered(&self, status: u16, took: Option<Duration>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = answers.0.entry(status).or_default();
        *count = count.saturating_add(1);
        if let Some(took) = took {
            answers.1.note(took);
        }
    }
}

/// The text that is built.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP pairlight_relay_{name} {help}\n# TYPE pairlight_relay_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "pairlight_relay_{name}{labels} {value}");
    }
}

/// The page, as of now.
fn page(state: &State) -> String {
    let mut page = Page::default();
    let tally = state.slots.tally();
    page.head("links_total", "counter", "Codes by how far they came: shown, scanned, ended after a scan.");
    page.line("links_total", &[("stage", "shown")], tally.shown);
    page.line("links_total", &[("stage", "scanned")], tally.claimed);
    page.head("links_ended_total", "counter", "Ends of codes by what the devices say, before and after a scan.");
    for ((claimed, reason), count) in &tally.ended {
        let scanned = if *claimed { "yes" } else { "no" };
        page.line("links_ended_total", &[("scanned", scanned), ("reason", &format!("{reason:?}"))], *count);
    }
    tally.times.write(&mut page, "link_seconds", "From a scan to the end of its slot.");
    let metrics = &state.metrics;
    page.head(
        "devices_added_total",
        "counter",
        "Devices that a published list has and the one before had not: links that were completed.",
    );
    page.line("devices_added_total", &[], metrics.devices_added.get());
    page.head("envelopes_total", "counter", "Envelopes by what happened to them.");
    for (what, counter) in [
        ("stored", &metrics.envelopes_stored),
        ("repeated", &metrics.envelopes_repeated),
        ("refused_full", &metrics.envelopes_refused),
        ("passed_on", &metrics.envelopes_passed_on),
        ("delivered", &metrics.envelopes_delivered),
    ] {
        page.line("envelopes_total", &[("what", what)], counter.get());
    }
    page.head("blob_bytes_total", "counter", "Bytes of blobs.");
    page.line("blob_bytes_total", &[("what", "stored")], metrics.blob_bytes_stored.get());
    page.line("blob_bytes_total", &[("what", "read")], metrics.blob_bytes_read.get());
    {
        let answers = metrics.answers.lock().unwrap_or_else(PoisonError::into_inner);
        page.head("answers_total", "counter", "HTTP answers by status; 101 opens a WebSocket.");
        for (status, count) in &answers.0 {
            page.line("answers_total", &[("status", &status.to_string())], *count);
        }
        answers.1.write(
            &mut page,
            "answer_seconds",
            "Time of an HTTP answer; long polls, readiness and sockets are left out.",
        );
    }
    let (slots, bytes) = state.slots.load();
    page.head("slots", "gauge", "Slots in memory, ended ones included.");
    page.line("slots", &[], slots as u64);
    page.head("slot_bytes", "gauge", "Bytes in them.");
    page.line("slot_bytes", &[], bytes as u64);
    page.head("devices_connected", "gauge", "Devices with an open stream.");
    page.line("devices_connected", &[], state.presence.devices() as u64);
    page.0
}

/// `GET /metrics`, for the listener of its own.
pub(crate) fn router(state: Arc<State>) -> Router {
    let form = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Router::new().route("/metrics", get(move || std::future::ready((form, page(&state)))))
}
