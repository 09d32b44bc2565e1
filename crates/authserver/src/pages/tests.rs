use std::fs;

use super::*;
use crate::pages::view::{
    ClientView, Connect, Consent, DeviceCode, DeviceConsent, DeviceNotice, Home, Leave, Login,
    LogoutPage, Notice, Problem, UnknownClient,
};

fn built_in() -> Pages {
    Pages::load(Branding::default(), None).unwrap()
}

fn text(page: &Page) -> &str {
    std::str::from_utf8(&page.html).unwrap()
}

fn views(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, source) in files {
        fs::write(directory.path().join(name), source).unwrap();
    }
    directory
}

fn load(files: &[(&str, &str)]) -> Result<Pages, InvalidTemplates> {
    Pages::load(Branding::default(), Some(views(files).path()))
}

fn every_page(pages: &Pages) -> Vec<Page> {
    vec![
        pages.render(&Consent::sample()),
        pages.render(&Login::sample()),
        pages.render(&Leave::sample()),
        pages.render(&Problem::sample()),
        pages.render(&UnknownClient::sample()),
        pages.render(&Connect::sample()),
        pages.render(&Home::sample()),
        pages.render(&LogoutPage::sample()),
        pages.render(&Notice::sample()),
        pages.render(&DeviceCode::sample()),
        pages.render(&DeviceConsent::sample()),
        pages.render(&DeviceNotice::sample()),
    ]
}

#[test]
fn every_built_in_page_is_whole_and_holds_no_script() {
    for page in every_page(&built_in()) {
        let html = text(&page);
        assert!(html.starts_with("<!doctype html>"), "{html}");
        assert!(html.contains("<h1>"), "{html}");
        assert!(html.contains("Login for Model Context Protocol</title>"));
        assert!(!html.contains("<script") && !html.contains("javascript:"));
        assert!(page.policy.starts_with("default-src 'none'; "));
        assert!(page.policy.contains("frame-ancestors 'none'"));
        assert!(!page.policy.contains("unsafe"), "{}", page.policy);
    }
}

#[test]
fn the_policy_names_the_hash_of_the_style_that_is_there() {
    for page in every_page(&built_in()) {
        let html = text(&page);
        let style = html
            .split_once("<style>")
            .and_then(|(_, rest)| rest.split_once("</style>"))
            .unwrap()
            .0;
        let hash = STANDARD.encode(store::seal::sha256(style.as_bytes()));
        assert!(page.policy.contains(&format!("'sha256-{hash}'")));
        assert_eq!(html.matches("<style").count(), 1);
        assert!(!html.contains(" style="), "{html}");
    }
}

#[test]
fn only_pages_with_forms_may_send_forms() {
    let pages = built_in();
    for page in [
        pages.render(&Consent::sample()),
        pages.render(&Login::sample()),
        pages.render(&LogoutPage::sample()),
        pages.render(&DeviceCode::sample()),
        pages.render(&DeviceConsent::sample()),
    ] {
        assert!(page.policy.contains("form-action 'self'"));
        assert_eq!(page.referrer, "same-origin");
    }
    for page in [
        pages.render(&Leave::sample()),
        pages.render(&Problem::sample()),
    ] {
        assert!(page.policy.contains("form-action 'none'"));
        assert!(!text(&page).contains("<form"));
        assert_eq!(page.referrer, "no-referrer");
    }
}

#[test]
fn what_a_client_says_is_text() {
    let hostile = "<img src=x onerror=alert(1)>\"'&";
    let mut view = Consent::sample();
    view.client = ClientView {
        client_name: hostile.to_owned(),
        ..view.client
    };
    view.website.text = Some(hostile.to_owned());
    let page = built_in().render(&view);
    assert!(!text(&page).contains("<img"), "{}", text(&page));
    assert!(text(&page).contains("&lt;img src=x onerror=alert(1)&gt;"));
}

#[test]
fn the_icon_is_linked_and_its_origin_allowed() {
    let branding = Branding {
        title: "Acme".to_owned(),
        favicon: Some("https://cdn.example.com/icon.png".to_owned()),
        ..Branding::default()
    };
    let page = Pages::load(branding, None)
        .unwrap()
        .render(&Consent::sample());
    assert!(text(&page).contains("Confirm Login – Acme</title>"));
    assert!(text(&page).contains("rel=\"icon\""));
    assert!(page.policy.contains("img-src https://cdn.example.com;"));
    assert!(
        built_in()
            .render(&Consent::sample())
            .policy
            .contains("img-src 'none';")
    );
}

