use super::*;

#[test]
fn reads_forms_with_quotes_entities_and_buttons() {
    let html = r#"<!-- <form> --><form action='/a?b=1&amp;c=">"' method=POST>
        <input type=hidden name=x value="1&quot;2"><input type="checkbox" name="confirmed" value="true" required>
        <button name="account" value="other">Use another account</button></form><form></form>"#;
    let forms = forms(html);
    let first = forms.first().unwrap();
    assert_eq!(forms.len(), 2);
    assert_eq!(first.action, "/a?b=1&c=\">\"");
    assert_eq!(first.method, "post");
    assert_eq!(first.inputs[0].value, "1\"2");
    assert!(first.has("confirmed"));
    assert_eq!(first.buttons[0].caption, "Use another account");
}

#[test]
fn finds_where_a_page_goes_on_to() {
    let html = r#"<meta charset="utf-8"><meta http-equiv="Refresh" content="0; url=https://a.example/?x=1&amp;y=2">"#;
    assert_eq!(
        refresh_target(html).as_deref(),
        Some("https://a.example/?x=1&y=2")
    );
    assert_eq!(refresh_target("<p>refresh=1</p>"), None);
}
