//! `pairlight devices`: who is linked to the account of this profile.

use std::io::Write;

use clap::{Args, Subcommand};
use pairlight_core::net::{DeviceInfo, Primary};
use pairlight_core::trust::Policy;
use pairlight_wire::device::Role as DeviceRole;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;

use crate::exit::{Exit, Failure};
use crate::link::{Lines, block_on};
use crate::profile::{ProfileArgs, Role};
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
    List {
        /// Print a JSON list
        #[arg(long)]
        json: bool,
    },
    /// Give a device another name
    Rename {
        /// The device's id, or its beginning
        id: String,
        /// The new name, at most 64 bytes
        name: String,
    },
    /// Take a device off the list: its sessions end at once, its keys are erased there
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
        let (store, client) = args.profile.open(Role::Primary, voice).await?;
        if store.run(|store| store.account()).await?.is_none() {
            let remedy = "`pairlight link scan` makes one when it links the first device";
            return Err(Failure::new(Exit::Error, "this profile has no account", remedy));
        }
        let primary = Primary::open(store, client, Policy::BALANCED, "this terminal").await?;
        let devices = primary.devices().await?;
        match &args.command {
            None => list(&devices, false),
            Some(DevicesCommand::List { json }) => list(&devices, *json),
            Some(DevicesCommand::Rename { id, name }) => {
                let device = find(&devices, id)?;
                primary.rename(device.id, name).await?;
                voice.note(format_args!("{} is now called {name}", device.id.to_hex()));
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

fn list(devices: &[DeviceInfo], json: bool) -> Result<Exit, Failure> {
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
                    "grade": device.grade.map(|grade| format!("{grade:?}").to_lowercase()),
                    "scope": device.scope,
                })
            })
            .collect();
        write(serde_json::json!({ "schema": 1, "devices": list }).to_string())?;
    } else {
        write(format!("{:<32}  {:<8}  {:<7}  {}", "ID", "ROLE", "GRADE", "NAME"))?;
        for device in devices {
            let grade = device.grade.map_or_else(|| "-".into(), |grade| format!("{grade:?}").to_lowercase());
            let name = device.name.as_deref().map_or_else(|| "(unreadable)".into(), printable);
            let this = if device.is_this { " (this device)" } else { "" };
            write(format!("{:<32}  {:<8}  {grade:<7}  {name}{this}", device.id.to_hex(), role(device.role)))?;
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
        drop(writeln!(
            std::io::stderr(),
            "Revoke {}? Their sessions end and their data is erased there. [y/N]",
            names.join(", ")
        ));
        let answer = Lines::listen().next().await.unwrap_or_default();
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Err(Failure::new(Exit::Cancelled, "nothing was revoked", "answer y, or add --yes"));
        }
    }
    let reason = if all { RemovalReason::RemovedAll } else { RemovalReason::Revoked };
    let ids: Vec<DeviceId> = chosen.iter().map(|device| device.id).collect();
    for id in ids {
        primary.revoke(id, reason).await?;
        voice.note(format_args!("revoked {}", id.to_hex()));
    }
    Ok(Exit::Done)
}
