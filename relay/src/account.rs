//! Signed lists: published with compare-and-swap, read by listed devices. The relay checks them by the same rule as
//! every device, and stores them as they were signed.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pairlight_wire::device::{Role, open_ops};
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::limits::CHAIN_LISTS;
use pairlight_wire::list::{DeviceList, ListError, VerifiedList};
use pairlight_wire::relay::{
    Challenge, DeviceAuth, ListChain, PublishList, RecoveryClaim, RefusalCode, recovery_message,
};
use pairlight_wire::root::open_recovery;
use pairlight_wire::sign::{SigningContext, key_id, verify};
use pairlight_wire::{List, Wire};
use tracing::{debug, info};

use crate::auth::{Account, check_device, check_signature, not_listed};
use crate::link::{random, short};
use crate::refusal::{Refusal, cbor, refuse};
use crate::server::{Request, State};
use crate::store::{NewList, StoreError, StoredList};

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store refuses");
        refuse(RefusalCode::Unavailable, "the relay cannot store this now; try again soon")
    }
}

/// Nobody changes a list this often: a number beyond comes from a program that counts wrong.
const LAST_EPOCH: u64 = 1 << 32;

/// `POST /v1/challenge`
pub(crate) async fn challenge(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let now = Instant::now();
    state.admit(&state.challenges, &request.caller)?;
    let nonce = random()?;
    state.nonces.give(nonce, now);
    Ok(cbor(StatusCode::OK, &Challenge { nonce }))
}

/// `GET /v1/accounts/{account}/list?from=n`
pub(crate) async fn chain(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let account = account_id(&request)?;
    let from = request.number("from")?.unwrap_or(1);
    let auth = proof(&state, &request)?;
    let auth = auth.ok_or_else(|| refuse(RefusalCode::NotAllowed, "this call needs the proof of a device"))?;
    if auth.account != account {
        return Err(refuse(RefusalCode::NotAllowed, "the login is not valid"));
    }
    let head = state.store.head(account).await?.ok_or_else(not_listed)?;
    let known = Account::open(head)?;
    match check_device(&state, &known, &auth, &auth.nonce) {
        // A removed device may read the list that removes it: it erases itself only on signed proof.
        Err(refusal) if refusal.code == RefusalCode::Removed => {
            // A relay that learned the account again never saw the key; the lists that it has name the device only as
            // removed, and their ids are no more public than the lists.
            if let Some(former) = former_key(&state, account, auth.device).await? {
                check_signature(&state, &auth, &auth.nonce, &former)?;
            }
        }
        checked => {
            checked?;
        }
    }
    let lists = List::new(state.store.lists(account, from, CHAIN_LISTS).await?).unwrap_or_default();
    Ok(cbor(StatusCode::OK, &ListChain { lists, ops: known.ops.first().cloned() }))
}

/// The account in whose name a call comes: of a primary device that proves itself. `None` without a proof, and for an account
/// that has no list here: before its first link, or after the relay lost its store.
pub(crate) async fn claimant(state: &State, request: &Request) -> Result<Option<AccountId>, Refusal> {
    let Some(auth) = proof(state, request)? else { return Ok(None) };
    let Some(head) = state.store.head(auth.account).await? else { return Ok(None) };
    let known = Account::open(head)?;
    match check_device(state, &known, &auth, &auth.nonce) {
        Ok(entry) if entry.role == Role::Primary => Ok(Some(auth.account)),
        Ok(_) => Err(refuse(RefusalCode::NotAllowed, "only a primary device links others")),
        // Not found is what a slot is.
        Err(refusal) if refusal.code == RefusalCode::NotFound => {
            Err(refuse(RefusalCode::NotAllowed, "this device is not on the list of the account"))
        }
        Err(refusal) => Err(refusal),
    }
}

