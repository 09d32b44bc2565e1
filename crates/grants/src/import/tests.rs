use std::{fs, sync::Arc};

use domain::{redirect_uri::AllowedRedirectHosts, scope::ScopeSet, time::Clock as _};
use serde_json::json;
use store::predecessor::OldKind;

use super::*;
use crate::{
    AuthenticateError, InspectError, PredecessorSource, RevokeError, TokenError,
    testing::{
        Answer, Connected, DAY, HOUR, MINUTE, PROVIDER, World, client, pace,
        predecessor::{OLD_ACCESS, OLD_CLIENT, OLD_GRANT, OLD_REFRESH, OldRecords},
        resource, rotation, settings,
    },
};

const ANOTHER_ACCESS: &str = "bAccessTokenOfThePredecessor-_0123456789abc";
const ANOTHER_REFRESH: &str = "sRefreshTokenOfThePredecessor-_0123456789ab";

/// A proxy that begins where the predecessor ended.
struct Succession {
    world: World,
    old: Arc<OldRecords>,
}

impl Succession {
    fn begin() -> Self {
        Self::with(World::new())
    }

    fn with(world: World) -> Self {
        // The provider knows the tokens that stand on the client's record.
        world.provider.first_tokens(None);
        let succession = Self {
            world,
            old: Arc::new(OldRecords::of_one_user()),
        };
        succession.look_there();
        succession
    }

    fn look_there(&self) {
        self.world.grants.take_over_from(PredecessorSource {
            records: self.old.clone(),
            resources: vec![(resource(), PROVIDER.to_owned())],
            scopes: ScopeSet::parse("openid offline_access").unwrap(),
            redirect_hosts: AllowedRedirectHosts::default(),
        });
    }

    /// The next process.
    async fn restart(mut self) -> Self {
        self.world = self.world.restart().await;
        self.look_there();
        self
    }

    /// The next process, which knows nothing of the predecessor.
    async fn leave_behind(mut self) -> Self {
        self.world = self.world.restart().await;
        self
    }

    async fn take_over(&self, kind: TokenKind, token: &str) -> Result<TakenOver, TakeOverError> {
        let session = self.world.grants.look_at_old(kind, token).await?;
        self.world.grants.take_over(&session).await
    }

    async fn rotate(&self, token: &str, from: u8) -> Result<Connected, TokenError> {
        let client = client(OLD_CLIENT);
        let rotated = self
            .world
            .grants
            .rotate(rotation(token, &client, from))
            .await;
        rotated.map(Connected::of)
    }

    /// A call that must succeed, and the identity token that it goes out with.
    async fn calls_with(&self, access: &str) -> String {
        let session = self.world.used(access, 1).await;
        let token = session.identity_token().await.unwrap();
        token.access_token.expose().to_owned()
    }
}

#[tokio::test]
async fn an_old_access_token_works_until_its_end_with_a_renewed_identity() {
    let succession = Succession::begin();
    let world = &succession.world;
    for _ in 0..3 {
        assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
    }
    assert_eq!(world.provider.calls(), 1);
    let session = world.call(OLD_ACCESS, 1).await.unwrap();
    assert_eq!(session.client().as_str(), OLD_CLIENT);
    assert_eq!(session.subject().as_str(), "user-1");
    let identity = session.identity_token().await.unwrap();
    assert_eq!(&*identity.scope, "profile email");
    world.clock.advance(HOUR - 1);
    assert!(world.call(OLD_ACCESS, 1).await.is_ok());
    world.clock.advance(1);
    let over = world.call(OLD_ACCESS, 1).await.unwrap_err();
    assert!(matches!(over, AuthenticateError::Unknown), "{over}");
}

