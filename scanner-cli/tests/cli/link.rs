//! Two terminals link over a real relay: `link show`, `link scan`, `devices`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use pairlight_core::devices::Tenancy;
use pairlight_core::store::Batch;
use pairlight_relay::{Limits, Quota, Relay, RelayConfig, RelayHandle};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::standing::Standing;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running program whose words are read as they come.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    words: Receiver<String>,
    heard: Vec<String>,
}

impl Program {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_under(&[], args)
    }

    /// Runs the program under another one.
    pub(crate) fn start_under(under: &[&str], args: &[&str]) -> Self {
        let line: Vec<&str> = under.iter().chain(&[env!("CARGO_BIN_EXE_pairlight")]).chain(args).copied().collect();
        let mut child = Command::new(line[0])
            .args(&line[1..])
            .env_remove("PAIRLIGHT_PROFILE")
            .env_remove("PAIRLIGHT_RELAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, words) = channel();
        for stream in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let input = child.stdin.take();
        Self { child, input, words, heard: Vec::new() }
    }

    /// Waits for a line with `part` in it.
    pub(crate) fn hear(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.words.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("never heard {part:?}; heard {:#?}", self.heard),
            }
        }
    }

    /// A line with `part` in it, heard already or yet to come: the two streams of a program have no order between them.
    pub(crate) fn heard(&mut self, part: &str) -> String {
        let known = self.heard.iter().find(|line| line.contains(part)).cloned();
        known.unwrap_or_else(|| self.hear(part))
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; gives the exit code and everything said.
    pub(crate) fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end; heard {:#?}", self.heard);
            std::thread::sleep(Duration::from_millis(20));
        };
        while let Ok(line) = self.words.recv_timeout(Duration::from_millis(500)) {
            self.heard.push(line);
        }
        (status.code().unwrap_or(-1), self.heard.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay and a folder with the profiles of two terminals.
pub(crate) struct World {
    runtime: tokio::runtime::Runtime,
    pub(crate) relay: RelayHandle,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::generous())
    }

    fn with_limits(limits: Limits) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let config = RelayConfig { limits, ..RelayConfig::default() };
        let relay = runtime.block_on(Relay::spawn(config)).unwrap();
        Self { runtime, relay, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A terminal that shows a code and writes it to `code.png`.
    fn show(&self) -> Program {
        self.show_with(&[])
    }

    fn show_with(&self, more: &[&str]) -> Program {
        self.show_as("laptop", more)
    }

    fn show_as(&self, profile: &str, more: &[&str]) -> Program {
        let _ = std::fs::remove_file(self.path("code.png"));
        let (profile, url, code) = (self.text(profile), self.relay.url(), self.text("code.png"));
        let line =
            ["link", "show", "--profile", &profile, "--relay", &url, "--qr-out", &code, "--name", "Kim's terminal"];
        let mut show = Program::start(&[&line, more].concat());
        show.hear("a code is shown");
        assert!(self.path("code.png").exists());
        show
    }

    fn scan(&self, more: &[&str]) -> Program {
        self.scan_picture(&self.text("code.png"), more)
    }

    fn scan_picture(&self, picture: &str, more: &[&str]) -> Program {
        let (profile, url) = (self.text("phone"), self.relay.url());
        let mut args = vec!["link", "scan", "--profile", &profile, "--relay", &url, "--image", picture];
        args.extend_from_slice(more);
        Program::start(&args)
    }

    /// Links the laptop to the phone.
    pub(crate) fn link(&self) {
        self.link_as("laptop");
    }

    /// Links a device with this profile to the phone.
    pub(crate) fn link_as(&self, profile: &str) {
        let mut show = self.show_as(profile, &[]);
        let mut scan = self.scan(&["--policy", "development", "--yes"]);
        let code = digits(&mut scan);
        show.hear("six digits");
        show.type_line(&code);
        assert_eq!((scan.end().0, show.end().0), (0, 0));
    }

    pub(crate) fn devices(&self, more: &[&str]) -> (i32, String) {
        let profile = self.text("phone");
        let mut args = vec!["devices", "--profile", &profile];
        args.extend_from_slice(more);
        Program::start(&args).end()
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.relay.shutdown());
    }
}

