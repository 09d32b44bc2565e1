use domain::secret::SecretBytes;
use proptest::prelude::*;

use super::*;
use crate::testing::{CountedRandom, client, resource};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn facts() -> Facts {
    Facts {
        client: client("client-a"),
        subject: Subject::parse("user-1").unwrap(),
        issuer: "https://identity.example".to_owned(),
        resource: resource(),
        scopes: ScopeSet::parse("openid").unwrap(),
        auth_time: at(5),
    }
}

prop_compose! {
    fn any_pads()(number in any::<u16>(), since in any::<u64>(), bytes in any::<[[u8; 32]; 3]>(), moved in any::<bool>()) -> Pads {
        let [previous, present, next] = bytes.map(|bytes| Pad(SecretBytes::new(bytes)));
        Pads { number, since: at(since), previous: moved.then_some(previous), present, next }
    }
}

fn any_code() -> impl Strategy<Value = CodeState> {
    let proof = any::<([u8; 32], [u8; 32])>().prop_map(|(challenge, redirect_uri)| CodeProof {
        challenge: CodeChallenge::from_digest(challenge),
        redirect_uri,
    });
    prop_oneof![
        (any::<[u8; 32]>(), proof.clone(), any::<Option<String>>()).prop_map(
            |(pad, proof, nonce)| CodeState::Open {
                pad: Pad(SecretBytes::new(pad)),
                proof,
                nonce,
            }
        ),
        (any::<u64>(), proof).prop_map(|(redeemed, proof)| CodeState::Redeemed {
            at: at(redeemed),
            proof,
        }),
        Just(CodeState::Dropped),
    ]
}

prop_compose! {
    fn any_line()(
        times in any::<[u64; 3]>(),
        check in any::<[u8; 16]>(),
        generations in any::<[u32; 2]>(),
        refresh_pads in any_pads(),
        access_pads in any_pads(),
        issued in prop::collection::vec(any::<u64>().prop_map(at), 0..16),
        addresses in prop::collection::vec(any::<([u8; 16], u32)>(), 0..8),
        retired in prop::collection::vec(any::<[u8; 16]>(), 0..16),
        code in any_code(),
    ) -> Line {
        let [opened, absolute_end, ends_at] = times.map(at);
        let [generation, newest_seen] = generations;
        let addresses = addresses
            .into_iter()
            .map(|(address, generation)| AddressNote { address, generation })
            .collect();
        Line {
            opened, absolute_end, ends_at, check, generation, newest_seen, refresh_pads,
            access_pads, issued, addresses, retired, code,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(line in any_line()) {
        let record = Record::decode(&encode(&line, &facts())).unwrap();
        prop_assert_eq!(record.line, line);
        prop_assert_eq!(record.facts, facts());
    }

    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(Record::decode(&bytes));
        let mut ours = vec![FORMAT];
        ours.extend(bytes);
        drop(Record::decode(&ours));
    }

    #[test]
    fn a_record_that_was_cut_is_not_read(line in any_line(), cut in 1_usize..200) {
        let bytes = encode(&line, &facts());
        let kept = bytes.len().saturating_sub(cut);
        prop_assert!(Record::decode(&bytes[..kept]).is_err());
    }
}

#[test]
fn another_format_is_not_read() {
    let random = CountedRandom::default();
    let line = Line {
        opened: at(1),
        absolute_end: at(2),
        ends_at: at(2),
        check: [0; 16],
        generation: 0,
        newest_seen: 0,
        refresh_pads: Pads::new(&random, at(1)),
        access_pads: Pads::new(&random, at(1)),
        issued: Vec::new(),
        addresses: Vec::new(),
        retired: Vec::new(),
        code: CodeState::Dropped,
    };
    let mut bytes = encode(&line, &facts());
    assert!(bytes.len() < 500, "{} bytes", bytes.len());
    bytes[0] = FORMAT + 1;
    assert_eq!(Record::decode(&bytes).unwrap_err(), UnreadableRecord);
}

#[test]
fn pads_are_kept_one_move_back_and_one_ahead() {
    let random = CountedRandom::default();
    let mut pads = Pads::new(&random, at(1));
    let (first, second) = (pads.present.clone(), pads.next.clone());
    assert_eq!(pads.numbered(0), Some(&first.0));
    assert_eq!(pads.numbered(1), Some(&second.0));
    assert_eq!(pads.numbered(2), None);
    assert_eq!(pads.numbered(u16::MAX), None);
    pads.advance(&random, at(9));
    assert_eq!(pads.since, at(9));
    assert_eq!(pads.numbered(0), Some(&first.0));
    assert_eq!(pads.numbered(1), Some(&second.0));
    assert!(pads.numbered(2).is_some());
    pads.advance(&random, at(9));
    assert_eq!(pads.numbered(0), None);
    pads.number = u16::MAX;
    pads.advance(&random, at(10));
    assert_eq!((pads.number, pads.since), (u16::MAX, at(9)));
}
