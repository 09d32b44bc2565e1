//! `mcp-auth-proxy import-predecessor`: takes over all sessions of the Node.js predecessor at once.
//!
//! Each token is a step of its own, its client first: so it can be broken off anywhere, and done
//! again.

mod progress;
mod report;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use authserver::{ClientSuccession, ClientTakeOverError, ClientTakenOver};
use domain::{id::ClientId, secret::SecretString};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use grants::{Grants, TakeOverError, TakenOver, TokenKind, Unfit};
use store::{
    StoreUnavailable,
    predecessor::{OldKind, Predecessor},
    seal::sha256,
};

use self::{
    progress::Progress,
    report::{ClientFate, Report},
};
use crate::{
    cli::ImportArguments, config, env::Environment, memory, memory::Memory, seams::Seams, terminal,
    wire,
};

/// Records under way at once.
const AT_ONCE: usize = 16;

/// A run, and what it has found so far.
struct Run {
    grants: Grants,
    clients: ClientSuccession,
    is_dry: bool,
    report: Mutex<Report>,
    /// A scan may name a record twice; names are secrets.
    met: Mutex<HashSet<[u8; 32]>>,
    /// One at a time for each client would do; one at a time for all is simpler, and rare.
    fates: tokio::sync::Mutex<HashMap<ClientId, ClientFate>>,
}

/// Takes over what can be. Returns what to print.
///
/// # Errors
/// If the configuration is wrong, a store or the identity provider is away, or a proxy runs on the
/// embedded store.
pub(crate) async fn command(
    arguments: &ImportArguments,
    environment: &Environment,
) -> Result<String> {
    let (config, warnings) = config::load(&arguments.flags, environment)?;
    for warning in &warnings {
        terminal::warn(warning);
    }
    let seams = Seams::real();
    let mut memory = if arguments.dry_run {
        Memory::rehearse(&config, &seams).await?
    } else {
        Memory::open(&config, &seams).await?
    };
    let records = match memory.predecessor.take() {
        Some(records) => Some(records),
        None => memory::predecessor(&config, None).await?,
    };
    let records = records.context(
        "nothing says where the predecessor kept its records: set MCP_AUTH_PROXY_REDIS_URL if \
         sessions are to stay in its Redis, or MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL if they are \
         not (and MCP_AUTH_PROXY_PREDECESSOR must not be `off`)",
    )?;
    let providers = wire::connect_providers(&config, memory.keys.ring(), &seams).await?;
    let grants = wire::grants(&config, &memory.store, &providers, &seams);
    grants.take_over_from(wire::succession(&config, &providers, &records)?);
    let run = Run {
        grants,
        clients: ClientSuccession::new(
            Arc::clone(&records),
            Arc::clone(&memory.store),
            config.allowed_redirect_hosts.clone(),
            Arc::clone(&seams.clock),
        ),
        is_dry: arguments.dry_run,
        report: Mutex::new(Report::default()),
        met: Mutex::default(),
        fates: tokio::sync::Mutex::default(),
    };
    run.all(records.as_ref()).await.context(
        "it was broken off; what was taken over stays so, and the rest is when it is run again",
    )?;
    let report = run.into_report();
    Ok(if arguments.json {
        report.json(arguments.dry_run)
    } else {
        report.text(arguments.dry_run)
    })
}

// === impl Run ===

impl Run {
    async fn all(&self, records: &dyn Predecessor) -> Result<(), StoreUnavailable> {
        let mut progress = Progress::begin(records.size().await?);
        let mut from = Some(0);
        while let Some(place) = from {
            let names = records.names(place).await?;
            stream::iter(names.names)
                .map(|(kind, id)| async move { self.one(kind, &id).await })
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
            progress.advance(names.looked_at);
            from = names.next;
        }
        progress.end();
        Ok(())
    }

    async fn one(&self, kind: OldKind, id: &SecretString) -> Result<(), StoreUnavailable> {
        if !self.meets_first(kind, id) {
            return Ok(());
        }
        match kind {
            OldKind::AccessToken => self.token(TokenKind::Access, id).await,
            OldKind::RefreshToken => self.token(TokenKind::Refresh, id).await,
            OldKind::Client => {
                self.report().clients += 1;
                Ok(())
            }
            OldKind::Grant => {
                self.report().grants += 1;
                Ok(())
            }
            OldKind::Session | OldKind::SessionUid => Ok(()),
        }
    }

    async fn token(&self, kind: TokenKind, id: &SecretString) -> Result<(), StoreUnavailable> {
        let taken = match self.take_over(kind, id).await {
            Ok(taken) => Ok(taken),
            Err(TakeOverError::Unfit(reason)) => Err(reason),
            Err(TakeOverError::Unavailable(fault)) => return Err(fault),
        };
        self.report().token(kind, taken);
        Ok(())
    }

    async fn take_over(
        &self,
        kind: TokenKind,
        id: &SecretString,
    ) -> Result<TakenOver, TakeOverError> {
        let session = self.grants.look_at_old(kind, id.expose()).await?;
        match self.client(session.client()).await? {
            ClientFate::Unfit(reason) => return Err(Unfit::Client(reason).into()),
            ClientFate::Absent => return Err(Unfit::NoClient.into()),
            ClientFate::Taken { .. } | ClientFate::Before => {}
        }
        if self.is_dry {
            return Ok(TakenOver::IntoItsSession);
        }
        self.grants.take_over(&session).await
    }

    /// The client first: its registration outlives its sessions.
    async fn client(&self, id: &ClientId) -> Result<ClientFate, StoreUnavailable> {
        let mut fates = self.fates.lock().await;
        if let Some(fate) = fates.get(id) {
            return Ok(fate.clone());
        }
        let taken = if self.is_dry {
            let looked = self.clients.look(id).await;
            looked.map(|left_out| ClientTakenOver::Now { left_out })
        } else {
            self.clients.take_over(id).await
        };
        let fate = match taken {
            Ok(ClientTakenOver::Now { left_out }) => ClientFate::Taken { left_out },
            Ok(ClientTakenOver::Before) => ClientFate::Before,
            Err(ClientTakeOverError::Absent) => ClientFate::Absent,
            Err(ClientTakeOverError::Unfit(reason)) => ClientFate::Unfit(reason),
            Err(ClientTakeOverError::Unavailable(fault)) => return Err(fault),
        };
        fates.insert(id.clone(), fate.clone());
        Ok(fate)
    }

    fn meets_first(&self, kind: OldKind, id: &SecretString) -> bool {
        let name = format!("{}:", kind.model());
        let hash = sha256(&[name.as_bytes(), id.expose().as_bytes()].concat());
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert(hash)
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_report(self) -> Report {
        let mut report = self
            .report
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        report.fates = self.fates.into_inner().into_iter().collect();
        report
    }
}
