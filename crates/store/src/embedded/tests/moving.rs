//! A move that is interrupted, done twice, or not to be done.

use async_trait::async_trait;

use super::{damage::damage, *};
use crate::records::{
    Begun, LiveRecord, MoveId, MoveMark, MoveState, NotMoved, Page, Position, Records, Transfer,
    TransferOptions, abandon,
};

/// A store that answers for so many steps and then never again, as if the move had been killed.
#[derive(Debug)]
struct Mortal<'a> {
    inner: &'a EmbeddedStore,
    steps: &'a AtomicU64,
}

impl Mortal<'_> {
    fn step(&self) -> Result<(), StoreUnavailable> {
        let left = self
            .steps
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map(drop)
            .map_err(|_| StoreUnavailable("killed".to_owned()))
    }
}

#[async_trait]
impl Records for Mortal<'_> {
    fn place(&self) -> String {
        self.inner.place()
    }
    async fn estimate(&self) -> Result<u64, StoreUnavailable> {
        self.inner.estimate().await
    }
    async fn read_page(&self, from: Option<&Position>) -> Result<Page, StoreUnavailable> {
        self.step()?;
        self.inner.read_page(from).await
    }
    async fn write_page(&self, records: Vec<LiveRecord>) -> Result<(), StoreUnavailable> {
        self.step()?;
        self.inner.write_page(records).await
    }
    async fn erase(&self) -> Result<(), StoreUnavailable> {
        self.step()?;
        self.inner.erase().await
    }
    async fn move_mark(&self) -> Result<Option<MoveMark>, StoreUnavailable> {
        self.step()?;
        self.inner.move_mark().await
    }
    async fn set_move_mark(&self, mark: Option<&MoveMark>) -> Result<(), StoreUnavailable> {
        self.step()?;
        self.inner.set_move_mark(mark).await
    }
}

/// Two stores, the first with sessions.
struct Two {
    from: EmbeddedStore,
    to: EmbeddedStore,
    _fixtures: [Fixture; 2],
}

impl Two {
    async fn new() -> Self {
        let fixtures = [Fixture::new(), Fixture::new()];
        damage::fill(&fixtures[0]).await;
        Self {
            from: fixtures[0].open(),
            to: fixtures[1].open(),
            _fixtures: fixtures,
        }
    }

    async fn move_over(&self, id: u8) -> Result<(), NotMoved> {
        move_over(&self.from, &self.to, id, false).await
    }
}

async fn move_over(
    from: &dyn Records,
    to: &dyn Records,
    id: u8,
    overwrite: bool,
) -> Result<(), NotMoved> {
    let options = TransferOptions {
        id: MoveId([id; 16]),
        now: Timestamp::from_unix(1),
        overwrite,
    };
    if let Begun::Ready(transfer) = Transfer::begin(from, to, options).await? {
        transfer.copy(|_| {}).await?;
        transfer.mark_source().await?;
        transfer.release_target().await?;
    }
    Ok(())
}

fn grant(index: u8) -> GrantId {
    GrantId::from_bytes([index; 16])
}

async fn is_live(store: &EmbeddedStore, index: u8) -> bool {
    let loaded = store.load_grant(&grant(index)).await.unwrap();
    matches!(loaded, Some(StoredGrant::Live { .. }))
}

/// Whether a proxy would start on it.
async fn is_usable(store: &EmbeddedStore) -> bool {
    store.move_mark().await.unwrap().is_none()
}

#[tokio::test]
async fn a_move_that_is_killed_at_any_step_can_be_done_again_and_loses_nothing() {
    let mut interruptions = 0;
    for steps in 0.. {
        let two = Two::new().await;
        let left = AtomicU64::new(steps);
        let [from, to] = [&two.from, &two.to].map(|inner| Mortal {
            inner,
            steps: &left,
        });
        let killed = move_over(&from, &to, 1, false).await.is_err();
        interruptions += u64::from(killed);
        // Never do the sessions count twice; and only a whole store counts.
        if is_usable(&two.to).await {
            let has_arrived = is_live(&two.to, 60).await;
            assert_eq!(has_arrived, !is_usable(&two.from).await, "after {steps}");
        }
        if is_usable(&two.from).await {
            // It went on being used: a session that had been copied was ended there.
            two.from.end_grant(&grant(1), MINUTE).await.unwrap();
            two.from.end_grant(&grant(2), Duration::ZERO).await.unwrap();
        }
        let ended_since = is_usable(&two.from).await;
        two.move_over(2).await.unwrap();
        assert!(!is_usable(&two.from).await, "after {steps} steps");
        assert!(is_usable(&two.to).await, "after {steps} steps");
        for index in 3..=60 {
            assert!(is_live(&two.to, index).await, "{index} after {steps} steps");
        }
        for index in [1, 2] {
            assert_eq!(is_live(&two.to, index).await, !ended_since);
        }
        if !killed {
            break;
        }
    }
    assert!(interruptions > 8, "{interruptions}");
}

