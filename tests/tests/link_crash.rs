//! SIGKILL at every write point and every event of a link, on either side: after the next start both are linked, or
//! neither is.
#![cfg(unix)]

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pairlight_core::net::{Clock, Connection, ConnectionEvent, LinkedDevice, Pairing, system_clock};
use pairlight_core::pairing::{LinkedEvent, PrimaryEvent};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_tests::world::{World, description, open_store};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::limits::COMMIT_GIVE_UP_MS;
use pairlight_wire::qr::QrPayload;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// No step of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

struct Victim {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn start(role: &str, world: &World, mode: &str) -> Self {
        let folder = world.folder.path().join("victim");
        std::fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_link_victim"))
            .args([role, folder.to_str().unwrap(), &world.relay.url(), mode])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, lines: BufReader::new(output).lines() }
    }

    /// The next line; `None` when the victim is dead.
    async fn hear(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("the victim stands still").unwrap()
    }

    async fn say(&mut self, line: &str) {
        // A victim that is dead hears nothing, which is what the test is about.
        let _ = self.input.write_all(format!("{line}\n").as_bytes()).await;
    }

    /// Starts the side again and waits until it has settled.
    async fn restart(role: &str, world: &World) {
        let mut victim = Self::start(role, world, "resume");
        while victim.hear().await.is_some() {}
        assert!(victim.child.wait().await.unwrap().success(), "the next start of the {role} device fails");
    }
}

/// How many points a victim passed when nobody killed it; `None` when it died.
async fn kill_the_linked_device(at: &str) -> Option<u64> {
    let world = World::start().await;
    let primary = world.primary("survivor", Policy::DEVELOPMENT).await.unwrap();
    let mut victim = Victim::start("linked", &world, at);
    let mut pairing: Option<Pairing> = None;
    let (mut ended, mut asks, mut digits, mut points) = (false, false, None, None);
    let mut alive = true;
    while alive || (pairing.is_some() && !ended) {
        tokio::select! {
            line = victim.hear(), if alive => match line {
                None => alive = false,
                Some(line) => match line.split_once(' ') {
                    Some(("code", text)) if pairing.is_none() => {
                        let payload = QrPayload::parse(text).unwrap();
                        pairing = Some(primary.link(payload, ScanSource::LiveCamera).await.unwrap());
                    }
                    Some(("points", passed)) => points = passed.parse().ok(),
                    _ if line == "asks" => asks = true,
                    _ => {}
                },
            },
            event = async { pairing.as_mut().unwrap().next_event().await }, if pairing.is_some() && !ended => {
                match event {
                    Some(PrimaryEvent::Review(_)) => pairing.as_mut().unwrap().approve().await.unwrap(),
                    Some(PrimaryEvent::ShowCheckCode(code)) => digits = Some(code.to_display()),
                    None => ended = true,
                    _ => {}
                }
            }
            () = tokio::time::sleep(PATIENCE) => panic!("nothing happens at point {at}"),
        }
        if let Some(digits) = digits.as_ref().filter(|_| asks) {
            asks = false;
            victim.say(digits).await;
        }
    }
    drop((pairing, primary));
    // Every second victim starts again at once, the others in three hours: the account's list decides, not the time.
    if at.parse::<u64>().is_ok_and(|at| at % 2 == 1) {
        restart_the_linked_device_late(&world).await;
    } else {
        Victim::restart("linked", &world).await;
    }
    check(&world, "survivor", "victim/store", at).await;
    points
}

async fn restart_the_linked_device_late(world: &World) {
    let (clock, ahead) = jumping_clock();
    ahead.store(3 * 60 * 60_000, Ordering::SeqCst);
    let store = open_store(world.folder.path(), "victim/store");
    let device = LinkedDevice::open_at(store, world.client.clone(), clock).await.unwrap();
    if let Some(linking) = device.resume().await.unwrap() {
        while tokio::time::timeout(PATIENCE, linking.next_event()).await.expect("a decision").is_some() {}
    }
}

/// The system's clock, and how far it is moved on.
fn jumping_clock() -> (Clock, Arc<AtomicU64>) {
    let (real, ahead) = (system_clock(), Arc::new(AtomicU64::new(0)));
    let moved = Arc::clone(&ahead);
    (Arc::new(move || real().plus_ms(moved.load(Ordering::SeqCst))), ahead)
}