#[test]
fn heroku_brands_itself() {
    let theme = Theme::for_issuer;
    assert_eq!(theme("https://id.heroku.com"), Theme::Heroku);
    assert_eq!(
        theme("https://identity.staging.herokudev.com"),
        Theme::Heroku
    );
    assert_eq!(theme("https://notheroku.com"), Theme::Plain);
    let branding = Branding {
        theme: Theme::Heroku,
        ..Branding::default()
    };
    let pages = Pages::load(branding, None).unwrap();
    let page = pages.render(&Consent::sample());
    assert!(text(&page).contains("Login for Model Context Protocol | Heroku</title>"));
    assert!(pages.icon().is_some());
}

#[test]
fn an_operators_template_replaces_the_built_in_one_and_sees_the_values() {
    let pages = load(&[
        (
            "confirm-login.html",
            "{{ client.clientName }}|{{ client.clientUri }}|{{ client.redirectUris[0] }}|{{ uid }}\
             |{{ identityServerUrl }}|{{ params.client_id }}|{{ details.scopes }}",
        ),
        (
            "_layout.html",
            "<title>{{ title }} {{ branding.title }}</title>\
             <i style=\"color:{{ branding.colors.primary }}\">{{ body }}</i>{% include 'foot.html' %}",
        ),
        ("foot.html", "foot"),
    ])
    .unwrap();
    let page = pages.render(&Consent::sample());
    let html = text(&page);
    assert!(
        html.starts_with("<title>Confirm Login Login for Model Context Protocol</title>"),
        "{html}"
    );
    assert!(
        html.contains("Example client|https:&#x2f;&#x2f;client.example.org|"),
        "{html}"
    );
    assert!(html.contains("|AAAAAAAAAAAAAAAAAAAAAA|"), "{html}");
    assert!(html.ends_with("foot"));
    assert!(page.policy.contains("style-src 'unsafe-inline'"));
    assert!(page.policy.contains("form-action 'self'"));
}

#[test]
fn a_page_that_leaves_keeps_the_built_in_layout() {
    let pages = load(&[("_layout.html", "{{ body }}"), ("leave.html", "gone")]).unwrap();
    let page = pages.render(&Leave::sample());
    assert!(text(&page).contains("http-equiv=\"refresh\""));
    assert!(!page.policy.contains("unsafe"));
}

#[test]
fn a_replaced_layout_alone_loosens_the_style_rule() {
    let pages = load(&[("_layout.html", "<main>{{ body }}</main>")]).unwrap();
    let page = pages.render(&Problem::sample());
    assert!(text(&page).starts_with("<main><h1>"));
    assert!(page.policy.contains("style-src 'unsafe-inline'"));
}

#[test]
fn templates_of_the_predecessor_are_refused_with_the_guide() {
    for (name, source) in [
        ("confirm-login.ejs", "<%= uid %>"),
        ("confirm-login.html", "<%= uid %>"),
        ("other.html", "<%= uid %>"),
    ] {
        let error = load(&[(name, source)]).unwrap_err();
        assert!(error.0.contains(name), "{error}");
        assert!(error.0.contains("docs/guides/page-templates.md"), "{error}");
    }
    // Beside ported ones they disturb nobody.
    load(&[
        ("confirm-login.html", "{{ uid }}"),
        ("confirm-login.ejs", "<%= uid %>"),
    ])
    .unwrap();
}

#[test]
fn broken_templates_stop_the_start() {
    for source in ["{% if %}", "{{ uid | no_such_filter }}"] {
        let error = load(&[("confirm-login.html", source)]).unwrap_err();
        assert!(error.0.contains("confirm-login.html"), "{error}");
    }
    let missing = Pages::load(Branding::default(), Some(Path::new("/no/such/directory")));
    let error = missing.unwrap_err();
    assert!(error.0.contains("/no/such/directory"), "{error}");
}

#[test]
fn a_template_that_fails_in_a_login_gives_way_to_the_built_in_one() {
    let pages = load(&[(
        "confirm-login.html",
        "{% if error %}{{ error | no_such_filter }}{% endif %}mine",
    )])
    .unwrap();
    assert!(text(&pages.render(&Consent::sample())).contains("mine"));
    let mut view = Consent::sample();
    view.error = Some("Tick the box.");
    assert!(text(&pages.render(&view)).contains("I trust this client"));
}

#[test]
fn the_connect_page_is_for_the_resource() {
    let base = domain::base_url::BaseUrl::parse("http://localhost:3001").unwrap();
    let pages = built_in();
    let html = pages.connect(&Resource::at(&base, "/mcp"));
    let html = std::str::from_utf8(&html).unwrap();
    assert!(html.contains("claude mcp add --transport http my-server http:"));
    assert!(html.contains("on this computer only"));
    assert!(
        pages
            .content_security_policy()
            .contains("form-action 'none'")
    );
}
