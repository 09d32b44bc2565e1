//! Pages for people: what goes wrong there, and what a client's developer may see of it.

use super::{Place, Row, Section};

const CONNECT: &str = "Connect once more from the client";

pub(super) const DEVICE: Section = Section {
    title: "`/device`: where a person enters a code",
    introduction: "",
    place: Place::Pages,
    rows: &[
        Row::new("a form that no page of ours sent")
            .form("/device", "user_code=BCDF-GHJK")
            .with(&[("cookie", "<cookie>")])
            .page(403, "This was not sent from our page")
            .cure("Open `verification_uri` in a browser; forms are not for programs"),
        Row::new("no cookie")
            .form("/device", "user_code=BCDF-GHJK")
            .with(&[("origin", "https://proxy.example")])
            .page(403, "Cookies are blocked")
            .cure("Allow cookies"),
        Row::new("a text that is no code")
            .form("/device", "user_code=hello")
            .with(&[("origin", "https://proxy.example"), ("cookie", "<cookie>")])
            .page(422, "Connect a device")
            .cure("The page says so; type the eight letters"),
        Row::new("a code for which no device waits")
            .form("/device", "user_code=BCDF-GHJK")
            .with(&[("origin", "https://proxy.example"), ("cookie", "<cookie>")])
            .page(422, "Connect a device")
            .cure("The page says so; let the device make a new code"),
    ],
};

pub(super) const INTERACTION: Section = Section {
    title: "`/interaction/…`: consent and login",
    introduction: "What the person says there reaches the client as `access_denied` (Cancel), or as \
        a code. These are for the person alone.",
    place: Place::Pages,
    rows: &[
        Row::new("a page that was open for more than an hour, or never was")
            .get("/interaction/AAAAAAAAAAAAAAAAAAAAAA")
            .page(404, "This page has expired")
            .cure(CONNECT),
        Row::new("an address that cannot be one")
            .get("/interaction/%ff")
            .page(404, "This page has expired")
            .cure(CONNECT),
        Row::new("a page that belongs to another browser, or cookies that are blocked")
            .get("<interaction>")
            .page(403, "This page belongs to another browser")
            .cure("Open the address of `/auth` in the browser in which the person logs in"),
        Row::new("a form that no page of ours sent")
            .form("<interaction>/confirm-login", "confirmed=true")
            .with(&[
                ("origin", "https://elsewhere.example"),
                ("cookie", "<cookie>"),
            ])
            .page(403, "This was not sent from our page")
            .cure("Forms are not for programs"),
        Row::new("a form of another browser")
            .form("<interaction>/confirm-login", "confirmed=true")
            .with(&[("origin", "https://proxy.example")])
            .page(403, "This page belongs to another browser")
            .cure(CONNECT),
        Row::new("consent without the tick")
            .form("<interaction>/confirm-login", "confirmed=yes")
            .with(&[("origin", "https://proxy.example"), ("cookie", "<cookie>")])
            .page(422, "Let <bdi>Tool</bdi> act in your name?")
            .cure("The page asks again"),
        Row::new("a form of more than 16 KiB")
            .form("<interaction>/confirm-login", "confirmed=<70000 letters>")
            .with(&[("origin", "https://proxy.example"), ("cookie", "<cookie>")])
            .page(413, "This request cannot be read")
            .cure("Forms are not for programs"),
        Row::new("a login that was finished or cancelled before")
            .get("<finished interaction>")
            .with(&[("cookie", "<cookie>")])
            .page(409, "This is already done")
            .cure(CONNECT),
    ],
};

pub(super) const CALLBACK: Section = Section {
    title: "`/interaction/identity/callback`: back from the identity provider",
    introduction: "Faults of the provider itself are `502` and `503` pages that say what to do; its \
        refusal reaches the client as `access_denied`.",
    place: Place::Pages,
    rows: &[
        Row::new("no `state`")
            .get("/interaction/identity/callback?code=x")
            .page(400, "This is no login of ours")
            .cure(CONNECT),
        Row::new("a `state` that we could not have made")
            .get("/interaction/identity/callback?code=x&state=made-up")
            .page(400, "This is no login of ours")
            .cure(CONNECT),
        Row::new("a parameter twice")
            .get("/interaction/identity/callback?code=x&code=y&state=z")
            .page(400, "This is no login of ours")
            .cure(CONNECT),
        Row::new("a `state` of a login that is forgotten")
            .get("/interaction/identity/callback?code=x&state=<forgotten state>")
            .page(404, "This page has expired")
            .cure(CONNECT),
    ],
};

pub(super) const SESSION: Section = Section {
    title: "`/session/end`: logout",
    introduction: "OpenID Connect RP-Initiated Logout. Nothing ends before the person agrees.",
    place: Place::Pages,
    rows: &[
        Row::new("no `id_token_hint`")
            .get("/session/end")
            .page(400, "Nobody is logged in here")
            .cure("Send the ID token; or revoke the refresh token instead"),
        Row::new("an `id_token_hint` that this server did not sign")
            .get("/session/end?id_token_hint=a.b.c")
            .page(400, "This session is not known")
            .cure("Send the ID token as it came"),
        Row::new("another `client_id` than the ID token's")
            .get("/session/end?id_token_hint=<id token>&client_id=other")
            .page(400, "The request contradicts itself")
            .cure("Leave `client_id` out"),
        Row::new("a parameter twice")
            .get("/session/end?id_token_hint=<id token>&state=a&state=b")
            .page(400, "The request contradicts itself")
            .cure("Once each"),
        Row::new("a `post_logout_redirect_uri` that is not registered")
            .get(
                "/session/end?id_token_hint=<id token>&post_logout_redirect_uri=https://a.example/",
            )
            .page(400, "The return address is not the client's")
            .cure("Register it as `post_logout_redirect_uris`; it is compared exactly"),
        Row::new("the confirming form, not sent by our page")
            .form("/session/end/confirm", "id_token_hint=<id token>")
            .page(403, "This was not sent from our page")
            .cure("Send the person to `/session/end`"),
    ],
};
