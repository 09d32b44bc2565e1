//! An identity provider that does as it is told, and is strict: a rotated refresh token is dead.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{id::Subject, secret::SecretString, time::Clock};
use idp::provider::{IdentityRefresher, IdentityTokens, RefreshError, RevokeFailed};
use serde_json::{Map, json};
use tokio::sync::Semaphore;

use super::{HOUR, ManualClock, PROVIDER};

/// What the provider does at its next call; afterwards it answers well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// New tokens of this life in seconds.
    Tokens(Option<u64>),
    /// The same, and no way to go on.
    TokensWithoutRefresh(u64),
    Unavailable,
    Refused,
    Misconfigured,
    /// A defect.
    Panic,
}

#[derive(Debug)]
pub(crate) struct ScriptedProvider {
    clock: Arc<ManualClock>,
    script: Mutex<VecDeque<Answer>>,
    current: Mutex<Option<String>>,
    calls: AtomicUsize,
    made: AtomicUsize,
    revoked: Mutex<Vec<String>>,
    /// Each call takes a permit before it answers.
    gate: Semaphore,
}

/// As good as without bound.
const OPEN: usize = 1 << 20;

impl ScriptedProvider {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            script: Mutex::default(),
            current: Mutex::default(),
            calls: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            revoked: Mutex::default(),
            gate: Semaphore::new(OPEN),
        }
    }

    pub(crate) fn will(&self, answers: &[Answer]) {
        self.script.lock().unwrap().extend(answers);
    }

    /// From now on it answers well.
    pub(crate) fn forget_script(&self) {
        self.script.lock().unwrap().clear();
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The refresh tokens that it was told to take back.
    pub(crate) fn revoked(&self) -> Vec<String> {
        self.revoked.lock().unwrap().clone()
    }

    /// From now on calls hang.
    pub(crate) fn hang(&self) {
        self.gate.forget_permits(OPEN);
    }

    /// Hanging calls, and later ones, are answered.
    pub(crate) fn go_on(&self) {
        self.gate.add_permits(OPEN / 2);
    }

    pub(crate) fn first_tokens(&self, life: Option<u64>) -> IdentityTokens {
        self.make(life)
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked(&self, times: usize) {
        while self.calls() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn make(&self, life: Option<u64>) -> IdentityTokens {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let refresh = format!("identity-refresh-{number}");
        *self.current.lock().unwrap() = Some(refresh.clone());
        let now = self.clock.now();
        let mut extra = Map::new();
        extra.insert("instance_url".to_owned(), json!("https://extra.example"));
        IdentityTokens {
            access_token: SecretString::new(format!("identity-access-{number}")),
            refresh_token: Some(SecretString::new(refresh)),
            expires_at: life.map(|life| now.plus(Duration::from_secs(life))),
            issued_at: now,
            scope: "profile email".to_owned(),
            id_token: Some(SecretString::new("header.identity-id-token.signature")),
            extra,
        }
    }
}

#[async_trait]
impl IdentityRefresher for ScriptedProvider {
    fn issuer(&self) -> &str {
        PROVIDER
    }

    fn can_refresh(&self, tokens: &IdentityTokens) -> bool {
        tokens.refresh_token.is_some()
    }

    fn can_revoke(&self) -> bool {
        true
    }

    async fn revoke(&self, tokens: &IdentityTokens) -> Result<(), RevokeFailed> {
        self.gate.acquire().await.unwrap().forget();
        if self.script.lock().unwrap().pop_front().is_some() {
            return Err(RevokeFailed("503".to_owned()));
        }
        let token = tokens.refresh_token.as_ref().unwrap();
        self.revoked.lock().unwrap().push(token.expose().to_owned());
        Ok(())
    }

    async fn refresh(
        &self,
        subject: &Subject,
        current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        assert_eq!(subject.as_str(), "user-1");
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let answer = self.script.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Tokens(Some(8 * HOUR))) {
            Answer::Tokens(life) => {
                let shown = current.refresh_token.as_ref().unwrap();
                let is_current = self.current.lock().unwrap().as_deref() == Some(shown.expose());
                if is_current {
                    Ok(self.make(life))
                } else {
                    Err(RefreshError::Refused("rotated".to_owned()))
                }
            }
            Answer::TokensWithoutRefresh(life) => {
                let mut tokens = self.make(Some(life));
                tokens.refresh_token = None;
                Ok(tokens)
            }
            Answer::Unavailable => Err(RefreshError::Unavailable("503".to_owned())),
            Answer::Refused => Err(RefreshError::Refused("invalid_grant".to_owned())),
            Answer::Panic => panic!("as it was told"),
            Answer::Misconfigured => Err(RefreshError::Misconfigured("invalid_client".to_owned())),
        }
    }
}