/// The login in the header of a call. Its nonce is spent with it: good for one try, right or wrong.
fn proof(state: &State, request: &Request) -> Result<Option<DeviceAuth>, Refusal> {
    let text = request.authorization.as_deref().and_then(|text| text.strip_prefix("Pairlight "));
    let Some(text) = text else { return Ok(None) };
    let auth = DeviceAuth::decode(&hex_bytes(text).unwrap_or_default())?;
    if state.nonces.spend(&auth.nonce, Instant::now()) {
        Ok(Some(auth))
    } else {
        Err(refuse(RefusalCode::NotAllowed, "the login is not valid"))
    }
}

/// `POST /v1/recovery`: whoever holds the words learns which account they are for, and its newest list.
pub(crate) async fn recovery(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    state.admit(&state.publishes, &request.caller)?;
    let RecoveryClaim { recovery_pk, nonce, sig } = RecoveryClaim::decode(&request.body)?;
    let fresh = state.nonces.spend(&nonce, Instant::now());
    let message = recovery_message(&nonce, &state.host);
    if !fresh || verify(&recovery_pk, SigningContext::RecoveryAuth, &message, &sig).is_err() {
        return Err(refuse(RefusalCode::NotAllowed, "the proof of the recovery key is not valid"));
    }
    let unknown = || refuse(RefusalCode::NotFound, "no account has this recovery key");
    let account = state.store.account_with_recovery(recovery_pk).await?.ok_or_else(unknown)?;
    let head = state.store.head(account).await?.ok_or_else(unknown)?;
    let lists = List::new(vec![head.newest.list]).unwrap_or_default();
    Ok(cbor(StatusCode::OK, &ListChain { lists, ops: Some(head.newest.ops) }))
}

/// The key of a removed device, from a stored list that still has it.
async fn former_key(state: &State, account: AccountId, device: DeviceId) -> Result<Option<[u8; 32]>, StoreError> {
    let mut from = 0_u64;
    loop {
        let lists = state.store.lists(account, from, CHAIN_LISTS).await?;
        let mut newest = None;
        for list in lists.iter().filter_map(|signed| DeviceList::decode(signed.payload.as_slice()).ok()) {
            if let Some(entry) = list.entries.as_slice().iter().find(|entry| entry.device == device) {
                return Ok(Some(entry.device_pk));
            }
            newest = Some(list.epoch);
        }
        match newest.and_then(|newest| newest.checked_add(1)) {
            Some(next) if lists.len() >= CHAIN_LISTS && next > from => from = next,
            _ => return Ok(None),
        }
    }
}

/// `PUT /v1/accounts/{account}/list`
pub(crate) async fn publish(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let account = account_id(&request)?;
    state.admit(&state.publishes, &request.caller)?;
    let PublishList { list, ops } = PublishList::decode(&request.body)?;
    let Some(head) = state.store.head(account).await? else {
        let first = VerifiedList::anchor(&list, Some(&ops)).map_err(refuse_list)?;
        // Any epoch: a relay that lost its store learns the account again, and the devices check the chain themselves.
        return accept(&state, account, first, StoredList { list, ops }, None).await;
    };
    let known = Account::open(head)?;
    let epoch = known.list.list().epoch;
    match known.list.successor(&list, Some(&ops)) {
        Ok(next) => accept(&state, account, next, StoredList { list, ops }, Some(&known)).await,
        Err(ListError::Epoch { found, .. }) => {
            // Put again, because the answer to the first try was lost?
            if state.store.lists(account, found, 1).await?.first() == Some(&list) {
                return Ok(StatusCode::OK.into_response());
            }
            // Only who can sign for the account learns where it stands.
            let real = VerifiedList::anchor(&list, Some(&ops)).map_err(refuse_list)?;
            debug!(account = %short(account.as_bytes()), stored = epoch, found = real.list().epoch, "a list came late");
            Err(refuse(RefusalCode::Conflict, "another list was published before; fetch it").with_epoch(epoch))
        }
        Err(error) => Err(refuse_list(error)),
    }
}

