//! The account's devices, on the device that holds it.

use pairlight_core::net::DeviceInfo;
use pairlight_wire::device::Role;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::standing::Standing;

use super::alert::{Alert, Fork};
use super::primary::{PrimaryAccount, grade_number};
use super::task::run;
use crate::error::PairlightError;

/// What a device may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum DeviceStanding {
    /// What its certificate grants.
    Good,
    /// Less, until the person confirms it.
    Restricted,
    /// Nothing: it may be a copy.
    Quarantined,
    /// Nothing: it did not report for so long that it has locked itself.
    Locked,
}

/// One device of the account.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Device {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name, when it can be read. Chosen by that device or by a person: show it as data.
    pub name: Option<String>,
    /// Whether it is this device.
    pub is_this: bool,
    /// Whether it holds the account.
    pub is_primary: bool,
    /// When it was linked, ms since 1970.
    pub linked_ms: u64,
    /// 1 weak, 2 medium, 3 strong; 0 unknown: the evidence at linking.
    pub grade: u8,
    /// When it reported last, ms since 1970; null before the first time and for this device.
    pub last_check_in_ms: Option<u64>,
    /// End of its lease, ms since 1970; it is renewed by itself while the device reports.
    pub lease_until_ms: Option<u64>,
    /// What it may do.
    pub standing: DeviceStanding,
    /// Why not all, in English; null when it may.
    pub restriction: Option<String>,
}

/// A device that left the account within the last 180 days.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RemovedDevice {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Why, in English.
    pub reason: String,
    /// When, ms since 1970.
    pub at_ms: u64,
}

pub(crate) fn device_id(id: &str) -> Result<DeviceId, PairlightError> {
    DeviceId::from_hex(id).ok_or_else(|| PairlightError::misuse("a device id has 32 hexadecimal digits"))
}

fn device(info: DeviceInfo) -> Device {
    Device {
        id: info.id.to_hex(),
        name: info.name,
        is_this: info.is_this,
        is_primary: info.role == Role::Primary,
        linked_ms: info.linked.unix_ms(),
        grade: grade_number(info.grade),
        last_check_in_ms: info.last_check_in.map(|at| at.unix_ms()),
        lease_until_ms: info.lease_until.map(|at| at.unix_ms()),
        standing: match info.standing {
            _ if info.is_locked => DeviceStanding::Locked,
            Standing::Active => DeviceStanding::Good,
            Standing::Restricted => DeviceStanding::Restricted,
            Standing::Quarantined => DeviceStanding::Quarantined,
        },
        restriction: info.because.map(|row| row.text().to_owned()),
    }
}

#[uniffi::export]
impl PrimaryAccount {
    /// The account's devices, the first linked first.
    pub async fn devices(&self) -> Result<Vec<Device>, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.devices", async move { Ok(primary.devices().await?.into_iter().map(device).collect()) })
            .await
    }

    /// Devices that left within the last 180 days, the latest first.
    pub async fn removed_devices(&self) -> Result<Vec<RemovedDevice>, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.removed_devices", async move {
            let removed = primary.removed().await?.into_iter();
            Ok(removed
                .map(|gone| RemovedDevice {
                    id: gone.id.to_hex(),
                    reason: gone.reason.text().to_owned(),
                    at_ms: gone.at.unix_ms(),
                })
                .collect())
        })
        .await
    }

    /// Takes a device off the account: its sessions end, its data is erased there.
    pub async fn revoke(&self, device: String) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run(
            "PrimaryAccount.revoke",
            async move { Ok(primary.revoke(device_id(&device)?, RemovalReason::Revoked).await?) },
        )
        .await
    }

    /// Takes every device but this one off the account, at once.
    pub async fn revoke_all(&self) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.revoke_all", async move { Ok(primary.revoke_all().await?) }).await
    }

    /// Gives a device another name.
    pub async fn rename(&self, device: String, name: String) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.rename", async move { Ok(primary.rename(device_id(&device)?, &name).await?) }).await
    }

    /// The person confirms a device that was restricted: it may do again what its certificate grants.
    pub async fn confirm(&self, device: String) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.confirm", async move { Ok(primary.confirm(device_id(&device)?).await?) }).await
    }

    /// Device lists that contradict each other, if some were seen; null when there are none.
    pub async fn fork(&self) -> Result<Option<Fork>, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.fork", async move { Ok(primary.fork().await?.map(Fork::from)) }).await
    }

    /// The person compared the hashes of a fork and keeps the list of this device.
    pub async fn keep_own_list(&self) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.keep_own_list", async move { Ok(primary.keep_own_list().await?) }).await
    }

    /// Alerts that are due on this device now, such as the reminder of a link some hours later; each is given out once. A live
    /// line gives them out by itself.
    pub async fn due_alerts(&self) -> Result<Vec<Alert>, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.due_alerts", async move {
            Ok(primary.due_notices().await?.into_iter().map(Alert::from).collect())
        })
        .await
    }
}