/// The six digits on the scanning terminal.
fn digits(scan: &mut Program) -> String {
    let line = scan.hear("Type these digits");
    line.rsplit("   ").next().unwrap().trim().to_owned()
}

#[test]
fn two_terminals_link_and_the_account_lists_renames_and_revokes() {
    let world = World::new();
    let mut show = world.show();
    let mut scan = world.scan(&["--policy", "development", "--yes"]);
    scan.hear("Kim's terminal");
    let code = digits(&mut scan);
    show.hear("phone connected");
    show.hear("six digits");
    show.type_line("12");
    show.hear("three tries left");
    show.type_line(&code);
    let (exit, said) = scan.end();
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = show.end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("linked as "), "{said}");

    let (exit, listed) = world.devices(&["list", "--json"]);
    assert_eq!(exit, 0, "{listed}");
    let listed: serde_json::Value =
        serde_json::from_str(listed.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let device = listed["devices"].as_array().unwrap().iter().find(|device| device["role"] == "linked").unwrap();
    assert_eq!(device["name"], "Kim's terminal");
    assert_eq!(device["grade"], "weak", "a picture is weak evidence");
    let id = device["id"].as_str().unwrap().to_owned();

    assert_eq!(world.devices(&["rename", &id[..6], "Old laptop"]).0, 0);
    assert!(world.devices(&[]).1.contains("Old laptop"));
    assert_eq!(world.devices(&["rename", "zz", "x"]).0, 2);
    assert_eq!(world.devices(&["revoke", &id[..6], "--yes"]).0, 0);
    assert!(!world.devices(&[]).1.contains("Old laptop"));
    let World { runtime, relay, folder } = world;
    runtime.block_on(relay.shutdown());
    let phone = folder.path().join("phone");
    let (exit, said) = Program::start(&["devices", "--profile", phone.to_str().unwrap()]).end();
    assert_eq!(exit, 0, "the list is in the store, relay or not: {said}");
}

#[test]
fn the_words_bring_the_account_to_another_terminal() {
    let world = World::new();
    let mut show = world.show();
    let mut scan = world.scan(&["--policy", "development", "--yes"]);
    let code = digits(&mut scan);
    show.hear("six digits");
    show.type_line(&code);
    assert_eq!((scan.end().0, show.end().0), (0, 0));
    let listed = world.devices(&[]).1;
    assert!(listed.contains("active") && listed.contains("REPORTED") && listed.contains("LEASE TO"), "{listed}");

    let (phone, other, url) = (world.text("phone"), world.text("other"), world.relay.url());
    let (exit, said) = Program::start(&["account", "--profile", &phone, "recovery-key"]).end();
    assert_eq!(exit, 0, "{said}");
    let words =
        said.lines().find(|line| line.split(' ').count() == 24 && !line.contains(':')).expect("24 words").to_owned();
    let recover = ["account", "--profile", &other, "--relay", &url, "recover", "--name", "new terminal"];
    let mut wrong = Program::start(&recover);
    wrong.hear("type the 24 words");
    wrong.type_line(&words.replacen(' ', " pairlight ", 1));
    assert_eq!(wrong.end().0, 2);
    let mut right = Program::start(&recover);
    right.hear("type the 24 words");
    right.type_line(&words);
    let (exit, said) = right.end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("recovered; the account has 2 devices"), "{said}");
    let (_, listed) = Program::start(&["devices", "--profile", &other]).end();
    assert!(listed.contains("Kim's terminal") && listed.contains("new terminal (this device)"), "{listed}");
    assert!(listed.contains("lost; the account was recovered on another device"), "{listed}");
    let (exit, said) = Program::start(&["account", "--profile", &other, "rotate-root"]).end();
    assert_eq!(exit, 0, "{said}");
    world.stop();
}

