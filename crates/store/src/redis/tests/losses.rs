//! Servers that lose what they have answered.

use testkit::wait;

use super::*;
use crate::{DeviceApproval, DeviceReplaced, Replaced, StoreUnavailable, StoredDevice};

const SOON: Duration = Duration::from_secs(20);
const OTHER: GrantId = GrantId::from_bytes([2; 16]);
const HOLDER: [u8; 32] = [5; 32];

impl Fixture {
    /// With a server that writes nothing down by itself.
    async fn forgetful() -> Self {
        let redis = Redis::start_with(&["--appendonly", "no"]).await.unwrap();
        Self {
            redis,
            prefix: "oidc:".to_owned(),
        }
    }

    /// The server is killed and begins anew: with nothing, or with what was saved last.
    async fn lose(&mut self) {
        self.redis.process().kill().unwrap();
        self.redis.start_again().await.unwrap();
    }

    async fn save(&self) {
        assert_eq!(self.redis.command(&["SAVE"]).await.unwrap(), "+OK\r\n");
    }

    async fn set(&self, name: &str, value: &str) {
        let words = ["CONFIG", "SET", name, value];
        assert_eq!(self.redis.command(&words).await.unwrap(), "+OK\r\n");
    }

    /// Life of a record, in seconds; negative where there is none.
    async fn life(&self, kind: &str) -> i64 {
        let key = format!("oidc:v1:{kind}:{{{GRANT}}}");
        let mut command = cmd("TTL");
        let life = command.arg(key).query_async(&mut self.admin().await).await;
        life.unwrap()
    }
}

async fn open(store: &RedisStore, grant: &GrantId) {
    store
        .open_grant(grant, vec![1], vec![2], [0; 8], MINUTE * 10)
        .await
        .unwrap();
}

/// Writes the version behind `expected`, with that as its body.
async fn replace(store: &RedisStore, expected: u8) {
    let replaced = store
        .replace_grant(
            &GRANT,
            u64::from(expected),
            vec![expected + 1],
            [expected; 8],
            MINUTE * 20,
        )
        .await;
    assert_eq!(replaced.unwrap(), Replaced::Done);
}

fn settled(version: u8) -> StoredIdentity {
    StoredIdentity {
        version: u64::from(version),
        sealed: vec![version],
    }
}

async fn settle(store: &RedisStore, expected: u8) {
    let answer = store.settle_identity(&GRANT, u64::from(expected), vec![expected + 1]);
    assert_eq!(answer.await.unwrap(), Settled::Done);
}

async fn load(store: &RedisStore, grant: &GrantId) -> Option<StoredGrant> {
    store.load_grant(grant).await.unwrap()
}

/// What is absent once nobody can bring it back any more.
async fn is_gone(store: &RedisStore, grant: &GrantId) -> bool {
    let found = wait::until("an answer", SOON, async || {
        Ok(store.load_grant(grant).await.ok())
    });
    found.await.unwrap().is_none()
}

#[tokio::test]
async fn a_server_that_forgot_everything_is_given_back_what_was_written_last() {
    let mut fixture = Fixture::forgetful().await;
    let store = fixture.connect().await;
    assert_eq!(store.share_keys(&[9], None).await.unwrap(), [9]);
    let client = client("a");
    store
        .register_client(&client, vec![7], MINUTE)
        .await
        .unwrap();
    assert!(store.extend_client(&client, MINUTE * 60).await.unwrap());
    store
        .index_grant(&HOLDER, &GRANT, MINUTE * 60)
        .await
        .unwrap();
    open(&store, &GRANT).await;
    replace(&store, 1).await;
    settle(&store, 1).await;
    replace(&store, 2).await;
    open(&store, &OTHER).await;
    store.end_grant(&OTHER, MINUTE * 60).await.unwrap();

    fixture.lose().await;
    assert_eq!(live(&store).await, (3, vec![3], Some(settled(2))));
    store.load_grant(&OTHER).await.unwrap_err();
    assert_eq!(store.load_client(&client).await.unwrap(), Some(vec![7]));
    assert_eq!(store.shared_keys().await.unwrap(), Some(vec![9]));
    for kind in ["g", "i"] {
        let life = fixture.life(kind).await;
        assert!((1100..=1200).contains(&life), "{kind}: {life} s");
    }
    let listed = wait::until("the list", SOON, async || {
        Ok(store.grants_of(&HOLDER).await.ok())
    });
    assert_eq!(listed.await.unwrap(), [GRANT]);
    assert_eq!(load(&store, &OTHER).await, None, "it was ended");
    // It goes on from there.
    replace(&store, 3).await;
    settle(&store, 2).await;
}

#[tokio::test]
async fn an_approved_device_is_given_back_with_its_grant() {
    let mut fixture = Fixture::forgetful().await;
    let store = fixture.connect().await;
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE * 10)
        .await
        .unwrap();
    let approval = DeviceApproval {
        expected: 1,
        device: vec![2],
        grant: vec![3],
        identity: vec![4],
        grant_ttl: MINUTE * 10,
    };
    let approved = store.approve_device(&GRANT, approval, [1; 8]).await;
    assert_eq!(approved.unwrap(), DeviceReplaced::Done);
    fixture.lose().await;
    let device = StoredDevice {
        version: 2,
        body: vec![2],
    };
    assert_eq!(store.load_device(&GRANT).await.unwrap(), Some(device));
    let identity = StoredIdentity {
        version: 1,
        sealed: vec![4],
    };
    assert_eq!(live(&store).await, (1, vec![3], Some(identity)));
}

