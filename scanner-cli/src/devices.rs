//! `pairlight devices`: who is linked to the account of this profile.

use std::io::Write;

use clap::{Args, Subcommand};
use pairlight_core::Timestamp;
use pairlight_core::net::{DeviceInfo, Primary, RemovedDevice, SharedStore};
use pairlight_wire::device::Role as DeviceRole;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::standing::{Discrepancy, Standing};

use crate::exit::{Exit, Failure};
use crate::link::{Lines, block_on};
use crate::messages::news::{fork_words, notice_words};
use crate::messages::pending_link;
use crate::profile::{ProfileArgs, Role, standing_policy};
use crate::style::{Voice, printable};

const EXAMPLES: &str = "\
Examples:
  pairlight devices                         list them
  pairlight devices list --json | jq        the same for programs
  pairlight devices rename 3fa9 \"My laptop\" an id may be shortened to what is unique
  pairlight devices revoke 3fa9             end its sessions and take it off the list";

/// List, rename and revoke the account's devices
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DevicesArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(subcommand)]
    command: Option<DevicesCommand>,
}

#[derive(Debug, Subcommand)]
enum DevicesCommand {
    /// List the devices (the default)
    #[command(
        before_help = "Examples:\n  pairlight devices list\n  pairlight devices list --json | jq -r '.devices[].name'"
    )]
    List {
        /// Print a JSON list
        #[arg(long)]
        json: bool,
    },
    /// Give a device another name
    #[command(before_help = "Examples:\n  pairlight devices rename 3fa9 \"My laptop\"")]
    Rename {
        /// The device's id, or its beginning
        id: String,
        /// The new name, at most 64 bytes
        #[arg(value_parser = crate::args::device_name)]
        name: String,
    },
    /// Let a device that runs on another kind of system now do again what its certificate grants
    #[command(before_help = "Examples:\n  pairlight devices confirm 3fa9")]
    Confirm {
        /// The device's id, or its beginning
        id: String,
    },
    /// Keep this device's list although another one of the same epoch was seen; on primary and linked devices
    #[command(before_help = "Examples:\n  pairlight devices keep-list")]
    KeepList {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Take a device off the list: its sessions end at once, its keys are erased there
    #[command(before_help = "Examples:\n  pairlight devices revoke 3fa9\n  pairlight devices revoke --all --yes")]
    Revoke {
        /// The device's id, or its beginning
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All linked devices
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(args: &DevicesArgs, voice: Voice) -> Result<Exit, Failure> {
    block_on(async {
        let store = args.profile.open_existing(Role::Primary)?;
        if let Some(DevicesCommand::KeepList { yes }) = args.command {
            return keep_list(&store, yes, voice).await;
        }
        if let Some(account) = store.run(|store| store.linked_account()).await? {
            if !account.is_committed() {
                return Err(pending_link());
            }
            let own = account.device_id().to_hex();
            let what = format!(
                "this profile is the linked device {own}; the account's devices are managed on its primary device"
            );
            return Err(Failure::new(Exit::Error, what, "run this there, or name its folder with --profile"));
        }
        let client = args.profile.client(&store, voice).await?;
        if store.run(|store| store.account()).await?.is_none() {
            let remedy = "`pairlight link scan` makes one when it links the first device";
            return Err(Failure::new(Exit::Error, "this profile has no account", remedy));
        }
        let primary = Primary::open(store, client, standing_policy(), "this terminal").await?;
        let devices = primary.devices().await?;
        primary
            .show_due_notices(|notice| {
                voice.caution(notice_words(notice));
                Ok::<_, Failure>(())
            })
            .await?;
        if let Some(fork) = primary.fork().await? {
            voice.caution(fork_words(&fork));
        }
        match &args.command {
            None => list(&devices, &primary.removed().await?, false),
            Some(DevicesCommand::List { json }) => list(&devices, &primary.removed().await?, *json),
            // Answered above: it needs neither relay nor role.
            Some(DevicesCommand::KeepList { .. }) => Ok(Exit::Done),
            Some(DevicesCommand::Confirm { id }) => {
                let device = find(&devices, id)?;
                primary.confirm(device.id).await?;
                voice.note(format_args!("{} may do again what its certificate grants", device.id.to_hex()));
                Ok(Exit::Done)
            }
            Some(DevicesCommand::Rename { id, name }) => {
                let device = find(&devices, id)?;
                primary.rename(device.id, name).await?;
                voice.note(format_args!("{} is now called {}", device.id.to_hex(), printable(name)));
                Ok(Exit::Done)
            }
            Some(DevicesCommand::Revoke { id, all, yes }) => {
                let chosen: Vec<&DeviceInfo> = match id {
                    Some(id) => vec![find(&devices, id)?],
                    None => devices.iter().filter(|device| !device.is_this).collect(),
                };
                revoke(&primary, &chosen, *all, *yes, voice).await
            }
        }
    })
}

/// The state of a device in one word, and why when it may not do everything.
fn state(device: &DeviceInfo) -> (&'static str, Option<&'static str>) {
    let because = device.because.map(|row| row.text());
    match device.standing {
        _ if device.is_locked => ("locked", Some(Discrepancy::LeaseEnded.text())),
        Standing::Active => ("active", None),
        Standing::Restricted => ("restricted", because),
        Standing::Quarantined => ("quarantined", because),
    }
}

/// A day, as people and sorting like it; `-` for none.
fn day(time: Option<Timestamp>) -> String {
    let Some(time) = time else { return "-".into() };
    let at = i64::try_from(time.unix_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "?".into(), |at| at.strftime("%Y-%m-%d").to_string())
}

fn list(devices: &[DeviceInfo], removed: &[RemovedDevice], json: bool) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    let mut write = |line: String| writeln!(out, "{line}").map_err(|error| Failure::from_stdout(&error));
    if json {
        let list: Vec<_> = devices
            .iter()
            .map(|device| {
                serde_json::json!({
                    "id": device.id.to_hex(),
                    "name": device.name,
                    "role": role(device.role),
                    "this": device.is_this,
                    "linked_ms": device.linked.unix_ms(),
                    "grade": device.grade.map(|grade| grade.text()),
                    "scope": device.scope,
                    "last_check_in_ms": device.last_check_in.map(Timestamp::unix_ms),
                    "lease_until_ms": device.lease_until.map(Timestamp::unix_ms),
                    "state": state(device).0,
                    "because": state(device).1,
                })
            })
            .collect();
        let removed: Vec<_> = removed
            .iter()
            .map(|device| {
                let (id, at) = (device.id.to_hex(), device.at.unix_ms());
                serde_json::json!({ "id": id, "reason": device.reason.text(), "at_ms": at })
            })
            .collect();
        write(serde_json::json!({ "schema": 1, "devices": list, "removed": removed }).to_string())?;
    } else {
        write(format!(
            "{:<32}  {:<8}  {:<7}  {:<11}  {:<10}  {:<10}  {}",
            "ID", "ROLE", "GRADE", "STATE", "REPORTED", "LEASE TO", "NAME"
        ))?;
        for device in devices {
            let grade = device.grade.map_or("-", |grade| grade.text());
            let name = device.name.as_deref().map_or_else(|| "(unreadable)".into(), printable);
            let this = if device.is_this { " (this device)" } else { "" };
            let (state, because) = state(device);
            let (reported, until) = (day(device.last_check_in), day(device.lease_until));
            let because = because.map_or_else(String::new, |because| format!(": {because}"));
            write(format!(
                "{:<32}  {:<8}  {grade:<7}  {state:<11}  {reported:<10}  {until:<10}  {name}{this}{because}",
                device.id.to_hex(),
                role(device.role)
            ))?;
        }
        for device in removed {
            let (id, when) = (device.id.to_hex(), day(Some(device.at)));
            write(format!(
                "{id:<32}  {:<8}  {:<7}  {:<11}  {when:<10}  {:<10}  {}",
                "",
                "",
                "removed",
                "",
                device.reason.text()
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn role(role: DeviceRole) -> &'static str {
    match role {
        DeviceRole::Primary => "primary",
        DeviceRole::Linked => "linked",
    }
}

fn find<'a>(devices: &'a [DeviceInfo], id: &str) -> Result<&'a DeviceInfo, Failure> {
    if id.is_empty() {
        return Err(Failure::new(Exit::Usage, "the id is empty", "`pairlight devices` lists the ids"));
    }
    let wanted = id.to_ascii_lowercase();
    let mut found = devices.iter().filter(|device| device.id.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device),
        (None, _) => {
            Err(Failure::new(Exit::Usage, format!("no device's id begins with {id}"), "`pairlight devices` lists them"))
        }
        (Some(_), Some(_)) => {
            Err(Failure::new(Exit::Usage, format!("several ids begin with {id}"), "give more digits of the id"))
        }
    }
}

async fn keep_list(store: &SharedStore, yes: bool, voice: Voice) -> Result<Exit, Failure> {
    let Some(fork) = store.run(|store| store.fork()).await? else {
        voice.note("no list was seen that contradicts the one of this device");
        return Ok(Exit::Done);
    };
    voice.caution(fork_words(&fork));
    if !yes {
        agreed("Keep the list of this device, and take new lists again?", "nothing was changed").await?;
    }
    store.run(|store| store.clear_fork()).await?;
    voice.note("the list of this device stays");
    Ok(Exit::Done)
}

/// Asks; no is the default.
async fn agreed(question: &str, otherwise: &str) -> Result<(), Failure> {
    drop(writeln!(std::io::stderr(), "{question} [y/N]"));
    let answer = Lines::listen().next().await.unwrap_or_default();
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Cancelled, otherwise, "answer y, or add --yes"))
}