#[test]
fn no_is_the_default_and_both_terminals_say_declined() {
    let world = World::new();
    let mut show = world.show();
    let mut scan = world.scan(&["--policy", "development"]);
    scan.hear("[y/N]");
    scan.type_line("");
    let (exit, said) = scan.end();
    assert_eq!(exit, 3, "{said}");
    show.hear("declined");
    assert_eq!(show.end().0, 8);
    assert!(!world.devices(&[]).1.contains("linked  "));
    world.stop();
}

#[test]
fn three_wrong_codes_end_both_terminals() {
    let world = World::new();
    let mut show = world.show();
    let mut scan = world.scan(&["--policy", "development", "--yes"]);
    let code = digits(&mut scan);
    let wrong = if code == "000 000" { "111111" } else { "000000" };
    show.hear("six digits");
    for left in ["two tries left", "one try left", "the last try"] {
        show.type_line(wrong);
        show.hear(left);
    }
    for program in [show, scan] {
        let (exit, said) = program.end();
        assert_eq!(exit, 1);
        assert!(said.contains("wrong three times"), "{said}");
    }
    world.stop();
}

#[cfg(unix)]
#[test]
fn ctrl_c_on_either_side_is_heard_on_the_other() {
    let world = World::new();
    let show = world.show();
    let mut scan = world.scan(&["--policy", "development"]);
    scan.hear("[y/N]");
    show.interrupt();
    assert_eq!(show.end().0, 130);
    let (exit, said) = scan.end();
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("cancelled"), "{said}");

    let mut show = world.show();
    let mut scan = world.scan(&["--policy", "development"]);
    scan.hear("[y/N]");
    scan.interrupt();
    assert_eq!(scan.end().0, 130);
    show.hear("cancelled");
    assert_eq!(show.end().0, 3);
    world.stop();
}

#[test]
fn a_code_whose_terminal_is_gone_has_expired() {
    let world = World::new();
    drop(world.show());
    std::thread::sleep(Duration::from_millis(300));
    let (exit, said) = world.scan(&["--policy", "development", "--yes"]).end();
    assert_eq!(exit, 7, "{said}");
    assert!(said.contains("too old"), "{said}");
    world.stop();
}

#[test]
fn a_foreign_login_code_is_named_and_refused() {
    let world = World::new();
    let foreign = "https://wa.me/settings/linked_devices#2@secret-token,key,key,key,1";
    write_code(foreign, &world.path("code.png"));
    let (exit, said) = world.scan(&[]).end();
    assert_eq!(exit, 1);
    assert!(said.contains("WhatsApp") && !said.contains("secret-token"), "{said}");

    let profile = world.text("phone");
    let mut paste = Program::start(&["link", "scan", "--profile", &profile, "--relay", &world.relay.url(), "--paste"]);
    paste.type_line("sgnl://linkdevice?uuid=secret-token&pub_key=abc");
    let (exit, said) = paste.end();
    assert_eq!(exit, 1);
    assert!(said.contains("Signal") && !said.contains("secret-token"), "{said}");
    world.stop();
}

#[test]
fn an_answer_that_was_typed_before_the_question_approves_nothing() {
    let world = World::new();
    let show = world.show();
    let mut scan = world.scan(&["--policy", "development"]);
    scan.type_line("y");
    scan.type_line("yes");
    scan.hear("[y/N]");
    scan.type_line("n");
    let (exit, said) = scan.end();
    assert_eq!(exit, 3, "{said}");
    assert!(!said.contains("Type these digits"), "{said}");
    assert_eq!(show.end().0, 8);
    world.stop();
}

#[test]
fn a_quiet_program_still_says_what_the_person_must_know_and_asks_nobody_who_is_gone() {
    let world = World::new();
    let show = world.show();
    let mut scan = world.scan(&["--quiet"]);
    scan.hear("Somebody may have sent it to you");
    scan.hear("[y/N]");
    drop(scan.input.take());
    let (exit, said) = scan.end();
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("nobody is there to answer"), "{said}");
    assert_eq!(show.end().0, 8);
    world.stop();
}