async fn kill_the_primary_device(at: &str) -> Option<u64> {
    let world = World::start().await;
    let (clock, jump) = jumping_clock();
    let store = open_store(world.folder.path(), "survivor");
    let laptop = LinkedDevice::open_at(store, world.client.clone(), clock).await.unwrap();
    let linking = laptop.link(description("survivor"));
    let mut victim = Victim::start("primary", &world, at);
    let (mut ended, mut asked, mut digits, mut points) = (false, false, None, None);
    let (mut alive, mut restarted, mut told, mut hurry) = (true, false, false, false);
    while !restarted || !ended {
        tokio::select! {
            line = victim.hear(), if alive => match line {
                None => alive = false,
                Some(line) => match line.split_once(' ') {
                    Some(("digits", code)) => digits = Some(code.to_owned()),
                    Some(("points", passed)) => points = passed.parse().ok(),
                    _ => {}
                },
            },
            event = linking.next_event(), if !ended => match event {
                Some(LinkedEvent::ShowCode { text, .. }) if !told => {
                    told = true;
                    victim.say(&text).await;
                }
                Some(LinkedEvent::EnterCheckCode) => asked = true,
                // A victim that died before its claim: nobody will scan.
                Some(LinkedEvent::ShowCode { .. } | LinkedEvent::Paused) if !alive => {
                    let _ = linking.cancel().await;
                }
                None => ended = true,
                _ => {}
            },
            () = tokio::time::sleep(Duration::from_millis(300)), if hurry => {
                jump.fetch_add(COMMIT_GIVE_UP_MS, Ordering::SeqCst);
                // Any command wakes the machine, which then sees the time.
                let _ = linking.show_again().await;
            }
            () = tokio::time::sleep(PATIENCE) => panic!("nothing happens at point {at}"),
        }
        if let Some(digits) = digits.as_ref().filter(|_| asked) {
            asked = false;
            linking.enter_check_code(digits).await.unwrap();
        }
        // Dead or done: its next start settles what it left, while the other side still asks for the list.
        if !alive && !restarted {
            restarted = true;
            Victim::restart("primary", &world).await;
            // The relay cannot tell the survivor that a device without a socket is dead. Its timer can; where a list
            // may have been published, the list decides.
            hurry = true;
        }
    }
    drop((linking, laptop));
    check(&world, "victim/store", "survivor", at).await;
    points
}

async fn next_message(connection: &mut Connection) -> Vec<u8> {
    loop {
        match tokio::time::timeout(PATIENCE, connection.next_event()).await.unwrap().unwrap() {
            ConnectionEvent::Message { body, .. } => return body,
            ConnectionEvent::Unreadable { .. } | ConnectionEvent::Failed(_) => panic!("the session is broken"),
            _ => {}
        }
    }
}

/// Both are linked and can talk, or neither is and nothing is left.
async fn check(world: &World, primary: &str, linked: &str, at: &str) {
    let linked = world.linked(linked).await.unwrap();
    let account = linked.account().await.unwrap();
    let store = open_store(world.folder.path(), primary);
    assert!(store.run(|store| store.pending_links()).await.unwrap().is_empty(), "point {at}: a link is left pending");
    drop(store);
    let primary = world.primary(primary, Policy::DEVELOPMENT).await.unwrap();
    primary.register().await.unwrap();
    let listed: Vec<_> = primary.devices().await.unwrap().into_iter().filter(|device| !device.is_this).collect();
    let Some(account) = account else {
        assert!(listed.is_empty(), "point {at}: listed, but the linked device knows nothing of it");
        assert!(linked.resume().await.unwrap().is_none(), "point {at}: keys of a dead link are left");
        return;
    };
    assert_eq!(listed.iter().map(|device| device.id).collect::<Vec<_>>(), [account.device_id()], "point {at}");
    let mut phone = primary.connect().await.unwrap();
    let mut laptop = linked.connect().await.unwrap();
    laptop.send(account.primary().unwrap(), EnvelopeKind::Application, b"up").await.unwrap();
    assert_eq!(next_message(&mut phone).await, b"up");
    phone.send(account.device_id(), EnvelopeKind::Application, b"down").await.unwrap();
    assert_eq!(next_message(&mut laptop).await, b"down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_linked_device_is_linked_after_its_next_start_or_not_at_all() {
    let points = kill_the_linked_device("never").await.expect("an undisturbed link ends");
    assert!(points >= 9, "only {points} points: the test looks at too little");
    for at in 0..points {
        assert_eq!(kill_the_linked_device(&at.to_string()).await, None, "point {at} was not reached");
    }
    println!("{points} kills of the linked device");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_device_finishes_or_takes_back_its_link_at_its_next_start() {
    let points = kill_the_primary_device("never").await.expect("an undisturbed link ends");
    assert!(points >= 14, "only {points} points: the test looks at too little");
    for at in 0..points {
        assert_eq!(kill_the_primary_device(&at.to_string()).await, None, "point {at} was not reached");
    }
    println!("{points} kills of the primary device");
}
