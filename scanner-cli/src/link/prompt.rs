//! Lines that the person types, without ever standing still for them.

use std::io::BufRead;

use tokio::sync::mpsc;

/// Lines of standard input; read on a thread of their own, because nobody can interrupt a blocked read.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::UnboundedReceiver<String>);

impl Lines {
    /// Starts to listen.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        // A thread that cannot be started is an input that has ended.
        drop(std::thread::Builder::new().name("pairlight-input".into()).spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        }));
        Self(receiver)
    }

    /// The next line; `None` at the end of the input. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}
