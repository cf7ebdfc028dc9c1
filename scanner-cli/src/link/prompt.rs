//! Lines that the person types, without ever standing still for them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::Instant;

use tokio::sync::mpsc;

/// Lines that may wait. Whoever types faster than the program asks waits in the pipe.
const WAITING: usize = 16;
/// Bytes of a line that are kept; no answer and no code is longer.
const LONGEST: u64 = 4096;

/// Lines of standard input; read on a thread of their own, because nobody can interrupt a blocked read.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::Receiver<(Instant, String)>);

impl Lines {
    /// Starts to listen to standard input.
    pub(crate) fn listen() -> Self {
        Self::listen_to(|sender| read_lines(std::io::stdin().lock(), sender))
    }

    /// As [`Lines::listen`]; when standard input ends (it was a file or a pipe), the terminal goes on, so that a person
    /// can still be asked.
    pub(crate) fn listen_then_terminal() -> Self {
        Self::listen_to(|sender| {
            read_lines(std::io::stdin().lock(), sender);
            if let Ok(terminal) = File::open("/dev/tty") {
                read_lines(BufReader::new(terminal), sender);
            }
        })
    }

    fn listen_to(read: impl FnOnce(&mpsc::Sender<(Instant, String)>) + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        // A thread that cannot be started is an input that has ended.
        drop(std::thread::Builder::new().name("pairlight-input".into()).spawn(move || read(&sender)));
        Self(receiver)
    }

    /// The next line; `None` at the end of the input. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await.map(|(_, line)| line)
    }

    /// The next line that was typed after `asked`: an answer is given to a question that was read. Safe to cancel.
    pub(crate) async fn answer(&mut self, asked: Instant) -> Option<String> {
        loop {
            let (typed, line) = self.0.recv().await?;
            if typed >= asked {
                return Some(line);
            }
        }
    }
}

fn read_lines(mut from: impl BufRead, to: &mpsc::Sender<(Instant, String)>) {
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        // The rest of a line that is too long is passed over.
        if line.last() != Some(&b'\n') && line.len() as u64 == LONGEST && skip_line(&mut from).is_err() {
            return;
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        if to.blocking_send((Instant::now(), line)).is_err() {
            return;
        }
    }
}

fn skip_line(from: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let waiting = from.fill_buf()?;
        let (used, done) = match waiting.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (waiting.len(), waiting.is_empty()),
        };
        from.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_their_ends_removed() {
        let long = "x".repeat(10_000);
        let (sender, mut receiver) = mpsc::channel(8);
        read_lines(format!("yes\r\n{long}\n\nlast").as_bytes(), &sender);
        drop(sender);
        let mut read = Vec::new();
        while let Ok((_, line)) = receiver.try_recv() {
            read.push(line.len());
        }
        assert_eq!(read, [3, 4096, 0, 4]);
    }

    #[tokio::test]
    async fn an_answer_from_before_the_question_does_not_count() {
        let (sender, receiver) = mpsc::channel(8);
        sender.send((Instant::now(), "y".into())).await.unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let asked = Instant::now();
        sender.send((asked, "n".into())).await.unwrap();
        assert_eq!(Lines(receiver).answer(asked).await.as_deref(), Some("n"));
    }
}