#[tokio::test]
async fn a_store_with_sessions_of_its_own_is_not_filled_unasked() {
    let two = Two::new().await;
    two.to
        .open_grant(&grant(99), vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    let refused = two.move_over(1).await.unwrap_err();
    assert!(matches!(refused, NotMoved::Occupied { .. }), "{refused}");
    assert!(is_usable(&two.from).await && is_usable(&two.to).await);
    assert!(is_live(&two.to, 99).await);
    move_over(&two.from, &two.to, 1, true).await.unwrap();
    assert!(!is_live(&two.to, 99).await);
    assert!(is_live(&two.to, 3).await);
}

#[tokio::test]
async fn the_way_back_forgets_what_the_first_store_held() {
    let two = Two::new().await;
    two.move_over(1).await.unwrap();
    // Ended at the second; the first still has it.
    two.to.end_grant(&grant(1), Duration::ZERO).await.unwrap();
    move_over(&two.to, &two.from, 2, false).await.unwrap();
    assert!(!is_live(&two.from, 1).await);
    assert!(is_live(&two.from, 2).await);
    assert!(is_usable(&two.from).await && !is_usable(&two.to).await);
}

#[tokio::test]
async fn a_store_that_was_moved_is_moved_nowhere_else() {
    let two = Two::new().await;
    two.move_over(1).await.unwrap();
    let third = Fixture::new();
    let refused = move_over(&two.from, &third.open(), 2, true)
        .await
        .unwrap_err();
    assert!(matches!(refused, NotMoved::Elsewhere { .. }), "{refused}");
    // Asked for the same again, it is done already, and the target goes on.
    two.to.end_grant(&grant(1), MINUTE).await.unwrap();
    two.move_over(2).await.unwrap();
    assert!(!is_live(&two.to, 1).await && is_live(&two.to, 2).await);
}

#[tokio::test]
async fn half_a_store_is_not_moved_on_and_can_be_given_up() {
    let two = Two::new().await;
    let options = TransferOptions {
        id: MoveId([1; 16]),
        now: Timestamp::from_unix(1),
        overwrite: false,
    };
    let Begun::Ready(transfer) = Transfer::begin(&two.from, &two.to, options).await.unwrap() else {
        panic!("it was not moved before");
    };
    transfer.copy(|_| {}).await.unwrap();
    let third = Fixture::new();
    let refused = move_over(&two.to, &third.open(), 2, false)
        .await
        .unwrap_err();
    assert!(matches!(refused, NotMoved::Incomplete { .. }), "{refused}");

    // Another begins meanwhile: the first may not say that the target is whole.
    let other = TransferOptions {
        id: MoveId([3; 16]),
        ..options
    };
    Transfer::begin(&two.from, &two.to, other).await.unwrap();
    let refused = transfer.mark_source().await.unwrap_err();
    assert!(matches!(refused, NotMoved::Overtaken { .. }), "{refused}");

    let mark = abandon(&two.to).await.unwrap().unwrap();
    assert_eq!(mark.state, MoveState::Arriving);
    assert!(is_usable(&two.to).await && is_usable(&two.from).await);
    assert!(!is_live(&two.to, 1).await && is_live(&two.from, 1).await);
}

#[tokio::test]
async fn damage_is_named_and_the_rest_moves() {
    let fixture = Fixture::new();
    damage::fill(&fixture).await;
    damage(&fixture.path(), 9);
    let counted = Transfer::count(&fixture.open(), |_| {}).await.unwrap();
    assert_eq!(counted.total(), 119);
    let named: Vec<_> = counted
        .unreadable
        .iter()
        .map(|unreadable| (unreadable.kind.as_str(), unreadable.name.clone()))
        .collect();
    assert_eq!(named, [("grant", grant(9).to_string())]);
}

#[tokio::test]
async fn expired_records_are_not_moved() {
    let fixture = Fixture::new();
    damage::fill(&fixture).await;
    let store = fixture.open();
    store.mark_once(&[1; 32], MINUTE * 2).await.unwrap();
    fixture.clock.advance(61);
    assert_eq!(Transfer::count(&store, |_| {}).await.unwrap().total(), 1);
}
