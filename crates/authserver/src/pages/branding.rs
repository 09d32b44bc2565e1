//! Title, icon and colours of the pages.

use minijinja::{context, value::Value};
use url::{Host, Url};

const DEFAULT_TITLE: &str = "Login for Model Context Protocol";
const STYLE: &str = include_str!("../../../../templates/style.css");

/// How the pages look.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// Title of each page (`BRANDING_TITLE`); empty is the default one.
    pub title: String,
    /// Icon, an absolute URL (`BRANDING_FAVICON`).
    pub favicon: Option<String>,
    /// Logo and colours.
    pub theme: Theme,
}

/// Logo and colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Our own.
    #[default]
    Plain,
    /// Heroku's.
    Heroku,
}

struct Palette {
    logo: &'static str,
    /// Buttons, the text on them, links: in light and in dark.
    light: [&'static str; 3],
    dark: [&'static str; 3],
    background: &'static str,
}

const PLAIN: Palette = Palette {
    logo: "",
    light: ["#1f5fbf", "#ffffff", "#1f5fbf"],
    dark: ["#8ab4ff", "#0b1d3a", "#9cc0ff"],
    background: "#f3f4f6",
};

const HEROKU: Palette = Palette {
    logo: "<span class=\"logo\">HEROKU</span>",
    light: ["#6b4a94", "#ffffff", "#6b4a94"],
    dark: ["#c4a7e7", "#24123d", "#cdb4ee"],
    background: "#f3f1f7",
};

// === impl Theme ===

impl Theme {
    /// The theme that belongs to an identity provider by itself: Heroku's under `heroku.com` and
    /// `herokudev.com`.
    pub fn for_issuer(issuer: &str) -> Self {
        let below = |host: &str, domain: &str| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let url = Url::parse(issuer).ok();
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(host))
                if below(host, "heroku.com") || below(host, "herokudev.com") =>
            {
                Self::Heroku
            }
            _ => Self::Plain,
        }
    }

    const fn palette(self) -> &'static Palette {
        match self {
            Self::Plain => &PLAIN,
            Self::Heroku => &HEROKU,
        }
    }
}

// === impl Branding ===

impl Branding {
    /// The stylesheet of the built-in layout.
    pub(super) fn style(&self) -> String {
        let Palette { light, dark, .. } = self.theme.palette();
        let colors = |[accent, on_accent, text]: &[&str; 3]| {
            format!("--accent: {accent}; --on-accent: {on_accent}; --accent-text: {text};")
        };
        format!(
            "\n:root {{ {} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {} }} }}\n{STYLE}",
            colors(light),
            colors(dark)
        )
    }

    /// Address of the icon.
    pub(super) fn icon(&self) -> Option<&str> {
        self.favicon.as_deref().or(match self.theme {
            Theme::Plain => None,
            Theme::Heroku => Some("https://www.herokucdn.com/favicon.ico"),
        })
    }

    /// Where images may come from, as a source of the content security policy.
    pub(super) fn image_source(&self) -> Option<String> {
        let url = Url::parse(self.icon()?).ok()?;
        Some(match url.scheme() {
            "http" | "https" => url.origin().ascii_serialization(),
            scheme => format!("{scheme}:"),
        })
    }

    /// What templates see as `branding`.
    pub(super) fn values(&self) -> Value {
        let Palette {
            logo,
            light: [primary, text, secondary],
            background,
            ..
        } = self.theme.palette();
        let title = match self.title.trim() {
            "" => DEFAULT_TITLE,
            title => title,
        };
        let title = match self.theme {
            Theme::Plain => title.to_owned(),
            Theme::Heroku => format!("{title} | Heroku"),
        };
        context! {
            title => title,
            favicon => self.icon(),
            logo => Value::from_safe_string((*logo).to_owned()),
            colors => context! {
                primary => *primary,
                secondary => *secondary,
                background => *background,
                text => if *text == "#ffffff" { "#1b2330" } else { *text },
                textMuted => "#556070",
                border => "#d5dae1",
            },
        }
    }
}