#[test]
fn a_picture_with_another_code_beside_ours_links_by_ours() {
    let world = World::new();
    let show = world.show();
    let ours = image::open(world.path("code.png")).unwrap().to_luma8();
    write_code("WIFI:S:Library;;", &world.path("wifi.png"));
    let wifi = image::open(world.path("wifi.png")).unwrap().to_luma8();
    let (width, height) = (wifi.width() + ours.width(), wifi.height().max(ours.height()));
    let mut both = image::GrayImage::from_pixel(width, height, image::Luma([255]));
    image::imageops::replace(&mut both, &wifi, 0, 0);
    image::imageops::replace(&mut both, &ours, i64::from(wifi.width()), 0);
    both.save(world.path("both.png")).unwrap();
    let picture = world.text("both.png");
    let mut scan = world.scan_picture(&picture, &["--policy", "development"]);
    scan.hear("A device wants to be linked");
    scan.type_line("n");
    assert_eq!((scan.end().0, show.end().0), (3, 8));
    world.stop();
}

#[test]
fn a_flood_of_lines_is_not_kept_and_a_code_picture_is_private_and_does_not_stay() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let mut show = world.show();
    let code = world.path("code.png");
    assert_eq!(std::fs::metadata(&code).unwrap().permissions().mode() & 0o777, 0o600);
    let mut input = show.input.take().unwrap();
    let flood = std::thread::spawn(move || {
        let chunk = vec![b'x'; 1 << 20];
        (0..64).take_while(|_| input.write_all(&chunk).is_ok()).count()
    });
    assert_eq!(flood.join().unwrap(), 64, "a long line is read and passed over");
    let status = std::fs::read_to_string(format!("/proc/{}/status", show.child.id()));
    if let Ok(status) = status {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 60_000, "{kilobytes} kB resident");
    }
    show.interrupt();
    assert_eq!(show.end().0, 130);
    assert!(!code.exists());
    world.stop();
}

#[test]
fn approval_without_a_person_needs_the_development_policy() {
    let world = World::new();
    let (exit, said) = world.scan(&["--yes"]).end();
    assert_eq!(exit, 2, "{said}");
    world.stop();
}

#[test]
fn a_terminal_waits_for_its_relay_at_the_first_contact_and_later() {
    let world = World::new();
    let listen = world.relay.local_addr();
    let World { runtime, relay, folder } = world;
    runtime.block_on(relay.shutdown());
    let profile = folder.path().join("laptop");
    let profile = profile.to_str().unwrap();
    let (relay, code) = (format!("http://{listen}"), folder.path().join("code.png"));
    let line = ["link", "show", "--profile", profile, "--relay", &relay, "--qr-out", code.to_str().unwrap()];
    let mut show = Program::start(&line);
    show.hear("trying again in 1 s");
    let start = || {
        let config = RelayConfig { listen, limits: Limits::generous(), ..RelayConfig::default() };
        runtime.block_on(Relay::spawn(RelayConfig { attestation_seed: Some([7; 32]), ..config })).unwrap()
    };
    let relay = start();
    show.hear("trusting its key");
    show.hear("a code is shown");
    runtime.block_on(relay.shutdown());
    show.hear("trying again");
    let relay = start();
    show.hear("a code is shown");
    runtime.block_on(relay.shutdown());
    show.interrupt();
    assert_eq!(show.end().0, 130);
    let mut show = Program::start(&["link", "show", "--profile", profile, "--qr-out", code.to_str().unwrap()]);
    show.hear("trying again");
    show.interrupt();
    assert_eq!(show.end().0, 130, "a known relay need not be there at the start");
}

