use proptest::prelude::*;

use super::*;
use crate::testing::{client, resource};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

prop_compose! {
    fn any_record()(
        public_key: [u8; 32],
        user_code: [u8; 16],
        asked: u64,
        origin in prop::collection::vec(any::<u8>(), 0..60),
        interval in 0_u64..2000,
        last: Option<u64>,
        state in prop_oneof![
            Just(DeviceState::Waiting),
            Just(DeviceState::Denied),
            Just(DeviceState::Used),
            prop::collection::vec(any::<u8>(), 0..100).prop_map(|root| DeviceState::Approved { root }),
        ],
    ) -> DeviceRecord {
        DeviceRecord {
            public_key,
            user_code,
            client: client("client-a"),
            resource: resource(),
            scopes: ScopeSet::parse("openid").unwrap(),
            asked_at: at(asked),
            origin,
            pace: Pace { interval: Duration::from_secs(interval), last: last.map(at) },
            state,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(record in any_record()) {
        prop_assert_eq!(DeviceRecord::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn a_record_that_was_cut_or_is_of_another_format_is_not_read(
        record in any_record(),
        cut in any::<prop::sample::Index>(),
        format in 2_u8..,
    ) {
        let mut bytes = record.encode();
        prop_assert!(DeviceRecord::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes[0] = format;
        prop_assert!(DeviceRecord::decode(&bytes).is_err());
    }

    /// RFC 8628 §3.5: who keeps the interval is never told to slow down, who does not always is.
    #[test]
    fn only_who_asks_too_often_is_told_to_slow_down(waits in prop::collection::vec(0_u64..30, 1..12)) {
        let mut pace = Pace::new();
        let mut now = 1_000;
        prop_assert_eq!(pace.poll(at(now)).0, Paced::Pending);
        for wait in waits {
            now += wait;
            let needed = pace.interval;
            let is_early = Duration::from_secs(wait) + TOLERANCE < needed;
            let (paced, _) = pace.poll(at(now));
            prop_assert_eq!(paced == Paced::SlowDown, is_early);
            prop_assert!(pace.interval >= needed && pace.interval <= DEVICE_LIFE);
        }
    }
}
