//! `pairlight-relay` as a program of its own.
#![cfg(unix)]
#![allow(missing_docs, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pairlight-relay"))
}

/// A running relay; killed when a test fails half-way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_prints_its_address_answers_and_stops_in_order_on_both_signals() {
    for signal in ["TERM", "INT"] {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--limits", "generous", "--store", "memory"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let address = words[1].strip_prefix("http://").unwrap();
        assert_eq!((words[0], words[2], words[3]), ("relay", "host", address), "{line}");
        assert_eq!(words.last().unwrap().len(), 64, "{line}");

        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");

        let _open = TcpStream::connect(address).unwrap();
        let kill = Command::new("kill").args([format!("-{signal}"), running.0.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = running.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not stop on {signal}");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn its_help_starts_with_examples() {
    let output = program().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.starts_with("Examples:\n  pairlight-relay "), "{help}");
    assert!(help.contains("--trust-proxy") && help.contains("--key-file"));
}

#[test]
fn it_says_why_it_cannot_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["--listen", &address, "--store", "memory"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains(&format!("cannot listen on {address}")), "{words}");
    assert_eq!(program().args(["--listen", "nonsense"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn it_checks_a_configuration_and_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    let data = folder.path().join("data");
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = program();
        command.arg("--config").arg(&file).args(["--check-config", "--data-dir"]).arg(&data).args(more);
        let output = command.output().unwrap();
        let words = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(words).unwrap())
    };
    let (code, words) = check("host = \"relay.example\"\nlisten = \"127.0.0.1:4\"\nlog-format = \"json\"\n", &[]);
    assert!(code == Some(0) && words.contains("127.0.0.1:4"), "{words}");
    assert!(data.join("relay.db").exists() && data.join("relay.key").exists());
    for (text, more, expected) in [
        ("hots = \"relay.example\"\n", &[][..], "unknown field `hots`"),
        ("trust-proxy = [\"somewhere\"]\n", &[], "somewhere"),
        ("", &["--store", "memory"], "data-dir"),
    ] {
        let (code, words) = check(text, more);
        assert!(code == Some(1) && words.contains(expected), "{text} {words}");
    }
    let output =
        program().args(["--check-config", "--store", "memory"]).env("PAIRLIGHT_RELAY_HOTS", "x").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("PAIRLIGHT_RELAY_HOTS"));
    assert_eq!(program().args(["--config", "no/such/file"]).output().unwrap().status.code(), Some(1));
}
