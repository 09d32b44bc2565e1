//! Any steps in any order, at an engine and at the model: they must answer the same.
//!
//! Names are few and versions small, so that steps meet: what is repeated, late, ahead or over
//! comes up by itself. A failure shrinks to the shortest sequence that still differs.

mod any;

use std::time::Duration;

use domain::id::{ClientId, GrantId};

use crate::{
    DeviceApproval, DeviceReplaced, Lease, LeaseHolder, OperationId, Replaced, Settled, Store,
    StoreUnavailable, StoredDevice, StoredGrant, model::Model,
};

pub(crate) use any::{all_reads, for_any_steps};

/// One step. Names, bodies and operations are bytes that are repeated to their length; times are
/// seconds.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Pass(u64),
    Register(u8, u8),
    LoadClient(u8),
    ExtendClient(u8, u64),
    ReplaceClient(u8, u8),
    ForgetClient(u8),
    PutInteraction(u8, u8, u64),
    LoadInteraction(u8),
    TakeInteraction(u8),
    PutState(u8, u8, u64),
    TakeState(u8),
    DropState(u8),
    MarkOnce(u8, u64),
    Open(u8, Write),
    Load(u8),
    Replace(u8, Write),
    Settle {
        grant: u8,
        expected: u64,
        body: u8,
    },
    TakeLease {
        grant: u8,
        expected: u64,
        holder: u8,
        life: u64,
    },
    GiveLeaseBack {
        grant: u8,
        holder: u8,
    },
    End(u8, u64),
    Index {
        holder: u8,
        grant: u8,
        ttl: u64,
    },
    GrantsOf(u8),
    NameDevice {
        code: u8,
        grant: u8,
        ttl: u64,
    },
    FindDevice(u8),
    ForgetCode(u8),
    PutDevice(u8, Write),
    LoadDevice(u8),
    ReplaceDevice(u8, Write),
    ApproveDevice(u8, Write),
}

/// A write over a version; what opens something expects none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    expected: u64,
    operation: u8,
    body: u8,
    ttl: u64,
}

/// What a step answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Is(bool),
    Bytes(Option<Vec<u8>>),
    Uid(Option<[u8; 16]>),
    Grant(Option<StoredGrant>),
    Replaced(Replaced),
    Settled(Settled),
    Lease(Lease),
    Grants(Vec<GrantId>),
    Named(Option<GrantId>),
    Device(Option<StoredDevice>),
    DeviceReplaced(DeviceReplaced),
}

/// How long a registration that is not used is kept: one life for all, so that the oldest end first.
const UNUSED: Duration = Duration::from_secs(60);

// === impl Step ===

impl Step {
    pub(crate) fn at_model(&self, model: &mut Model) -> Outcome {
        match *self {
            Self::Pass(time) => {
                model.pass(seconds(time));
                Outcome::Done
            }
            Self::Register(name, body) => {
                model.register_client(&client(name), vec![body], UNUSED);
                Outcome::Done
            }
            Self::LoadClient(name) => Outcome::Bytes(model.load_client(&client(name))),
            Self::ExtendClient(name, ttl) => {
                Outcome::Is(model.extend_client(&client(name), seconds(ttl)))
            }
            Self::ReplaceClient(name, body) => {
                Outcome::Is(model.replace_client(&client(name), vec![body]))
            }
            Self::ForgetClient(name) => {
                model.forget_client(&client(name));
                Outcome::Done
            }
            Self::PutInteraction(name, body, ttl) => {
                model.put_interaction(&[name; 16], vec![body], seconds(ttl));
                Outcome::Done
            }
            Self::LoadInteraction(name) => Outcome::Bytes(model.load_interaction(&[name; 16])),
            Self::TakeInteraction(name) => Outcome::Bytes(model.take_interaction(&[name; 16])),
            Self::PutState(name, uid, ttl) => {
                model.put_state(&[name; 32], &[uid; 16], seconds(ttl));
                Outcome::Done
            }
            Self::TakeState(name) => Outcome::Uid(model.take_state(&[name; 32])),
            Self::DropState(name) => {
                model.drop_state(&[name; 32]);
                Outcome::Done
            }
            Self::MarkOnce(name, ttl) => Outcome::Is(model.mark_once(&[name; 32], seconds(ttl))),
            _ => self.at_model_s_grants(model),
        }
    }