/// Stores a checked list and tells everybody.
async fn accept(
    state: &State,
    account: AccountId,
    next: VerifiedList,
    stored: StoredList,
    known: Option<&Account>,
) -> Result<Response, Refusal> {
    let list = next.list();
    if list.account != account {
        return Err(refuse(RefusalCode::NotAllowed, "the list is of another account"));
    }
    if list.epoch > LAST_EPOCH {
        return Err(refuse(RefusalCode::Overflow, "this account changed its list too often"));
    }
    let ops = open_ops(&stored.ops, &list.root_pk, &account);
    let ops = ops.map_err(|_| refuse(RefusalCode::NotAllowed, "the certificate of the ops key is not valid"))?;
    let by_root = stored.list.kid == key_id(&list.root_pk);
    if !by_root && ops.not_after < (state.clock)() {
        return Err(refuse(RefusalCode::NotAllowed, "the certificate of the ops key has ended"));
    }
    // A stolen ops key must not push its successor aside: without the root key, only a longer certificate replaces.
    let current = known.and_then(|known| known.ops.first()).and_then(|ops| open_ops(ops, &list.root_pk, &account).ok());
    let renews_ops = by_root || current.is_none_or(|current| current.not_after <= ops.not_after);
    let epoch = list.epoch;
    let after = known.map(|known| known.list.list().epoch);
    let recovery = list.recovery.as_ref().and_then(|record| open_recovery(record, &list.root_pk, &account).ok());
    let recovery = recovery.map(|record| record.recovery_pk);
    let kept = state.limits.lists_per_account;
    let new = NewList { account, epoch, after, stored: stored.clone(), renews_ops, recovery, kept };
    if !state.store.append(new).await? {
        // Somebody was faster between the look and the swap.
        let head = state.store.head(account).await?;
        if head.as_ref().is_some_and(|head| head.newest.list == stored.list) {
            return Ok(StatusCode::OK.into_response());
        }
        let epoch = head.map_or(0, |head| Account::open(head).map_or(0, |account| account.list.list().epoch));
        return Err(refuse(RefusalCode::Conflict, "another list was published before; fetch it").with_epoch(epoch));
    }
    info!(account = %short(account.as_bytes()), epoch, devices = list.entries.as_slice().len(), "a list is published");
    if let Some(known) = known {
        let entries = list.entries.as_slice().iter();
        let added = entries.filter(|entry| known.list.entry(&entry.device).is_none()).count();
        state.metrics.devices_added.add(added as u64);
    }
    let removed: Vec<_> = known.map_or_else(Vec::new, |known| {
        let before = known.list.list().entries.as_slice().iter().map(|entry| entry.device);
        before.filter(|device| next.entry(device).is_none()).collect()
    });
    if let Some(head) = state.store.head(account).await? {
        state.presence.publish(Arc::new(Account::open(head)?));
    }
    for device in removed {
        state.store.drop_mailbox((account, device)).await?;
    }
    Ok(StatusCode::OK.into_response())
}

fn refuse_list(error: ListError) -> Refusal {
    let words = match error {
        ListError::Decode(_) => return refuse(RefusalCode::Protocol, "this is not a device list"),
        ListError::Signature => "the list is not signed by a key that may make this change",
        ListError::Fork => "the list does not follow from the stored one",
        ListError::Epoch { .. } => "the list has another epoch than expected",
        ListError::Rule(rule) => rule,
    };
    refuse(RefusalCode::NotAllowed, words)
}

fn account_id(request: &Request) -> Result<AccountId, Refusal> {
    let id = AccountId::from_hex(&request.name);
    id.ok_or_else(|| refuse(RefusalCode::Protocol, "an account has 32 hexadecimal digits"))
}

/// Hexadecimal digits of any even number, at most 1 KiB.
pub(crate) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() > 1024 || !digits.len().is_multiple_of(2) || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