#[tokio::test]
async fn over_an_older_snapshot_the_higher_version_wins_and_an_end_over_all() {
    let mut fixture = Fixture::forgetful().await;
    let store = fixture.connect().await;
    open(&store, &GRANT).await;
    open(&store, &OTHER).await;
    fixture.save().await;
    replace(&store, 1).await;
    settle(&store, 1).await;
    store.end_grant(&OTHER, MINUTE).await.unwrap();
    fixture.lose().await;
    assert_eq!(live(&store).await, (2, vec![2], Some(settled(2))));
    assert_eq!(load(&store, &OTHER).await, Some(StoredGrant::Ended));
}

#[tokio::test]
async fn what_others_wrote_later_stays_whoever_comes_first() {
    for is_first_here in [true, false] {
        let mut fixture = Fixture::forgetful().await;
        let (here, there) = (fixture.connect().await, fixture.connect().await);
        open(&here, &GRANT).await;
        replace(&there, 1).await;
        replace(&here, 2).await;
        settle(&there, 1).await;
        replace(&there, 3).await;
        fixture.lose().await;
        let order = if is_first_here {
            [&here, &there]
        } else {
            [&there, &here]
        };
        for store in order {
            drop(store.load_grant(&GRANT).await);
        }
        for store in order {
            assert_eq!(live(store).await, (4, vec![4], Some(settled(2))));
        }
    }
}

#[tokio::test]
async fn a_server_that_lost_nothing_keeps_what_it_has() {
    let mut fixture = Fixture::new().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    open(&here, &GRANT).await;
    open(&here, &OTHER).await;
    replace(&there, 1).await;
    settle(&there, 1).await;
    there.end_grant(&OTHER, MINUTE).await.unwrap();
    fixture.lose().await;
    assert_eq!(live(&here).await, (2, vec![2], Some(settled(2))));
    assert_eq!(load(&here, &OTHER).await, Some(StoredGrant::Ended));
}

#[tokio::test]
async fn an_end_that_was_heard_is_not_undone_by_those_who_heard_it() {
    let mut fixture = Fixture::forgetful().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let (sender, mut sounds) = tokio::sync::mpsc::unbounded_channel();
    here.listen(Arc::new(Heard(sender)));
    assert_eq!(next(&mut sounds).await, Sound::Began);
    open(&here, &GRANT).await;
    there.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(next(&mut sounds).await, Sound::Ended(GRANT));
    drop(there);
    fixture.lose().await;
    assert!(is_gone(&here, &GRANT).await);
}

#[tokio::test]
async fn what_is_ended_or_forgotten_while_it_is_lost_does_not_come_back() {
    let mut fixture = Fixture::forgetful().await;
    let here = fixture.connect().await;
    open(&here, &GRANT).await;
    let gone = client("a");
    here.register_client(&gone, vec![7], MINUTE).await.unwrap();
    fixture.lose().await;
    let there = fixture.connect().await;
    there.end_grant(&GRANT, MINUTE).await.unwrap();
    there.forget_client(&gone).await.unwrap();
    assert!(is_gone(&here, &GRANT).await);
    assert_eq!(here.load_client(&gone).await.unwrap(), None);
    assert_eq!(fixture.life("g").await, -2);
}

#[tokio::test]
async fn what_has_expired_meanwhile_does_not_come_back() {
    let mut fixture = Fixture::forgetful().await;
    let store = fixture.connect().await;
    let life = Duration::from_millis(50);
    let opened = tokio::time::Instant::now();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], life)
        .await
        .unwrap();
    open(&store, &OTHER).await;
    fixture.lose().await;
    wait::until_true("its end", SOON, || opened.elapsed() > life * 2)
        .await
        .unwrap();
    assert!(load(&store, &OTHER).await.is_some());
    assert_eq!(fixture.life("g").await, -2);
    assert!(is_gone(&store, &GRANT).await);
}

#[tokio::test]
async fn nothing_counts_as_absent_and_no_refresh_begins_while_others_may_bring_it_back() {
    let mut fixture = Fixture::forgetful().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    open(&there, &GRANT).await;
    open(&here, &OTHER).await;
    let ask = async |grant: &GrantId, holder: u8| {
        here.lease_refresh(grant, 1, &[holder; 16], MINUTE)
            .await
            .unwrap()
    };
    assert!(matches!(ask(&OTHER, 1).await, Lease::Taken { .. }));
    fixture.lose().await;
    let absent: StoreUnavailable = here.load_grant(&GRANT).await.unwrap_err();
    assert!(
        absent.to_string().contains("get back what it lost"),
        "{absent}"
    );
    here.load_client(&client("a")).await.unwrap_err();
    here.settle_identity(&GRANT, 1, vec![3]).await.unwrap_err();
    // Who refreshes goes on, somebody else does not begin.
    assert!(matches!(ask(&OTHER, 1).await, Lease::Taken { .. }));
    assert_eq!(ask(&GRANT, 2).await, Lease::Busy);
    assert!(load(&there, &GRANT).await.is_some());
    assert!(load(&here, &GRANT).await.is_some());
    assert!(is_gone(&here, &GrantId::from_bytes([9; 16])).await);
    assert!(matches!(ask(&GRANT, 2).await, Lease::Taken { .. }));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_read_and_gets_them_back_later() {
    let mut fixture = Fixture::forgetful().await;
    let store = fixture.connect().await;
    open(&store, &OTHER).await;
    fixture.save().await;
    open(&store, &GRANT).await;
    fixture.lose().await;
    fixture.set("min-replicas-to-write", "1").await;
    assert!(load(&store, &OTHER).await.is_some());
    store.load_grant(&GRANT).await.unwrap_err();
    fixture.set("min-replicas-to-write", "0").await;
    let found = wait::until("the grant", SOON, async || {
        Ok(store.load_grant(&GRANT).await.ok().flatten())
    });
    found.await.unwrap();
}
