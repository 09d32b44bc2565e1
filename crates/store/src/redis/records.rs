//! All records on the server, to be moved.

use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;
use domain::id::{ClientId, GrantId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    RedisStore,
    clients::{CLIENT_FORMAT, FORGOTTEN},
    key::unhex,
    millis,
};
use crate::{
    GrantStore as _, ImportedStore as _, InteractionStore as _, StoreUnavailable,
    records::{LiveRecord, MoveMark, Page, Position, Record, Records, Unreadable},
    stored::{GrantHeader, StoredIdentity},
};

/// What stands for a registration that is no more.
const FORGOTTEN_CLIENT: [u8; 2] = [CLIENT_FORMAT, FORGOTTEN];

/// Names that the server is asked to look at for one page.
const PAGE: usize = 2000;

/// Commands under way at once, on the one connection.
const AT_ONCE: usize = 256;

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Client(ClientId),
    Grant(GrantId),
    Identity(GrantId),
    Device(GrantId),
    Holder([u8; 32]),
    UserCode([u8; 16]),
    Interaction([u8; 16]),
    State([u8; 32]),
    Mark([u8; 32]),
    Imported([u8; 32]),
    /// It is of no use elsewhere: leases, memos, lists, who runs, keys, ends of what is absent.
    Left,
    Unknown,
}

/// What was found under a name.
enum Found {
    Records(Vec<LiveRecord>),
    Unreadable(Unreadable),
}

#[async_trait]
impl Records for RedisStore {
    fn place(&self) -> String {
        format!("{} (records named `{}…`)", self.address, self.keys.prefix())
    }

    async fn estimate(&self) -> Result<u64, StoreUnavailable> {
        let mut sum = 0;
        for shard in &self.link.map().await?.shards {
            let size: u64 = self.link.ask_of(&shard.server, &cmd("DBSIZE")).await?;
            sum += size;
        }
        Ok(sum)
    }

