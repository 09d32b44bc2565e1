//! Just enough DER to take the numbers out of an RSA private key that aws-lc has made.

#[cfg(test)]
pub(crate) mod tests;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The numbers of an `RSAPrivateKey` (RFC 8017 §A.1.2) in a PKCS#8 document (RFC 5208 §5), in their
/// order: n, e, d, p, q, dP, dQ, qInv.
pub(crate) fn rsa_numbers(pkcs8: &[u8]) -> Option<[&[u8]; 8]> {
    let (document, _) = element(pkcs8, SEQUENCE)?;
    let (_version, rest) = element(document, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (key, _) = element(rest, OCTET_STRING)?;
    let (numbers, _) = element(key, SEQUENCE)?;
    let (_version, mut rest) = element(numbers, INTEGER)?;
    let mut found: [&[u8]; 8] = [&[]; 8];
    for number in &mut found {
        (*number, rest) = element(rest, INTEGER)?;
    }
    Some(found)
}

/// The content of the element at the start of `input`, and what comes after it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = input.split_first()?;
    if *first != tag {
        return None;
    }
    let (short, rest) = rest.split_first()?;
    if *short < 0x80 {
        return rest.split_at_checked(usize::from(*short));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(*short & 0x7f))?;
    if digits.len() > 4 {
        return None;
    }
    let length = digits
        .iter()
        .fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
    rest.split_at_checked(length)
}
