//! The real clock and the real randomness, behind the seams that the rules know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{
    random::Random,
    time::{Clock, Timestamp},
};

/// The system's clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

/// The system's random source.
#[derive(Debug)]
pub(crate) struct SystemRandom;

impl SystemClock {
    /// The time since the Unix epoch.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the present enters"
    )]
    pub(crate) fn since_epoch() -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(Self::since_epoch().as_secs())
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness no secret can be made; to go on would be to hand out guessable ones.
        assert!(
            aws_lc_rs::rand::fill(buffer).is_ok(),
            "the system gives no random bytes"
        );
    }
}