#[tokio::test]
async fn calls_in_steady_state_look_nothing_up() {
    let succession = Succession::begin();
    succession.calls_with(OLD_ACCESS).await;
    let before = (succession.world.store.commands(), succession.old.reads());
    for _ in 0..100 {
        succession.calls_with(OLD_ACCESS).await;
    }
    let after = (succession.world.store.commands(), succession.old.reads());
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_old_refresh_token_leads_into_our_own_line() {
    let succession = Succession::begin();
    let world = &succession.world;
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    assert!(first.refresh.starts_with("mprt1_"), "one of ours");
    assert_eq!(first.issued.scopes.to_string(), "openid offline_access");
    assert_eq!(
        succession.calls_with(&first.access).await,
        "identity-access-1"
    );
    let second = succession.rotate(&first.refresh, 1).await.unwrap();
    assert_eq!(
        succession.calls_with(&second.access).await,
        "identity-access-1"
    );
    // The session goes on for as long as it may from its login, two days ago.
    let mut last = second;
    for _ in 0..8 {
        world.clock.advance(10 * DAY);
        last = succession.rotate(&last.refresh, 1).await.unwrap();
    }
    world.clock.advance(8 * DAY);
    let over = succession.rotate(&last.refresh, 1).await.unwrap_err();
    assert!(
        matches!(over, TokenError::Ended | TokenError::Unknown),
        "{over}"
    );
}

#[tokio::test]
async fn a_replaced_old_token_is_honoured_as_our_own_are() {
    let succession = Succession::begin();
    let world = &succession.world;
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    // The answer was lost: at any age.
    world.clock.advance(3 * HOUR);
    let again = succession.rotate(OLD_REFRESH, 9).await.unwrap();
    assert_eq!(again.refresh, first.refresh);
    let second = succession.rotate(&first.refresh, 1).await.unwrap();
    world.used(&second.access, 1).await;
    // A sibling, soon and on the same machine.
    let sibling = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    assert_eq!(sibling.refresh, second.refresh);
    world.clock.advance(3 * HOUR);
    let sibling = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    assert_eq!(sibling.refresh, second.refresh);
    // A stranger, late: it was stolen.
    let theft = succession.rotate(OLD_REFRESH, 7).await.unwrap_err();
    assert!(matches!(theft, TokenError::RefreshReplayed), "{theft}");
    let ended = succession.rotate(&second.refresh, 1).await.unwrap_err();
    assert!(matches!(ended, TokenError::Ended), "{ended}");
}

#[tokio::test]
async fn a_client_that_authenticates_gets_one_refresh_token_for_good() {
    let succession = Succession::begin();
    let client = client(OLD_CLIENT);
    let mut line = Vec::new();
    let mut token = OLD_REFRESH.to_owned();
    for _ in 0..3 {
        let mut asked = rotation(&token, &client, 1);
        asked.is_confidential = true;
        let rotated = succession.world.grants.rotate(asked).await.unwrap();
        token = Connected::of(rotated).refresh;
        line.push(token.clone());
    }
    line.dedup();
    assert_eq!(line.len(), 1);
    assert!(line[0].starts_with("mprt1_"));
}

/// Two devices of a user may have shared a client; the provider's refresh token is but one.
#[tokio::test]
async fn all_tokens_of_a_client_s_user_share_one_identity_session() {
    let succession = Succession::begin();
    let world = &succession.world;
    succession
        .old
        .another_token(OldKind::RefreshToken, ANOTHER_REFRESH);
    succession
        .old
        .another_token(OldKind::AccessToken, ANOTHER_ACCESS);
    for access in [OLD_ACCESS, ANOTHER_ACCESS] {
        assert_eq!(succession.calls_with(access).await, "identity-access-1");
    }
    assert_eq!(world.provider.calls(), 1);
    let grants = [
        world.call(OLD_ACCESS, 1).await.unwrap().grant(),
        world.call(ANOTHER_ACCESS, 1).await.unwrap().grant(),
    ];
    assert_eq!(grants[0], grants[1]);
    // The one goes on; the other sleeps for days and wakes up elsewhere. It was not replaced.
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    world.used(&first.access, 1).await;
    let second = succession.rotate(&first.refresh, 1).await.unwrap();
    world.used(&second.access, 1).await;
    world.clock.advance(5 * DAY);
    let woken = succession.rotate(ANOTHER_REFRESH, 7).await.unwrap();
    assert_eq!(woken.refresh, second.refresh);
    // Once it has been answered it is one of the line.
    world.used(&woken.access, 7).await;
    world.clock.advance(5 * DAY);
    let stolen = succession.rotate(ANOTHER_REFRESH, 8).await.unwrap_err();
    assert!(matches!(stolen, TokenError::RefreshReplayed), "{stolen}");
}

#[tokio::test]
async fn sixteen_first_uses_at_once_begin_one_session() {
    let succession = Arc::new(Succession::begin());
    let users: Vec<_> = (0..16)
        .map(|index| {
            let succession = Arc::clone(&succession);
            tokio::spawn(async move {
                if index % 2 == 0 {
                    let rotated = succession.rotate(OLD_REFRESH, 1).await.unwrap();
                    rotated.issued.grant
                } else {
                    succession.world.call(OLD_ACCESS, 1).await.unwrap().grant()
                }
            })
        })
        .collect();
    let mut grants = Vec::new();
    for user in users {
        grants.push(user.await.unwrap());
    }
    grants.dedup();
    assert_eq!(grants.len(), 1);
}

#[tokio::test]
async fn the_session_of_another_user_of_the_client_stays_behind() {
    let succession = Succession::begin();
    let other = json!({ "accountId": "user-2" });
    let (grant, access) = (OldKind::Grant, OldKind::AccessToken);
    succession.old.put(
        grant,
        "grant-2",
        &crate::testing::predecessor::grant_record(),
    );
    succession.old.change(grant, "grant-2", &other);
    succession.old.another_token(access, ANOTHER_ACCESS);
    succession.old.change(access, ANOTHER_ACCESS, &other);
    succession
        .old
        .change(access, ANOTHER_ACCESS, &json!({ "grantId": "grant-2" }));
    let refused = succession.world.call(ANOTHER_ACCESS, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
    let reason = succession
        .take_over(TokenKind::Access, ANOTHER_ACCESS)
        .await;
    assert!(
        matches!(reason, Err(TakeOverError::Unfit(Unfit::OtherUser))),
        "{reason:?}"
    );
    assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
}

#[tokio::test]
async fn what_was_taken_over_needs_the_predecessor_no_more() {
    let succession = Succession::begin();
    let access = succession.take_over(TokenKind::Access, OLD_ACCESS).await;
    assert_eq!(access.unwrap(), TakenOver::WithItsSession);
    let refresh = succession.take_over(TokenKind::Refresh, OLD_REFRESH).await;
    assert_eq!(refresh.unwrap(), TakenOver::IntoItsSession);
    let succession = succession.leave_behind().await;
    assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    assert_eq!(
        succession.calls_with(&first.access).await,
        "identity-access-1"
    );
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let succession = Succession::begin();
    for kind in [
        (TokenKind::Access, OLD_ACCESS),
        (TokenKind::Refresh, OLD_REFRESH),
    ] {
        succession.take_over(kind.0, kind.1).await.unwrap();
    }
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    for kind in [
        (TokenKind::Access, OLD_ACCESS),
        (TokenKind::Refresh, OLD_REFRESH),
    ] {
        let again = succession.take_over(kind.0, kind.1).await.unwrap();
        assert_eq!(again, TakenOver::Before);
    }
    let succession = succession.restart().await;
    let second = succession.rotate(&first.refresh, 1).await.unwrap();
    assert_eq!(second.issued.grant, first.issued.grant);
    assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
}

#[tokio::test]
async fn broken_off_between_any_two_steps_it_is_done_again() {
    let mut steps = 0;
    loop {
        let succession = Succession::begin();
        succession.world.store.break_off_after(steps);
        let done = succession.take_over(TokenKind::Refresh, OLD_REFRESH).await;
        succession.world.store.break_off_after(usize::MAX);
        // The process is killed, and the next one begins anew with another token.
        let succession = succession.restart().await;
        let access = succession.take_over(TokenKind::Access, OLD_ACCESS).await;
        access.unwrap();
        let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
        let grant = succession.world.call(OLD_ACCESS, 1).await.unwrap().grant();
        assert_eq!(first.issued.grant, grant, "after {steps} steps");
        assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
        if done.is_ok() {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 6, "{steps}");
}

#[tokio::test]
async fn what_has_ended_here_does_not_come_back() {
    for way in ["revoked", "refused"] {
        let succession = Succession::begin();
        let world = &succession.world;
        if way == "revoked" {
            let revoked: Result<(), RevokeError> =
                world.grants.revoke(OLD_ACCESS, &client(OLD_CLIENT)).await;
            revoked.unwrap();
        } else {
            world.provider.will(&[Answer::Refused]);
            let session = world.call(OLD_ACCESS, 1).await.unwrap();
            assert!(session.identity_token().await.is_err());
        }
        // Later than it is remembered that the grant was ended.
        for days in [0, 2, 10] {
            world.clock.advance(days * DAY);
            for _ in 0..2 {
                let refused = succession.rotate(OLD_REFRESH, 1).await.unwrap_err();
                assert!(
                    matches!(refused, TokenError::Unknown | TokenError::Ended),
                    "{way}, {days}: {refused}"
                );
                world.clock.advance(MINUTE);
            }
            let again = succession.take_over(TokenKind::Refresh, OLD_REFRESH).await;
            let is_over = matches!(
                again,
                Err(TakeOverError::Unfit(Unfit::Ended | Unfit::NoGrant))
            );
            assert!(is_over, "{way}, {days}: {again:?}");
        }
    }
}

#[tokio::test]
async fn only_its_own_client_revokes_or_refreshes_an_old_token() {
    let succession = Succession::begin();
    let world = &succession.world;
    let stranger = client("another-client");
    world.grants.revoke(OLD_REFRESH, &stranger).await.unwrap();
    let refused = world
        .grants
        .rotate(rotation(OLD_REFRESH, &stranger, 1))
        .await;
    assert!(
        matches!(refused, Err(TokenError::WrongClient)),
        "{refused:?}"
    );
    let session = world.call(OLD_ACCESS, 1).await.unwrap();
    let owner = client(OLD_CLIENT);
    world.grants.revoke(OLD_REFRESH, &owner).await.unwrap();
    session.ended().await;
    let ended = world.call(OLD_ACCESS, 1).await.unwrap_err();
    assert!(matches!(ended, AuthenticateError::Ended), "{ended}");
}

#[tokio::test]
async fn an_old_token_can_be_looked_at_and_is_not_used_by_it() {
    let succession = Succession::begin();
    let world = &succession.world;
    for (token, kind, life) in [
        (OLD_ACCESS, TokenKind::Access, HOUR),
        (OLD_REFRESH, TokenKind::Refresh, 14 * DAY),
    ] {
        let inspection = world.grants.inspect(token).await.unwrap();
        assert_eq!(inspection.kind, kind);
        assert_eq!(inspection.client().as_str(), OLD_CLIENT);
        assert_eq!(inspection.subject().as_str(), "user-1");
        let left = inspection.expires_at.since(world.clock.now());
        assert_eq!(left.as_secs(), life);
    }
    assert_eq!(world.provider.calls(), 0);
    let junk = world.grants.inspect(ANOTHER_ACCESS).await.unwrap_err();
    assert!(matches!(junk, InspectError::Unknown), "{junk}");
    let first = succession.rotate(OLD_REFRESH, 1).await.unwrap();
    world.used(&first.access, 1).await;
    world.clock.advance(3 * HOUR);
    let replaced = world.grants.inspect(OLD_REFRESH).await.unwrap_err();
    assert!(matches!(replaced, InspectError::Replaced), "{replaced}");
}

#[tokio::test]
async fn junk_of_the_old_form_costs_little() {
    // Where nobody was taken over and there is no predecessor, nothing at all after the first.
    let world = World::new();
    let junk = |index: usize| format!("{index:043}");
    for index in 0..50 {
        let refused = world.call(&junk(index), 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
    }
    assert_eq!(world.store.commands(), 1);
    // What has not even the form is refused by it.
    for text in ["", "short", &"x".repeat(44), &"+".repeat(43)] {
        let refused = world.call(text, 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Malformed), "{text}");
    }
    let succession = Succession::begin();
    succession.calls_with(OLD_ACCESS).await;
    let before = (succession.world.store.commands(), succession.old.reads());
    for _ in 0..10 {
        let refused = succession.world.call(ANOTHER_ACCESS, 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
    }
    let after = (succession.world.store.commands(), succession.old.reads());
    assert_eq!(
        after,
        (before.0 + 1, before.1 + 1),
        "asked once in five seconds"
    );
    // A flood is put off, which is no word on anybody's token.
    let mut put_off = 0;
    for index in 0..1500 {
        let refused = succession.world.call(&junk(index), 1).await.unwrap_err();
        put_off += usize::from(matches!(refused, AuthenticateError::Unavailable(_)));
    }
    assert!(put_off > 0);
}

#[tokio::test]
async fn while_the_store_is_away_no_old_token_is_called_unknown() {
    let succession = Succession::begin();
    let world = &succession.world;
    world.store.set_away(true);
    let access = world.call(OLD_ACCESS, 1).await.unwrap_err();
    assert!(
        matches!(access, AuthenticateError::Unavailable(_)),
        "{access}"
    );
    let refresh = succession.rotate(OLD_REFRESH, 1).await.unwrap_err();
    assert!(matches!(refresh, TokenError::Unavailable(_)), "{refresh}");
    world.store.set_away(false);
    assert_eq!(succession.calls_with(OLD_ACCESS).await, "identity-access-1");
}

#[tokio::test]
async fn a_stolen_store_says_nothing_of_what_was_taken_over() {
    let succession = Succession::begin();
    for kind in [
        (TokenKind::Access, OLD_ACCESS),
        (TokenKind::Refresh, OLD_REFRESH),
    ] {
        succession.take_over(kind.0, kind.1).await.unwrap();
    }
    let path = succession.world.store_path();
    succession.world.settle().await;
    succession.world.store.close();
    let file = fs::read(path).unwrap();
    for secret in [
        OLD_ACCESS,
        OLD_REFRESH,
        OLD_GRANT,
        "identity-access-0",
        "identity-refresh-0",
    ] {
        let found = file
            .windows(secret.len())
            .any(|bytes| bytes == secret.as_bytes());
        assert!(!found, "{secret} stands in the store");
    }
    let client = file
        .windows(OLD_CLIENT.len())
        .any(|bytes| bytes == OLD_CLIENT.as_bytes());
    assert!(client, "what is looked for would be found");
}

/// As after a rehearsal: what was taken over there is nothing here, and stands in nobody's way.
#[tokio::test]
async fn under_another_base_url_a_session_is_taken_over_anew() {
    let succession = Succession::begin();
    let (access, refresh) = (TokenKind::Access, TokenKind::Refresh);
    succession.take_over(access, OLD_ACCESS).await.unwrap();
    let rehearsed = succession.world.call(OLD_ACCESS, 1).await.unwrap().grant();
    let mut moved = settings();
    moved.issuer = "https://moved.example".to_owned();
    let provider = succession.world.provider.clone();
    let old = succession.old;
    let world = succession.world.restart_with(moved, vec![provider]).await;
    let moved = Succession { world, old };
    moved.look_there();
    let anew = moved.take_over(refresh, OLD_REFRESH).await.unwrap();
    assert_eq!(anew, TakenOver::WithItsSession);
    assert_eq!(moved.calls_with(OLD_ACCESS).await, "identity-access-1");
    let grant = moved.world.call(OLD_ACCESS, 1).await.unwrap().grant();
    assert_ne!(grant, rehearsed);
}

#[tokio::test]
async fn a_token_with_fewer_scopes_gains_none_by_its_session() {
    let succession = Succession::begin();
    succession
        .take_over(TokenKind::Refresh, OLD_REFRESH)
        .await
        .unwrap();
    let fewer = json!({ "scope": "openid" });
    succession
        .old
        .change(OldKind::AccessToken, OLD_ACCESS, &fewer);
    let reason = succession.take_over(TokenKind::Access, OLD_ACCESS).await;
    assert!(
        matches!(reason, Err(TakeOverError::Unfit(Unfit::OtherScopes))),
        "{reason:?}"
    );
    let refused = succession.world.call(OLD_ACCESS, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
}

#[tokio::test]
async fn in_strict_mode_an_old_token_counts_once() {
    let mut strict = settings();
    strict.refresh_window = Duration::ZERO;
    let succession = Succession::with(World::with(strict, pace()));
    succession.rotate(OLD_REFRESH, 1).await.unwrap();
    let replayed = succession.rotate(OLD_REFRESH, 1).await.unwrap_err();
    assert!(
        matches!(replayed, TokenError::RefreshReplayed),
        "{replayed}"
    );
    let ended = succession.world.call(OLD_ACCESS, 1).await.unwrap_err();
    assert!(
        matches!(ended, AuthenticateError::Ended | AuthenticateError::Unknown),
        "{ended}"
    );
}
