use super::*;

#[test]
fn what_is_no_certificate_is_named_by_its_place() {
    let error = http_client(&[b"-----BEGIN CERTIFICATE-----\nnothing".to_vec()]).unwrap_err();
    assert!(
        matches!(error, HttpClientError::Certificate(0, _)),
        "{error}"
    );
    let error = http_client(&[b"not PEM at all".to_vec()]).unwrap_err();
    assert!(error.to_string().contains("number 0"), "{error}");
}

#[test]
fn without_extra_roots_a_client_is_made() {
    assert!(http_client(&[]).is_ok());
}
