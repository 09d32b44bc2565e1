//! What every engine must do: one suite of tests, run on each of them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::id::{ClientId, GrantId};

use crate::{Store, StoredGrant, StoredIdentity};

pub(crate) mod clients;
pub(crate) mod devices;
pub(crate) mod grants;
pub(crate) mod imported;
pub(crate) mod interactions;
pub(crate) mod steps;

/// An engine under test, alone with its records.
#[async_trait]
pub(crate) trait Engine: Sized + Sync {
    async fn start() -> Self;

    /// Opens the store with bounds of its own.
    async fn open_bounded(&self, unused_clients: u64, interactions: u64) -> Arc<dyn Store>;

    /// Lets time pass for all records.
    async fn pass(&self, seconds: u64);

    async fn open(&self) -> Arc<dyn Store> {
        self.open_bounded(1000, 1000).await
    }
}

/// Runs the suite on an engine.
macro_rules! contract {
    ($engine:ty) => {
        crate::contract::run!($engine;
            clients: a_flood_of_registrations_pushes_out_only_unused_ones,
            clients: a_registration_made_twice_counts_once,
            clients: a_registration_is_never_shortened,
            clients: a_registration_is_replaced_in_its_place_and_forgotten_for_good,
            devices: a_user_code_leads_to_one_device_until_it_is_forgotten_or_expires,
            devices: a_device_is_replaced_only_over_the_version_that_was_read_and_lives_no_longer,
            devices: an_approval_writes_device_grant_and_identity_or_nothing,
            devices: an_approval_sent_twice_does_not_put_a_grant_back_that_went_on,
            devices: a_device_is_put_once,
            devices: of_two_decisions_one_is_written,
            interactions: a_flood_of_interactions_pushes_out_the_oldest,
            interactions: one_that_is_put_again_after_its_end_counts_once,
            interactions: only_one_caller_takes,
            interactions: a_dropped_state_leads_nowhere,
            interactions: concurrent_writers_lose_nothing,
            interactions: a_mark_counts_once_until_it_is_forgotten,
            grants: a_grant_is_replaced_only_over_the_version_that_was_read,
            grants: an_opening_sent_twice_does_not_put_a_grant_back_that_went_on,
            grants: rotation_and_refresh_do_not_collide_and_share_a_life,
            grants: of_many_writers_over_one_version_one_writes,
            grants: an_end_wins_over_any_version,
            grants: an_end_is_remembered_for_its_time_and_an_absent_grant_has_none,
            grants: a_holder_s_grants_are_listed_while_they_last,
            imported: what_was_taken_over_first_stays_until_its_end,
            imported: of_many_who_take_over_one_wins_and_all_hear_of_it,
        );
    };
}

macro_rules! run {
    ($engine:ty; $($group:ident: $test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let engine = <$engine as crate::contract::Engine>::start().await;
                crate::contract::$group::$test(&engine).await;
            }
        )+
    };
}

pub(crate) use contract;
pub(crate) use run;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const GRANT: GrantId = GrantId::from_bytes([1; 16]);

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

/// Version, body and identity session of [`GRANT`], which lives.
pub(crate) async fn live(store: &dyn Store) -> (u64, Vec<u8>, Option<StoredIdentity>) {
    match store.load_grant(&GRANT).await.unwrap().unwrap() {
        StoredGrant::Live {
            version,
            body,
            identity,
        } => (version, body, identity),
        StoredGrant::Ended => panic!("the grant is ended"),
    }
}
