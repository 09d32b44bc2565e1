use proptest::prelude::*;

use super::*;

/// An element with its length in the shortest form.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

fn pkcs8(numbers: &[Vec<u8>]) -> Vec<u8> {
    let version = der(INTEGER, &[0]);
    let mut body = version.clone();
    for number in numbers {
        body.extend(der(INTEGER, number));
    }
    let key = der(OCTET_STRING, &der(SEQUENCE, &body));
    let algorithm = der(SEQUENCE, &[5, 0]);
    der(SEQUENCE, &[version, algorithm, key].concat())
}

proptest! {
    #[test]
    fn the_numbers_are_read_back_however_long(
        numbers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 8),
    ) {
        let document = pkcs8(&numbers);
        let read = rsa_numbers(&document).unwrap();
        prop_assert_eq!(read.map(<[u8]>::to_vec).to_vec(), numbers);
    }

    #[test]
    fn a_document_that_was_cut_is_none(
        numbers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 8),
        cut in any::<prop::sample::Index>(),
    ) {
        let document = pkcs8(&numbers);
        prop_assert_eq!(rsa_numbers(&document[..cut.index(document.len())]), None);
    }

    #[test]
    fn nothing_is_read_that_does_not_stand_there(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(numbers) = rsa_numbers(&bytes) {
            let inside = numbers.iter().map(|number| number.len()).sum::<usize>();
            prop_assert!(inside < bytes.len());
        }
    }
}
