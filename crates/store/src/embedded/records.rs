//! All records of the file, to be moved.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    id::{ClientId, GrantId},
    time::Timestamp,
};

use super::{EmbeddedStore, key::Key, tables::Found};
use crate::{
    StoreUnavailable,
    records::{LiveRecord, MoveMark, Page, Position, Record, Records, Unreadable},
    stored::{GrantHeader, StoredIdentity},
};

/// Records in one page, which is one durable write at the other end: about four megabytes.
const PAGE: usize = 2000;

#[async_trait]
impl Records for EmbeddedStore {
    fn place(&self) -> String {
        let path = std::path::absolute(self.path());
        let path = path.as_deref().unwrap_or(self.path());
        format!("the embedded store {}", path.display())
    }

    async fn estimate(&self) -> Result<u64, StoreUnavailable> {
        self.read(|snapshot, _| snapshot.len()).await
    }

    async fn read_page(&self, from: Option<&Position>) -> Result<Page, StoreUnavailable> {
        let from = from.map(|Position(key)| key.clone());
        self.read(move |snapshot, now| {
            let mut page = Page::default();
            page.next = snapshot
                .visit(from.as_deref(), PAGE, |key, found| {
                    add(&mut page, key, &found, now);
                })?
                .map(Position);
            Ok(page)
        })
        .await
    }

    async fn write_page(&self, records: Vec<LiveRecord>) -> Result<(), StoreUnavailable> {
        self.write(move |tables| {
            for LiveRecord { record, life } in &records {
                // A deadline is in whole seconds: rather one late than one early.
                let life = Duration::from_secs(life.as_secs() + u64::from(life.subsec_nanos() > 0));
                match record {
                    Record::Client {
                        client,
                        registration,
                        unused_order,
                    } => tables.put_client(client, registration, *unused_order, life),
                    Record::Interaction(uid, value) => {
                        tables.put_interaction(&Key::interaction(uid), value, life)
                    }
                    Record::Grant(grant, value) => tables.put(&Key::grant(grant), value, life),
                    Record::Identity(grant, value) => {
                        tables.put(&Key::identity(grant), value, life)
                    }
                    Record::Device(grant, value) => tables.put(&Key::device(grant), value, life),
                    Record::Holder(holder, grant) => {
                        tables.put(&Key::holder(holder, Some(grant)), &[], life)
                    }
                    Record::UserCode(code, grant) => {
                        tables.put(&Key::user_code(code), grant.as_bytes(), life)
                    }
                    Record::State(state, uid) => tables.put(&Key::state(state), uid, life),
                    Record::Mark(mark) => tables.put(&Key::mark(mark), &[], life),
                    Record::Imported(name, value) => {
                        tables.put(&Key::imported(Some(name)), value, life)
                    }
                }?;
            }
            Ok(())
        })
        .await
    }

    async fn erase(&self) -> Result<(), StoreUnavailable> {
        self.write(|tables| tables.erase_but(&Key::move_mark()))
            .await
    }

    async fn move_mark(&self) -> Result<Option<MoveMark>, StoreUnavailable> {
        let text = self.read_one(Key::move_mark()).await?;
        text.map(|text| MoveMark::decode(&String::from_utf8_lossy(&text)))
            .transpose()
    }

    async fn set_move_mark(&self, mark: Option<&MoveMark>) -> Result<(), StoreUnavailable> {
        let text = mark.map(MoveMark::encode);
        self.write(move |tables| match text {
            Some(text) => tables.put_forever(&Key::move_mark(), text.as_bytes()),
            None => tables.remove(&Key::move_mark()),
        })
        .await
    }
}

fn add(page: &mut Page, key: &[u8], found: &Found<'_>, now: Timestamp) {
    if key == Key::move_mark().as_bytes() {
        return;
    }
    let record = match found {
        Found::Damaged => None,
        Found::Until(deadline, _) if *deadline <= now => return,
        Found::Until(deadline, value) => {
            record_of(key, value).map(|record| (record, deadline.since(now)))
        }
    };
    match record {
        Some((record, life)) => page.records.push(LiveRecord { record, life }),
        None => page.unreadable.push(Unreadable {
            kind: Key::kind_of(key).to_owned(),
            name: name_of(key),
        }),
    }
}

/// `None` if it has not the form that this release writes.
fn record_of(key: &[u8], value: &[u8]) -> Option<Record> {
    let (kind, name) = key.split_first()?;
    let grant = || Some(GrantId::from_bytes(name.try_into().ok()?));
    Some(match kind {
        b'c' => {
            let (order, registration) = value.split_first_chunk()?;
            Record::Client {
                client: ClientId::parse(std::str::from_utf8(name).ok()?).ok()?,
                registration: registration.to_vec(),
                unused_order: u64::from_be_bytes(*order),
            }
        }
        b'g' => {
            GrantHeader::decode(value)?;
            Record::Grant(grant()?, value.to_vec())
        }
        b'i' => {
            StoredIdentity::decode(value)?;
            Record::Identity(grant()?, value.to_vec())
        }
        b'd' => {
            GrantHeader::decode(value)?;
            Record::Device(grant()?, value.to_vec())
        }
        b'u' => {
            let (holder, grant) = name.split_first_chunk()?;
            Record::Holder(*holder, GrantId::from_bytes(grant.try_into().ok()?))
        }
        b'e' => {
            let grant = GrantId::from_bytes(value.try_into().ok()?);
            Record::UserCode(name.try_into().ok()?, grant)
        }
        b'n' => Record::Interaction(name.try_into().ok()?, value.to_vec()),
        b's' => Record::State(name.try_into().ok()?, value.try_into().ok()?),
        b'o' => Record::Mark(name.try_into().ok()?),
        b'm' => Record::Imported(name.try_into().ok()?, value.to_vec()),
        _ => return None,
    })
}

/// As the log and the server name it, where it is a grant or a client.
fn name_of(key: &[u8]) -> String {
    let (kind, name) = key.split_first().unwrap_or((&0, &[]));
    match (kind, <[u8; 16]>::try_from(name)) {
        (b'g' | b'i' | b'd', Ok(grant)) => GrantId::from_bytes(grant).to_string(),
        (b'c', _) => String::from_utf8_lossy(name).into_owned(),
        _ => URL_SAFE_NO_PAD.encode(name),
    }
}