    fn at_model_s_grants(&self, model: &mut Model) -> Outcome {
        match *self {
            Self::Open(
                name,
                Write {
                    operation,
                    body,
                    ttl,
                    ..
                },
            ) => {
                let (body, identity, operation) = (vec![body], vec![body, 1], [operation; 8]);
                model.open_grant(&grant(name), body, identity, operation, seconds(ttl));
                Outcome::Done
            }
            Self::Load(name) => Outcome::Grant(model.load_grant(&grant(name))),
            Self::Replace(
                name,
                Write {
                    expected,
                    operation,
                    body,
                    ttl,
                },
            ) => {
                let (body, operation) = (vec![body], [operation; 8]);
                let ttl = seconds(ttl);
                Outcome::Replaced(model.replace_grant(&grant(name), expected, body, operation, ttl))
            }
            Self::Settle {
                grant: name,
                expected,
                body,
            } => Outcome::Settled(model.settle_identity(&grant(name), expected, vec![body])),
            Self::TakeLease {
                grant: name,
                expected,
                holder,
                life,
            } => {
                let (holder, life) = ([holder; 16], seconds(life));
                Outcome::Lease(model.lease_refresh(&grant(name), expected, &holder, life))
            }
            Self::GiveLeaseBack {
                grant: name,
                holder,
            } => {
                model.release_refresh(&grant(name), &[holder; 16]);
                Outcome::Done
            }
            Self::End(name, ttl) => {
                model.end_grant(&grant(name), seconds(ttl));
                Outcome::Done
            }
            Self::Index {
                holder,
                grant: name,
                ttl,
            } => {
                model.index_grant(&[holder; 32], &grant(name), seconds(ttl));
                Outcome::Done
            }
            Self::GrantsOf(holder) => Outcome::Grants(model.grants_of(&[holder; 32])),
            Self::NameDevice {
                code,
                grant: name,
                ttl,
            } => Outcome::Is(model.name_device(&[code; 16], &grant(name), seconds(ttl))),
            Self::FindDevice(code) => Outcome::Named(model.find_device(&[code; 16])),
            Self::ForgetCode(code) => {
                model.forget_user_code(&[code; 16]);
                Outcome::Done
            }
            Self::PutDevice(
                name,
                Write {
                    operation,
                    body,
                    ttl,
                    ..
                },
            ) => {
                model.put_device(&grant(name), vec![body], [operation; 8], seconds(ttl));
                Outcome::Done
            }
            Self::LoadDevice(name) => Outcome::Device(model.load_device(&grant(name))),
            Self::ReplaceDevice(
                name,
                Write {
                    expected,
                    operation,
                    body,
                    ..
                },
            ) => {
                let operation = [operation; 8];
                let replaced = model.replace_device(&grant(name), expected, vec![body], operation);
                Outcome::DeviceReplaced(replaced)
            }
            Self::ApproveDevice(name, write) => {
                let (approval, operation) = write.approval();
                Outcome::DeviceReplaced(model.approve_device(&grant(name), approval, operation))
            }
            _ => unreachable!("the other half"),
        }
    }

    /// The same at an engine; time is passed by the caller.
    pub(crate) async fn at_store(&self, store: &dyn Store) -> Result<Outcome, StoreUnavailable> {
        Ok(match *self {
            Self::Pass(_) => Outcome::Done,
            Self::Register(name, body) => store
                .register_client(&client(name), vec![body], UNUSED)
                .await
                .map(done)?,
            Self::LoadClient(name) => Outcome::Bytes(store.load_client(&client(name)).await?),
            Self::ExtendClient(name, ttl) => {
                Outcome::Is(store.extend_client(&client(name), seconds(ttl)).await?)
            }
            Self::ReplaceClient(name, body) => {
                Outcome::Is(store.replace_client(&client(name), vec![body]).await?)
            }
            Self::ForgetClient(name) => store.forget_client(&client(name)).await.map(done)?,
            Self::PutInteraction(name, body, ttl) => store
                .put_interaction(&[name; 16], vec![body], seconds(ttl))
                .await
                .map(done)?,
            Self::LoadInteraction(name) => {
                Outcome::Bytes(store.load_interaction(&[name; 16]).await?)
            }
            Self::TakeInteraction(name) => {
                Outcome::Bytes(store.take_interaction(&[name; 16]).await?)
            }
            Self::PutState(name, uid, ttl) => store
                .put_state(&[name; 32], &[uid; 16], seconds(ttl))
                .await
                .map(done)?,
            Self::TakeState(name) => Outcome::Uid(store.take_state(&[name; 32]).await?),
            Self::DropState(name) => store.drop_state(&[name; 32]).await.map(done)?,
            Self::MarkOnce(name, ttl) => {
                Outcome::Is(store.mark_once(&[name; 32], seconds(ttl)).await?)
            }
            _ => self.at_store_s_grants(store).await?,
        })
    }

