use proptest::prelude::*;
use serde_json::json;

use super::*;

fn members(value: &str) -> Map<String, Value> {
    json!({ "n": value }).as_object().unwrap().clone()
}

proptest! {
    /// Generators cut zeros off or put them in front: the number is the same.
    #[test]
    fn a_number_keeps_its_value_in_any_length(
        digits in prop::collection::vec(any::<u8>(), 0..40),
        zeros in 0_usize..4,
        is_padded: bool,
        length in 0_usize..48,
    ) {
        let written = [vec![0; zeros], digits.clone()].concat();
        let mut text = encode(&written);
        if is_padded {
            text.push_str(&"=".repeat((4 - text.len() % 4) % 4));
        }
        let jwk = members(&text);
        prop_assert_eq!(bytes(&jwk, "n").map(|bytes| bytes.to_vec()), Some(written));
        let significant = without_leading_zeros(&digits);
        prop_assert_ne!(significant.first(), Some(&0));
        match sized(&jwk, "n", length) {
            Some(read) => {
                prop_assert_eq!(read.len(), length);
                prop_assert_eq!(without_leading_zeros(&read), significant);
            }
            None => prop_assert!(significant.len() > length),
        }
    }

    #[test]
    fn what_is_not_base64url_is_no_number(text in "[A-Za-z0-9_-]{0,10}[^A-Za-z0-9_=-][A-Za-z0-9_-]{0,10}") {
        prop_assert_eq!(bytes(&members(&text), "n"), None);
    }

    /// RFC 7638: the same for each way to write the same key, another one for another key.
    #[test]
    fn a_thumbprint_is_of_the_key_alone(x: [u8; 32], y: [u8; 32], zeros in 0_usize..3) {
        let written = |x: &[u8]| {
            let x = encode(&[vec![0; zeros], x.to_vec()].concat());
            let jwk = json!({ "x": x, "y": encode(&y), "kid": "any", "use": "sig" });
            PublicHalf::read(jwk.as_object().unwrap(), KeyKind::P256).unwrap()
        };
        let mut other = x;
        other[31] ^= 1;
        let canonical = json!({ "x": encode(&x), "y": encode(&y) });
        let canonical = PublicHalf::read(canonical.as_object().unwrap(), KeyKind::P256).unwrap();
        prop_assert_eq!(written(&x).thumbprint(), canonical.thumbprint());
        prop_assert_ne!(written(&other).thumbprint(), canonical.thumbprint());
    }
}
