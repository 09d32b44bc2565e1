use domain::random::Random;

use super::*;

#[derive(Debug)]
struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let value = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        buffer.fill(value);
    }
}

fn key(purpose: &str, issuer: &str) -> SealKey {
    SealKey::derive(&[7; 32], &[1; 16], purpose, issuer)
}

#[test]
fn opens_only_with_the_same_key_and_associated_data() {
    let random = Counting(0.into());
    let sealed = key("seal", "https://a").seal(&[b"x", b"yz"], b"secret", &random);
    let open = |key: SealKey, parts: &[&[u8]]| key.open(parts, &sealed).map(|plain| plain.to_vec());
    assert_eq!(
        open(key("seal", "https://a"), &[b"x", b"yz"]),
        Some(b"secret".to_vec())
    );
    assert_eq!(
        open(key("seal", "https://b"), &[b"x", b"yz"]),
        None,
        "another issuer"
    );
    assert_eq!(
        open(key("check", "https://a"), &[b"x", b"yz"]),
        None,
        "another purpose"
    );
    assert_eq!(
        open(key("seal", "https://a"), &[b"xy", b"z"]),
        None,
        "parts cut elsewhere"
    );
}

#[test]
fn refuses_every_changed_byte_and_every_cut() {
    let random = Counting(9.into());
    let key = key("seal", "https://a");
    let sealed = key.seal(&[], b"secret", &random);
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        assert!(key.open(&[], &changed).is_none(), "byte {position}");
        assert!(
            key.open(&[], &sealed[..position]).is_none(),
            "cut at {position}"
        );
    }
}

#[test]
fn derives_as_rfc_5869_says() {
    // RFC 5869 appendix A.1 has its own info; here the same inputs must give the same key and
    // different ones must not.
    let one: SecretBytes<32> = derive(b"secret", b"salt", "seal", "https://a");
    assert_eq!(one, derive(b"secret", b"salt", "seal", "https://a"));
    assert_ne!(one, derive(b"secret", b"tlas", "seal", "https://a"));
    assert_ne!(one, derive(b"terces", b"salt", "seal", "https://a"));
}