#[test]
fn a_relay_that_goes_by_another_name_and_names_that_say_nothing_are_refused_at_once() {
    let world = World::new();
    let (profile, port) = (world.text("laptop"), world.relay.local_addr().port());
    let url = format!("http://localhost:{port}");
    let (exit, said) = Program::start(&["link", "show", "--profile", &profile, "--relay", &url]).end();
    assert_eq!(exit, 1);
    assert!(said.contains(&format!("calls itself 127.0.0.1:{port}")), "{said}");
    for name in ["", "  ", "two\nlines", &"x".repeat(65)] {
        let (exit, said) = Program::start(&["link", "show", "--profile", &profile, "--name", name]).end();
        assert_eq!(exit, 2, "{name:?}");
        assert!(said.contains("1 to 64 bytes"), "{said}");
    }
    world.stop();
}

#[test]
fn a_code_of_another_relay_and_a_used_one_are_told_apart() {
    let world = World::new();
    let scan = |text: &str| {
        let (profile, url) = (world.text("phone"), world.relay.url());
        let mut scan = Program::start(&["link", "scan", "--profile", &profile, "--relay", &url, "--paste"]);
        scan.type_line(text);
        scan.end()
    };
    let other = pairlight_wire::qr::QrPayload::new(7, [1; 32], [2; 16]).to_text();
    let (exit, said) = scan(&other);
    assert_eq!(exit, 1);
    assert!(said.contains("relay number 7"), "{said}");
    let mut show = world.show_with(&["--text"]);
    let text = show.heard("PAIRLIGHT:/");
    let mut first =
        Program::start(&["link", "scan", "--profile", &world.text("other"), "--relay", &world.relay.url(), "--paste"]);
    first.type_line(&text);
    first.hear("[y/N]");
    first.interrupt();
    assert_eq!(first.end().0, 130);
    show.hear("cancelled");
    let (exit, said) = scan(&text);
    assert_eq!(exit, 7, "{said}");
    assert!(said.contains("used before"), "no alarm about a second scanner: {said}");
    world.stop();
}

/// The linked devices of the account: id and name.
fn listed(world: &World) -> Vec<(String, String)> {
    let (exit, said) = world.devices(&["list", "--json"]);
    assert_eq!(exit, 0, "{said}");
    let json: serde_json::Value =
        serde_json::from_str(said.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let devices = json["devices"].as_array().unwrap().iter().filter(|device| device["role"] == "linked");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    devices.map(|device| (text(&device["id"]), text(&device["name"]))).collect()
}

#[test]
fn a_locked_or_quarantined_profile_is_linked_anew_as_the_device_that_it_was() {
    let world = World::new();
    world.link();
    let before = listed(&world);
    assert_eq!(before.len(), 1);
    let replace = || {
        let mut show = world.show_with(&["--replace"]);
        let mut scan = world.scan(&["--policy", "development", "--yes"]);
        let code = digits(&mut scan);
        show.hear("six digits");
        show.type_line(&code);
        assert_eq!((scan.end().0, show.end().0), (0, 0));
    };
    for locked in [true, false] {
        let mut store = super::news::open(&world, "laptop");
        let linked = store.linked_account().unwrap().unwrap().created();
        let mut tenancy = store.tenancy().unwrap().unwrap_or_else(|| Tenancy::new(linked));
        tenancy.locked = locked;
        tenancy.standing = if locked { Standing::Active } else { Standing::Quarantined };
        store.commit(Batch::new().put_tenancy(&tenancy)).unwrap();
        drop(store);
        replace();
        assert_eq!(listed(&world), before, "the same device, and no second one");
    }
    // One that is neither becomes another device, as before.
    replace();
    assert_eq!(listed(&world).len(), 2);
    world.stop();
}

#[test]
fn a_picture_of_a_code_replaces_nothing_unasked_and_a_linked_profile_is_not_linked_again_unasked() {
    let world = World::new();
    let kept = world.path("kept.png");
    std::fs::write(&kept, "precious").unwrap();
    std::fs::write(world.path("code.part"), "old").unwrap();
    let (profile, url) = (world.text("laptop"), world.relay.url());
    let show = ["link", "show", "--profile", &profile, "--relay", &url, "--qr-out", kept.to_str().unwrap()];
    let (exit, said) = Program::start(&show).end();
    assert_eq!(exit, 1, "{said}");
    assert_eq!(std::fs::read(&kept).unwrap(), b"precious");

    let ended = world.show();
    ended.signal("-TERM");
    assert_eq!(ended.end().0, 130);
    assert!(!world.path("code.png").exists(), "the picture is gone after kill, too");
    assert_eq!(std::fs::read(world.path("code.part")).unwrap(), b"old");

    world.link();
    let (exit, said) = Program::start(&["link", "show", "--profile", &profile]).end();
    assert_eq!(exit, 1);
    assert!(said.contains("--replace"), "{said}");
    let (exit, said) = Program::start(&["devices", "list", "--profile", &profile]).end();
    assert_eq!(exit, 1);
    assert!(said.contains("primary device"), "{said}");
    let nothing = world.path("nothing");
    let (exit, _) = Program::start(&["devices", "--profile", nothing.to_str().unwrap()]).end();
    assert!(exit == 1 && !nothing.exists(), "looking makes no profile");
    world.stop();
}

#[test]
fn an_unknown_relay_and_a_bad_address_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("p");
    let profile = profile.to_str().unwrap();
    let mut show = Program::start(&["link", "show", "--profile", profile, "--relay", "http://127.0.0.1:9"]);
    show.hear("cannot be reached");
    show.interrupt();
    assert_eq!(show.end().0, 130);
    let (exit, said) = Program::start(&["link", "show", "--profile", profile]).end();
    assert_eq!(exit, 2);
    assert!(said.contains("--relay"), "{said}");
    let (exit, said) = Program::start(&["devices", "--profile", profile, "--relay", "ftp://x"]).end();
    assert_eq!(exit, 2);
    assert!(said.contains("http"), "{said}");
}

