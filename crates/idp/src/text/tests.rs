use proptest::prelude::*;

use super::*;

#[test]
fn what_was_sent_is_not_quoted() {
    let text = quote(
        "invalid_grant",
        Some("the code s3cr3t-code is used up"),
        &["s3cr3t-code", ""],
    );
    assert_eq!(text, "invalid_grant (the code [redacted] is used up)");
}

#[test]
fn opaque_words_are_taken_out_and_trace_ids_stay() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
    let text = quote(
        "invalid_grant",
        Some(&format!(
            "AADSTS70008: {token} expired.\r\nTrace ID: 8a3c1f6e-1b2d-4c3e-9f00-0123456789ab."
        )),
        &[],
    );
    assert_eq!(
        text,
        "invalid_grant (AADSTS70008: [redacted] expired.  Trace ID: \
         8a3c1f6e-1b2d-4c3e-9f00-0123456789ab.)"
    );
}

#[test]
fn an_absent_description_leaves_the_code() {
    assert_eq!(quote("invalid_client", None, &[]), "invalid_client");
    assert_eq!(quote("invalid_client", Some(" "), &[]), "invalid_client");
}

proptest! {
    #[test]
    fn quotes_are_bounded_and_in_one_line(code in ".{0,300}", description in ".{0,600}") {
        let text = quote(&code, Some(&description), &[]);
        prop_assert!(text.chars().count() < MAX_CODE + MAX_DESCRIPTION + 10);
        prop_assert!(!text.chars().any(char::is_control));
    }

    #[test]
    fn a_secret_that_was_sent_is_never_quoted(secret in "[a-zA-Z0-9]{8,40}", before in "[a-z ]{0,20}") {
        let text = quote("invalid_grant", Some(&format!("{before}{secret}.")), &[&secret]);
        prop_assert!(!text.contains(&secret));
    }
}