    async fn read_page(&self, from: Option<&Position>) -> Result<Page, StoreUnavailable> {
        let (names, next) = self.scan(from).await?;
        let now = self.server_time().await?;
        let found: Vec<Option<Found>> = stream::iter(names)
            .map(|name| async move { self.find(&name, now).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut page = Page {
            next,
            ..Page::default()
        };
        for found in found.into_iter().flatten() {
            match found {
                Found::Records(records) => page.records.extend(records),
                Found::Unreadable(unreadable) => page.unreadable.push(unreadable),
            }
        }
        Ok(page)
    }

    async fn write_page(&self, records: Vec<LiveRecord>) -> Result<(), StoreUnavailable> {
        stream::iter(records)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |record| self.write_record(record))
            .await
    }

    async fn erase(&self) -> Result<(), StoreUnavailable> {
        let kept = self.keys.move_mark();
        let mut from = None;
        loop {
            let (names, next) = self.scan(from.as_ref()).await?;
            stream::iter(names.into_iter().filter(|name| *name != kept))
                .map(Ok)
                .try_for_each_concurrent(AT_ONCE, |name| async move {
                    self.link.ask::<()>(cmd("UNLINK").arg(name)).await
                })
                .await?;
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn move_mark(&self) -> Result<Option<MoveMark>, StoreUnavailable> {
        let text = self.read(self.keys.move_mark()).await?;
        text.map(|text| MoveMark::decode(&String::from_utf8_lossy(&text)))
            .transpose()
    }

    async fn set_move_mark(&self, mark: Option<&MoveMark>) -> Result<(), StoreUnavailable> {
        let key = self.keys.move_mark();
        match mark {
            Some(mark) => self.link.ask(cmd("SET").arg(key).arg(mark.encode())).await,
            None => self.remove(key).await,
        }
    }
}

// === impl RedisStore ===

impl RedisStore {
    /// Some names below our prefix, and where the next ones begin.
    async fn scan(
        &self,
        from: Option<&Position>,
    ) -> Result<(Vec<String>, Option<Position>), StoreUnavailable> {
        self.scan_below(self.keys.prefix(), from).await
    }

    /// Some names below a prefix. One master is read after the other: a position names the master,
    /// and where to go on there.
    pub(super) async fn scan_below(
        &self,
        prefix: &str,
        from: Option<&Position>,
    ) -> Result<(Vec<String>, Option<Position>), StoreUnavailable> {
        let map = self.link.map().await?;
        let mut masters: Vec<_> = map
            .shards
            .iter()
            .map(|shard| (shard.server.place.to_string(), &shard.server))
            .collect();
        masters.sort_by(|(one, _), (other, _)| one.cmp(other));
        let from = from.map(|Position(text)| String::from_utf8_lossy(text));
        let (index, cursor) = match from.as_deref().and_then(|from| from.split_once(' ')) {
            None => (Some(0), "0"),
            Some((place, cursor)) => {
                let index = masters.iter().position(|(known, _)| known == place);
                (index, cursor)
            }
        };
        // A cursor means nothing to another server.
        let changed = || StoreUnavailable("its masters changed meanwhile; begin again".to_owned());
        let index = index.ok_or_else(changed)?;
        let (place, server) = masters.get(index).ok_or_else(changed)?;
        let mut command = cmd("SCAN");
        command
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", escaped(prefix)))
            .arg("COUNT")
            .arg(PAGE);
        let (cursor, names): (String, Vec<Vec<u8>>) = self.link.ask_of(server, &command).await?;
        let names = names
            .into_iter()
            .map(|name| String::from_utf8_lossy(&name).into_owned())
            .collect();
        let next = if cursor == "0" {
            masters
                .get(index + 1)
                .map(|(place, _)| format!("{place} 0"))
        } else {
            Some(format!("{place} {cursor}"))
        };
        Ok((names, next.map(|next| Position(next.into_bytes()))))
    }

    /// The server's clock, in milliseconds.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn server_time(&self) -> Result<u64, StoreUnavailable> {
        let (seconds, micros): (u64, u64) = self.link.ask(&cmd("TIME")).await?;
        Ok(seconds * 1000 + micros / 1000)
    }

    /// What stands under a name; nothing if it has expired, or is of no use elsewhere.
    async fn find(&self, name: &str, now: u64) -> Result<Option<Found>, StoreUnavailable> {
        let named = self.parse(name);
        match named {
            Named::Left => return Ok(None),
            Named::Unknown => return Ok(Some(self.unreadable(name))),
            Named::Holder(holder) => return self.find_holder(name, holder, now).await.map(Some),
            _ => {}
        }
        let (mut get, mut life) = (cmd("GET"), cmd("PTTL"));
        let (value, life): (Option<Vec<u8>>, i64) =
            tokio::try_join!(self.link.ask(get.arg(name)), self.link.ask(life.arg(name)))?;
        let Some(value) = value else {
            return Ok(None);
        };
        // All that is ours has an end.
        let Ok(life) = u64::try_from(life) else {
            return Ok(Some(self.unreadable(name)));
        };
        if matches!(named, Named::Client(_)) && value == FORGOTTEN_CLIENT {
            return Ok(None);
        }
        let record = match named {
            Named::Client(client) => self.client_of(client, &value).await?,
            named => record_of(&named, value),
        };
        Ok(Some(match record {
            Some(record) => Found::Records(vec![LiveRecord {
                record,
                life: Duration::from_millis(life),
            }]),
            None => self.unreadable(name),
        }))
    }

    async fn find_holder(
        &self,
        name: &str,
        holder: [u8; 32],
        now: u64,
    ) -> Result<Found, StoreUnavailable> {
        let mut command = cmd("ZRANGE");
        command.arg(name).arg(0).arg(-1).arg("WITHSCORES");
        let grants: Vec<(String, f64)> = self.link.ask(&command).await?;
        let mut records = Vec::with_capacity(grants.len());
        for (grant, end) in grants {
            let Some(grant) = GrantId::parse(&grant) else {
                return Ok(self.unreadable(name));
            };
            let life = Duration::try_from_secs_f64(end / 1000.0)
                .unwrap_or_default()
                .saturating_sub(Duration::from_millis(now));
            if !life.is_zero() {
                let record = Record::Holder(holder, grant);
                records.push(LiveRecord { record, life });
            }
        }
        Ok(Found::Records(records))
    }

    /// With its place among those that never led to a login.
    async fn client_of(
        &self,
        client: ClientId,
        value: &[u8],
    ) -> Result<Option<Record>, StoreUnavailable> {
        let Some(([CLIENT_FORMAT, used], registration)) = value.split_first_chunk() else {
            return Ok(None);
        };
        let unused_order = if *used == 0 {
            let mut command = cmd("ZSCORE");
            command.arg(self.keys.unused_clients()).arg(client.as_str());
            let order: Option<f64> = self.link.ask(&command).await?;
            whole(order.unwrap_or_default()).max(1)
        } else {
            0
        };
        Ok(Some(Record::Client {
            client,
            registration: registration.to_vec(),
            unused_order,
        }))
    }

    async fn write_record(&self, record: LiveRecord) -> Result<(), StoreUnavailable> {
        let LiveRecord { record, life } = record;
        match record {
            Record::Client {
                client,
                registration,
                unused_order,
            } => {
                self.write_client(&client, &registration, unused_order, life)
                    .await
            }
            Record::Grant(grant, value) => self.put(self.keys.grant(&grant), &value, life).await,
            Record::Identity(grant, value) => {
                self.put(self.keys.identity(&grant), &value, life).await
            }
            Record::Device(grant, value) => self.put(self.keys.device(&grant), &value, life).await,
            Record::Holder(holder, grant) => self.index_grant(&holder, &grant, life).await,
            Record::UserCode(code, grant) => {
                let key = self.keys.user_code(&code);
                self.put(key, grant.as_bytes(), life).await
            }
            Record::Interaction(uid, value) => self.put_interaction(&uid, value, life).await,
            Record::State(state, uid) => self.put_state(&state, &uid, life).await,
            Record::Mark(mark) => self.mark_once(&mark, life).await.map(drop),
            Record::Imported(name, value) => self.put_imported(&name, value, life).await.map(drop),
        }
    }

    async fn write_client(
        &self,
        client: &ClientId,
        registration: &[u8],
        unused_order: u64,
        life: Duration,
    ) -> Result<(), StoreUnavailable> {
        let was_used = unused_order == 0;
        let mut value = vec![CLIENT_FORMAT, u8::from(was_used)];
        value.extend_from_slice(registration);
        if !was_used {
            let (list, name) = (self.keys.unused_clients(), client.as_str());
            let mut command = cmd("ZADD");
            command.arg(&list).arg(unused_order).arg(name);
            self.link.ask::<()>(&command).await?;
            // It stands there already: this gives the list its life.
            let (life, unbounded) = (millis(life), u64::MAX.to_string());
            let arguments: [&[u8]; 4] = [name.as_bytes(), &life, unbounded.as_bytes(), b"made"];
            let _: Vec<String> = self
                .link
                .run(&self.scripts.enter, &[&list], &arguments)
                .await?;
        }
        self.put(self.keys.client(client), &value, life).await
    }

    fn parse(&self, name: &str) -> Named {
        let Some(rest) = name.strip_prefix(self.keys.prefix()) else {
            return Named::Unknown;
        };
        let Some((kind, name)) = rest.split_once(':') else {
            let is_ours = [
                self.keys.signing_keys(),
                self.keys.unused_clients(),
                self.keys.interactions(),
                self.keys.move_mark(),
                self.keys.imports(),
            ]
            .iter()
            .any(|known| known.ends_with(rest));
            return if is_ours { Named::Left } else { Named::Unknown };
        };
        let braced = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .unwrap_or(name);
        let grant = |named: fn(GrantId) -> Named| GrantId::parse(braced).map(named);
        match kind {
            "c" => ClientId::parse(name).ok().map(Named::Client),
            "g" => grant(Named::Grant),
            "i" => grant(Named::Identity),
            "d" => grant(Named::Device),
            "u" => unhex(braced).map(Named::Holder),
            "dc" => unhex(braced).map(Named::UserCode),
            "n" => unhex(braced).map(Named::Interaction),
            "s" => unhex(braced).map(Named::State),
            "x" => unhex(braced).map(Named::Mark),
            "m" => unhex(braced).map(Named::Imported),
            "l" | "t" | "p" | "b" | "e" => Some(Named::Left),
            _ => None,
        }
        .unwrap_or(Named::Unknown)
    }

    fn unreadable(&self, name: &str) -> Found {
        let rest = name.strip_prefix(self.keys.prefix()).unwrap_or(name);
        let (kind, name) = rest.split_once(':').unwrap_or((rest, ""));
        let kind = match kind {
            "c" => "registration of a client".to_owned(),
            "g" => "grant".to_owned(),
            "i" => "identity session".to_owned(),
            "d" => "device that waits".to_owned(),
            "u" => "grants of a person".to_owned(),
            "dc" => "user code".to_owned(),
            "n" => "login under way".to_owned(),
            "s" => "state of a login".to_owned(),
            "x" => "mark of what counts once".to_owned(),
            "m" => "token that was taken over".to_owned(),
            other => format!("unknown kind `{other}`"),
        };
        let name = name
            .trim_start_matches('{')
            .trim_end_matches('}')
            .to_owned();
        Found::Unreadable(Unreadable { kind, name })
    }
}

/// `None` if it has not the form that this release writes.
fn record_of(named: &Named, value: Vec<u8>) -> Option<Record> {
    Some(match named {
        Named::Grant(grant) => {
            GrantHeader::decode(&value)?;
            Record::Grant(*grant, value)
        }
        Named::Identity(grant) => {
            StoredIdentity::decode(&value)?;
            Record::Identity(*grant, value)
        }
        Named::Device(grant) => {
            GrantHeader::decode(&value)?;
            Record::Device(*grant, value)
        }
        Named::UserCode(code) => {
            Record::UserCode(*code, GrantId::from_bytes(value.try_into().ok()?))
        }
        Named::Interaction(uid) => Record::Interaction(*uid, value),
        Named::State(state) => Record::State(*state, value.try_into().ok()?),
        Named::Mark(mark) => Record::Mark(*mark),
        Named::Imported(name) => Record::Imported(*name, value),
        Named::Client(_) | Named::Holder(_) | Named::Left | Named::Unknown => return None,
    })
}

/// A prefix as the pattern that matches it alone.
pub(super) fn escaped(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len());
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// A score that was written as a whole number, which is exact up to 2⁵³.
fn whole(score: f64) -> u64 {
    format!("{:.0}", score.max(0.0)).parse().unwrap_or_default()
}