    async fn at_store_s_grants(&self, store: &dyn Store) -> Result<Outcome, StoreUnavailable> {
        Ok(match *self {
            Self::Open(
                name,
                Write {
                    operation,
                    body,
                    ttl,
                    ..
                },
            ) => {
                let (body, identity, operation) = (vec![body], vec![body, 1], [operation; 8]);
                store
                    .open_grant(&grant(name), body, identity, operation, seconds(ttl))
                    .await
                    .map(done)?
            }
            Self::Load(name) => Outcome::Grant(store.load_grant(&grant(name)).await?),
            Self::Replace(
                name,
                Write {
                    expected,
                    operation,
                    body,
                    ttl,
                },
            ) => {
                let (grant, ttl) = (grant(name), seconds(ttl));
                let replaced =
                    store.replace_grant(&grant, expected, vec![body], [operation; 8], ttl);
                Outcome::Replaced(replaced.await?)
            }
            Self::Settle {
                grant: name,
                expected,
                body,
            } => {
                let grant = grant(name);
                let settled = store.settle_identity(&grant, expected, vec![body]);
                Outcome::Settled(settled.await?)
            }
            Self::TakeLease {
                grant: name,
                expected,
                holder,
                life,
            } => {
                let (grant, holder): (_, LeaseHolder) = (grant(name), [holder; 16]);
                let taken = store.lease_refresh(&grant, expected, &holder, seconds(life));
                Outcome::Lease(taken.await?)
            }
            Self::GiveLeaseBack {
                grant: name,
                holder,
            } => {
                let (grant, holder) = (grant(name), [holder; 16]);
                store.release_refresh(&grant, &holder).await.map(done)?
            }
            Self::End(name, ttl) => {
                let grant = grant(name);
                store.end_grant(&grant, seconds(ttl)).await.map(done)?
            }
            Self::Index {
                holder,
                grant: name,
                ttl,
            } => {
                let grant = grant(name);
                let noted = store.index_grant(&[holder; 32], &grant, seconds(ttl)).await;
                noted.map(|()| Outcome::Done)?
            }
            Self::GrantsOf(holder) => {
                let mut grants = store.grants_of(&[holder; 32]).await?;
                grants.sort();
                Outcome::Grants(grants)
            }
            _ => self.at_store_s_devices(store).await?,
        })
    }

    async fn at_store_s_devices(&self, store: &dyn Store) -> Result<Outcome, StoreUnavailable> {
        Ok(match *self {
            Self::NameDevice {
                code,
                grant: name,
                ttl,
            } => {
                let grant = grant(name);
                Outcome::Is(store.name_device(&[code; 16], &grant, seconds(ttl)).await?)
            }
            Self::FindDevice(code) => Outcome::Named(store.find_device(&[code; 16]).await?),
            Self::ForgetCode(code) => {
                let forgotten = store.forget_user_code(&[code; 16]).await;
                forgotten.map(|()| Outcome::Done)?
            }
            Self::PutDevice(
                name,
                Write {
                    operation,
                    body,
                    ttl,
                    ..
                },
            ) => {
                let grant = grant(name);
                store
                    .put_device(&grant, vec![body], [operation; 8], seconds(ttl))
                    .await
                    .map(done)?
            }
            Self::LoadDevice(name) => Outcome::Device(store.load_device(&grant(name)).await?),
            Self::ReplaceDevice(
                name,
                Write {
                    expected,
                    operation,
                    body,
                    ..
                },
            ) => {
                let grant = grant(name);
                let replaced = store.replace_device(&grant, expected, vec![body], [operation; 8]);
                Outcome::DeviceReplaced(replaced.await?)
            }
            Self::ApproveDevice(name, write) => {
                let (approval, operation) = write.approval();
                let grant = grant(name);
                let approved = store.approve_device(&grant, approval, operation);
                Outcome::DeviceReplaced(approved.await?)
            }
            _ => unreachable!("the other thirds"),
        })
    }

    /// Whether the step is about leases, which a store that one process holds does not have.
    pub(crate) fn is_of_leases(&self) -> bool {
        matches!(self, Self::TakeLease { .. } | Self::GiveLeaseBack { .. })
    }
}

// === impl Write ===

impl Write {
    fn approval(self) -> (DeviceApproval, OperationId) {
        let approval = DeviceApproval {
            expected: self.expected,
            device: vec![self.body],
            grant: vec![self.body, 2],
            identity: vec![self.body, 3],
            grant_ttl: seconds(self.ttl),
        };
        (approval, [self.operation; 8])
    }
}

// === impl Outcome ===

impl Outcome {
    /// Whether an engine's answer is the model's. A server's clock goes on between two steps.
    pub(crate) fn agrees(&self, model: &Self) -> bool {
        let slack = Duration::from_secs(9);
        match (self, model) {
            (
                Self::Lease(Lease::Taken {
                    earlier: Some(measured),
                }),
                Self::Lease(Lease::Taken {
                    earlier: Some(exact),
                }),
            ) => *measured >= *exact && *measured < *exact + slack,
            _ => self == model,
        }
    }
}

const fn done((): ()) -> Outcome {
    Outcome::Done
}

fn client(name: u8) -> ClientId {
    ClientId::parse(format!("client-{name}")).unwrap()
}

const fn grant(name: u8) -> GrantId {
    GrantId::from_bytes([name + 1; 16])
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
