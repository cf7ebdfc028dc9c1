//! Two terminals on two machines, as far as one machine can play two: network namespaces, joined by a virtual cable.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::link::Program;

const SHOWS: &str = "10.77.0.1";
const SCANS: &str = "10.77.0.2";

/// Two namespaces that vanish with the test.
struct Cable {
    shows: String,
    scans: String,
}

fn run(command: &str) -> Option<Output> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next()?).args(words).output().ok()?;
    Some(output)
}

impl Cable {
    /// `Err` says why this machine cannot have one.
    fn new() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let cable = Self { shows: format!("pairlight-a-{id}"), scans: format!("pairlight-b-{id}") };
        let (a, b) = (&cable.shows, &cable.scans);
        let steps = [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip -n {a} link add name wire type veth peer name wire netns {b}"),
            format!("ip -n {a} addr add {SHOWS}/24 dev wire"),
            format!("ip -n {b} addr add {SCANS}/24 dev wire"),
            format!("ip -n {a} link set wire up"),
            format!("ip -n {b} link set wire up"),
            format!("ip -n {a} link set lo up"),
            format!("ip -n {b} link set lo up"),
            format!("ip -n {a} route add default via {SCANS}"),
            format!("ip -n {b} route add default via {SHOWS}"),
        ];
        for step in steps {
            let done = run(&step).ok_or_else(|| format!("there is no program for `{step}`"))?;
            if !done.status.success() {
                return Err(format!("`{step}`: {}", String::from_utf8_lossy(&done.stderr).trim()));
            }
        }
        Ok(cable)
    }

    /// Delays every packet of the showing side by `ms`; `Err` says why it cannot.
    fn delay(&self, ms: u32) -> Result<(), String> {
        let step = format!("ip netns exec {} tc qdisc add dev wire root netem delay {ms}ms", self.shows);
        let done = run(&step).ok_or("there is no program `ip`")?;
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if done.status.success() { Ok(()) } else { Err(format!("the kernel delays no packets: {why}")) }
    }

    fn program(&self, namespace: &str, args: &[&str]) -> Program {
        Program::start_under(&["ip", "netns", "exec", namespace], args)
    }

    /// Links once; gives what the scanning terminal said about the local network.
    fn link(&self, folder: &std::path::Path, relay: &str, number: u32) -> String {
        let profile = |name: &str| folder.join(format!("{name}-{number}")).to_str().unwrap().to_owned();
        let (laptop, phone) = (profile("laptop"), profile("phone"));
        let mut show = self.program(&self.shows, &["link", "show", "--profile", &laptop, "--relay", relay, "--text"]);
        let text = show.hear("PAIRLIGHT:/");
        let paste = ["link", "scan", "--profile", &phone, "--relay", relay, "--policy", "development", "--paste"];
        let mut scan = self.program(&self.scans, &paste);
        scan.type_line(&text);
        scan.hear("[y/N]");
        scan.type_line("y");
        let digits = scan.hear("Type these digits");
        show.hear("six digits");
        show.type_line(digits.rsplit("   ").next().unwrap().trim());
        let finding = scan.hear("local network");
        let (exit, said) = scan.end();
        assert_eq!(exit, 0, "{said}");
        assert_eq!(show.end().0, 0);
        finding
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.shows, &self.scans] {
            drop(run(&format!("ip netns del {namespace}")));
        }
    }
}

/// A relay beside the showing terminal. Nothing when this machine cannot play two.
fn two_machines() -> Option<(Cable, Program, String)> {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(why) => {
            println!("skipped: no network namespaces here: {why}");
            return None;
        }
    };
    let listen = format!("{SHOWS}:8787");
    let mut relay = cable.program(&cable.shows, &["relay", "--listen", &listen, "--store", "memory"]);
    relay.hear("attestation key");
    Some((cable, relay, format!("http://{listen}")))
}

#[test]
fn two_terminals_on_one_cable_find_each_other() {
    let Some((cable, _relay, url)) = two_machines() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The address is found and answers over the cable. How fast a busy machine is, is no matter of this test.
    let findings = (1..=5).map(|number| cable.link(folder.path(), &url, number));
    let late: Vec<_> = findings.take_while(|finding| !finding.contains("proven")).collect();
    assert!(late.iter().all(|finding| finding.contains("took too long")), "{late:#?}");
    if late.len() == 5 {
        println!("skipped: this machine is too busy to answer itself within 15 ms: {late:#?}");
    }
}

#[test]
fn a_terminal_behind_a_delay_does_not_count_as_near() {
    let Some((cable, _relay, url)) = two_machines() else { return };
    if let Err(why) = cable.delay(40) {
        return println!("skipped: {why}; a delaying proxy plays this part in core/src/net/lan.rs");
    }
    let folder = tempfile::tempdir().unwrap();
    let finding = cable.link(folder.path(), &url, 1);
    assert!(finding.contains("took too long"), "{finding}");
}
