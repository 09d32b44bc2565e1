//! What a run says at its end: counts, and reasons for what was left behind. Names no token.

use std::{collections::BTreeMap, fmt::Write as _};

use domain::id::ClientId;
use grants::{TakenOver, TokenKind, Unfit, UnfitClient};
use serde_json::{Map, Value, json};

/// What was found and done.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Client records.
    pub(super) clients: u64,
    /// Grant records.
    pub(super) grants: u64,
    /// Clients with a live session.
    pub(super) fates: BTreeMap<ClientId, ClientFate>,
    sessions_begun: u64,
    access: Tokens,
    refresh: Tokens,
}

/// What becomes of a client with a live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientFate {
    /// Registered here now.
    Taken {
        /// What was left out of its registration.
        left_out: Vec<String>,
    },
    /// Registered here before.
    Before,
    /// It must register anew.
    Unfit(UnfitClient),
    /// Gone in the meantime.
    Absent,
}

#[derive(Debug, Default)]
struct Tokens {
    taken: u64,
    before: u64,
    left: BTreeMap<Unfit, u64>,
}

// === impl Report ===

impl Report {
    pub(super) fn token(&mut self, kind: TokenKind, taken: Result<TakenOver, Unfit>) {
        let tokens = match kind {
            TokenKind::Access => &mut self.access,
            TokenKind::Refresh => &mut self.refresh,
        };
        match taken {
            Ok(TakenOver::WithItsSession) => {
                tokens.taken += 1;
                self.sessions_begun += 1;
            }
            Ok(TakenOver::IntoItsSession) => tokens.taken += 1,
            Ok(TakenOver::Before) => tokens.before += 1,
            // Ended between its name and its record.
            Err(Unfit::Absent) => {}
            Err(reason) => *tokens.left.entry(reason).or_default() += 1,
        }
    }

    pub(super) fn text(&self, is_dry: bool) -> String {
        let mut text = String::new();
        let done = if is_dry {
            "to be taken over"
        } else {
            "taken over"
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "found: {} clients, {} grants, {} access tokens, {} refresh tokens",
            self.clients,
            self.grants,
            self.access.all(),
            self.refresh.all()
        );
        if !is_dry {
            let _ = writeln!(text, "sessions begun here: {}", self.sessions_begun);
        }
        for (name, tokens) in [("access", &self.access), ("refresh", &self.refresh)] {
            let _ = writeln!(
                text,
                "{name} tokens: {} {done}, {} before, {} left behind",
                tokens.taken,
                tokens.before,
                tokens.left_behind()
            );
            for (reason, count) in &tokens.left {
                let _ = writeln!(text, "  {count}: {reason}");
            }
        }
        let _ = writeln!(
            text,
            "clients: {} {done}, {} before, {} to register anew, {} without a live session",
            self.count(|fate| matches!(fate, ClientFate::Taken { .. })),
            self.count(|fate| *fate == ClientFate::Before),
            self.count(|fate| matches!(fate, ClientFate::Unfit(_))),
            self.idle_clients(),
        );
        for (client, fate) in &self.fates {
            match fate {
                ClientFate::Unfit(reason) => {
                    let _ = writeln!(text, "  {client} has to register anew: {reason}");
                }
                ClientFate::Taken { left_out } if !left_out.is_empty() => {
                    let _ = writeln!(text, "  {client}, without {}", left_out.join("; "));
                }
                _ => {}
            }
        }
        if is_dry {
            let _ = writeln!(text, "Nothing was written.");
        }
        text
    }

    pub(super) fn json(&self, is_dry: bool) -> String {
        let clients = |is: fn(&ClientFate) -> bool| self.count(is);
        let unfit: Map<String, Value> = self
            .fates
            .iter()
            .filter_map(|(client, fate)| match fate {
                ClientFate::Unfit(reason) => Some((client.to_string(), reason.to_string().into())),
                _ => None,
            })
            .collect();
        let left_out: Map<String, Value> = self
            .fates
            .iter()
            .filter_map(|(client, fate)| match fate {
                ClientFate::Taken { left_out } if !left_out.is_empty() => {
                    Some((client.to_string(), left_out.clone().into()))
                }
                _ => None,
            })
            .collect();
        json!({
            "dry_run": is_dry,
            "found": {
                "clients": self.clients,
                "grants": self.grants,
                "access_tokens": self.access.all(),
                "refresh_tokens": self.refresh.all(),
            },
            "sessions_begun": self.sessions_begun,
            "access_tokens": self.access.json(),
            "refresh_tokens": self.refresh.json(),
            "clients": {
                "taken_over": clients(|fate| matches!(fate, ClientFate::Taken { .. })),
                "before": clients(|fate| *fate == ClientFate::Before),
                "without_session": self.idle_clients(),
                "unfit": unfit,
                "left_out": left_out,
            },
        })
        .to_string()
    }

    fn count(&self, is: impl Fn(&ClientFate) -> bool) -> u64 {
        self.fates.values().filter(|fate| is(fate)).count() as u64
    }

    fn idle_clients(&self) -> u64 {
        self.clients.saturating_sub(self.fates.len() as u64)
    }
}

// === impl Tokens ===

impl Tokens {
    fn left_behind(&self) -> u64 {
        self.left.values().sum()
    }

    fn all(&self) -> u64 {
        self.taken + self.before + self.left_behind()
    }

    fn json(&self) -> Value {
        let mut left: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in &self.left {
            *left.entry(reason.code()).or_default() += count;
        }
        json!({ "taken_over": self.taken, "before": self.before, "left_behind": left })
    }
}

#[cfg(test)]
mod tests;
