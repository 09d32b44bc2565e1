use proptest::prelude::*;

use super::*;

const KINDS: [CredentialKind; 4] = [
    CredentialKind::Access,
    CredentialKind::Refresh,
    CredentialKind::Code,
    CredentialKind::Device,
];

prop_compose! {
    fn any_credential()(
        kind in prop::sample::select(KINDS.to_vec()),
        grant: [u8; 16],
        numbers: (u16, u32, u32),
        half: [u8; 32],
        mac: [u8; MAC_BYTES],
    ) -> Credential {
        Credential {
            kind,
            grant: GrantId::from_bytes(grant),
            pad_number: numbers.0,
            generation: numbers.1,
            expires_at: numbers.2,
            half: SecretBytes::new(half),
            mac,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(credential in any_credential()) {
        let text = credential.encode();
        prop_assert_eq!(text.expose().len(), CREDENTIAL_CHARS);
        let read = Credential::parse(text.expose()).unwrap();
        prop_assert_eq!(read.authenticated_bytes(), credential.authenticated_bytes());
        prop_assert_eq!((read.kind, read.mac), (credential.kind, credential.mac));
        let printed = format!("{read:?}");
        prop_assert!(!printed.contains(text.expose()));
    }

    /// Wherever one character is another one, no look-up is needed to refuse it.
    #[test]
    fn a_credential_with_one_wrong_character_is_none(
        credential in any_credential(),
        at in 0..CREDENTIAL_CHARS,
        other in prop::char::range(' ', '~'),
    ) {
        let mut text = credential.encode().expose().to_owned();
        prop_assume!(text.as_bytes()[at] != other as u8);
        text.replace_range(at..=at, &other.to_string());
        prop_assert_eq!(Credential::parse(&text).unwrap_err(), MalformedCredential);
    }

    /// A token is of the kind that it was made as, whatever it is called.
    #[test]
    fn no_kind_passes_for_another(credential in any_credential(), kind in prop::sample::select(KINDS.to_vec())) {
        prop_assume!(kind != credential.kind);
        let text = credential.encode();
        let renamed = text.expose().replacen(credential.kind.prefix(), kind.prefix(), 1);
        prop_assert_eq!(Credential::parse(&renamed).unwrap_err(), MalformedCredential);
    }

    #[test]
    fn nothing_that_is_cut_longer_or_made_up_is_one(
        credential in any_credential(),
        cut in 1..CREDENTIAL_CHARS,
        junk in ".{0,120}|mp(at|rt|ac|dc)1_[A-Za-z0-9_-]{104}",
    ) {
        let text = credential.encode();
        let text = text.expose();
        let kept = CREDENTIAL_CHARS - cut;
        for wrong in [&text[..kept], &format!("{text}A"), &format!(" {text}"), &junk] {
            prop_assert_eq!(Credential::parse(wrong).unwrap_err(), MalformedCredential);
        }
    }
}