async fn revoke(
    primary: &Primary,
    chosen: &[&DeviceInfo],
    all: bool,
    yes: bool,
    voice: Voice,
) -> Result<Exit, Failure> {
    if let Some(own) = chosen.iter().find(|device| device.is_this) {
        let what = format!("{} is this device, which holds the account", own.id.to_hex());
        return Err(Failure::new(Exit::Usage, what, "choose a linked device"));
    }
    if chosen.is_empty() {
        voice.note("no device is linked");
        return Ok(Exit::Done);
    }
    if !yes {
        let names: Vec<_> =
            chosen.iter().map(|device| device.name.as_deref().map_or("(unreadable)".into(), printable)).collect();
        let question = format!("Revoke {}? Their sessions end and their data is erased there.", names.join(", "));
        agreed(&question, "nothing was revoked").await?;
    }
    let ids: Vec<DeviceId> = chosen.iter().map(|device| device.id).collect();
    if all {
        primary.revoke_all().await?;
    } else {
        for id in &ids {
            primary.revoke(*id, RemovalReason::Revoked).await?;
        }
    }
    for id in ids {
        voice.note(format_args!("revoked {}", id.to_hex()));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0_u64, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_799, "2024-02-28"),
            (1_709_164_800, "2024-02-29"),
            (1_735_603_200, "2024-12-31"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert_eq!(day(Some(Timestamp::from_unix_ms(seconds * 1000))), shown);
        }
        assert_eq!(day(None), "-");
    }
}