#[test]
fn too_many_attempts_end_with_the_time_at_which_the_next_one_counts() {
    let hourly = |count| Quota::one(count, Duration::from_secs(3_600));
    let world = World::with_limits(Limits { opens: hourly(1), claims: hourly(1), ..Limits::generous() });
    let show = world.show();
    let mut first = world.scan(&[]);
    first.hear("[y/N]");
    first.type_line("n");
    assert_eq!((first.end().0, show.end().0), (3, 8));

    let (profile, url, other) = (world.text("other"), world.relay.url(), world.text("other.png"));
    let (exit, said) =
        Program::start(&["link", "show", "--profile", &profile, "--relay", &url, "--qr-out", &other]).end();
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("start again in 60 min"), "{said}");

    let offer = QrPayload::new(0, [7; 32], [7; 16]).to_text();
    write_code(&offer, &world.path("code.png"));
    let (exit, said) = world.scan(&[]).end();
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("start again in 60 min"), "{said}");
    world.stop();
}

#[test]
fn a_code_that_can_be_seen_nowhere_is_not_shown() {
    let world = World::new();
    let (profile, url) = (world.text("laptop"), world.relay.url());
    let (exit, said) = Program::start(&["link", "show", "--profile", &profile, "--relay", &url]).end();
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("--qr-out") && said.contains("--text"), "{said}");
    world.stop();
}

#[test]
fn a_store_that_lost_its_bytes_is_not_begun_anew() {
    let world = World::new();
    world.link();
    let store = world.path("phone").join("store.db");
    // As a full disk or a careless copy leaves it.
    std::fs::write(&store, b"").unwrap();
    for journal in ["store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(world.path("phone").join(journal));
    }
    let (exit, said) = world.devices(&[]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("what was in it is lost"), "{said}");
    assert_eq!(std::fs::metadata(&store).unwrap().len(), 0);
    world.stop();
}

/// Draws a text as a code into a PNG.
fn write_code(text: &str, path: &Path) {
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).unwrap();
    let side = u32::try_from(code.size() + 8).unwrap() * 8;
    let picture = image::GrayImage::from_fn(side, side, |x, y| {
        let module = |at: u32| i32::try_from(at / 8).unwrap() - 4;
        image::Luma([if code.get_module(module(x), module(y)) { 0 } else { 255 }])
    });
    picture.save(path).unwrap();
}
