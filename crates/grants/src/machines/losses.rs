//! Stores that lose what they have answered.

use super::*;
use crate::testing::DAY;

impl Machines {
    /// On a server that keeps only what is saved.
    async fn forgetful() -> Self {
        let redis = Redis::start_with(&["--appendonly", "no"]).await.unwrap();
        Self::on(redis, settings(), pace()).await
    }

    async fn save(&self) {
        assert_eq!(self.redis.command(&["SAVE"]).await.unwrap(), "+OK\r\n");
    }

    /// All machines and the server die; the server comes back with what was saved, and new machines
    /// come that know nothing.
    async fn die(self) -> Self {
        let Self {
            mut redis,
            clock,
            random,
            provider,
            here,
            there,
        } = self;
        drop((here, there));
        redis.process().kill().unwrap();
        redis.start_again().await.unwrap();
        let [here, there] =
            Self::two(&redis, &settings(), pace(), &clock, &random, &provider).await;
        Self {
            redis,
            clock,
            random,
            provider,
            here,
            there,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_the_store_lost_is_adopted() {
    for idle in [0, 8] {
        let machines = Machines::forgetful().await;
        let first = machines.connect(&machines.here, 80 * 24 * HOUR).await;
        machines.save().await;
        // After a week a rotation moves the pads.
        machines.clock.advance(idle * DAY);
        let second = rotate(&machines.here, &first.refresh, 1).await.unwrap();
        let machines = machines.die().await;
        let third = rotate(&machines.there, &second.refresh, 1).await.unwrap();
        assert_ne!(third.refresh, second.refresh);
        for access in [&second.access, &third.access] {
            assert!(call(&machines.here, access).await.is_ok(), "{idle} days");
        }
        assert!(rotate(&machines.here, &third.refresh, 1).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redemption_that_the_store_lost_is_adopted_and_its_code_used_up() {
    let machines = Machines::forgetful().await;
    let login = World::login(machines.provider.first_tokens(Some(8 * HOUR)));
    let code = machines.here.open(login).await.unwrap();
    machines.save().await;
    let first = Connected::of(machines.redeem(&machines.here, &code).await.unwrap());
    let machines = machines.die().await;
    let second = rotate(&machines.here, &first.refresh, 1).await.unwrap();
    assert!(call(&machines.there, &second.access).await.is_ok());
    machines.redeem(&machines.there, &code).await.unwrap_err();
}

/// The provider takes each refresh token once: what it answered is nowhere but in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_machines_wrote_last_survives_a_store_that_forgets_it() {
    let mut machines = Machines::forgetful().await;
    let ended = machines.connect(&machines.there, 600).await;
    let owner = client("client-a");
    machines.there.revoke(&ended.refresh, &owner).await.unwrap();
    let first = machines.connect(&machines.here, 600).await;
    let session = call(&machines.there, &first.access).await.unwrap();
    machines.clock.advance(600);
    let renewed = token(&session).await;
    let calls = machines.provider.calls();
    let second = rotate(&machines.here, &first.refresh, 1).await.unwrap();
    let generation = machines.here.heart.registry.generation();
    machines.redis.process().kill().unwrap();
    machines.redis.start_again().await.unwrap();
    machines.listening(generation).await;
    for grants in [&machines.here, &machines.there] {
        let session = call(grants, &second.access).await.unwrap();
        assert_eq!(token(&session).await, renewed);
        let refused = wait::until("an answer", SOON, async || {
            let refused = call(grants, &ended.access).await.unwrap_err();
            let is_passing = matches!(refused, AuthenticateError::Unavailable(_));
            Ok((!is_passing).then_some(refused))
        });
        let refused = refused.await.unwrap();
        assert!(
            matches!(
                refused,
                AuthenticateError::Ended | AuthenticateError::Unknown
            ),
            "{refused}"
        );
    }
    let third = rotate(&machines.there, &second.refresh, 1).await.unwrap();
    assert!(call(&machines.here, &third.access).await.is_ok());
    machines.clock.advance(8 * HOUR);
    assert_ne!(token(&session).await, renewed);
    assert_eq!(machines.provider.calls(), calls + 1);
}
