//! Where the proxy is reached, and who stands in front of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::base_url::{BaseUrl, is_loopback};
use url::Url;

use crate::{
    config::{
        Listen, ServerConfig, TrustedProxies,
        explain::Origin,
        reader::{Place, Reader},
        values,
    },
    env::table as variable,
};

/// What this section says.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) base_url: Option<BaseUrl>,
    pub(super) port: u16,
    pub(super) listen: Listen,
    pub(super) local_insecure: bool,
    pub(super) trusted_proxies: TrustedProxies,
}

const DEFAULT_PORT: u16 = 3001;

pub(super) fn read(reader: &mut Reader<'_>, on_dyno: bool) -> Address {
    let base_url = reader.required_at(Place::Plain, None, &variable::BASE_URL, |text| {
        BaseUrl::parse(text).map_err(|error| error.to_string())
    });
    let is_plain_http = base_url.as_ref().is_some_and(BaseUrl::is_plain_http);
    let local_insecure = local_insecure(reader, is_plain_http);
    let port = reader.value_or(
        &variable::PORT,
        DEFAULT_PORT,
        &DEFAULT_PORT.to_string(),
        |text| text.parse().map_err(|_| "it is no port number".to_owned()),
    );
    let listen = listen(reader, port, local_insecure);
    let trusted_proxies = trusted_proxies(reader, local_insecure, on_dyno);
    let binds_loopback_only = listen
        .addresses
        .iter()
        .all(|address| address.ip().is_loopback());
    if on_dyno && binds_loopback_only {
        reader.warn(
            variable::LOCAL_INSECURE.name,
            "and the address to bind leave only loopback, where the dyno's router cannot reach \
             the proxy",
        );
    }
    Address {
        base_url,
        port,
        listen,
        local_insecure,
        trusted_proxies,
    }
}

// === impl Address ===

impl Address {
    /// Notes where the public URL is right, but probably not what was meant.
    pub(super) fn doubt(&self, reader: &mut Reader<'_>, servers: &[ServerConfig]) {
        let Some(base_url) = &self.base_url else {
            return;
        };
        let (own, issuer) = (variable::BASE_URL.name, base_url.issuer());
        let doubled = servers.iter().find_map(|server| {
            let path = server.path();
            let meant = issuer.strip_suffix(path)?;
            (!path.is_empty() && base_url.prefix().ends_with(path)).then_some((path, meant))
        });
        if let Some((path, meant)) = doubled {
            let text = format!(
                "ends with `{path}`, the path of MCP_SERVER_URL, which is added to it: the MCP URL \
                 is {issuer}{path}. If it is to be {issuer}, set BASE_URL={meant}"
            );
            reader.warn(own, text);
        }
        let public = base_url.as_url();
        let asked = public.port_or_known_default();
        if let Some(asked) = asked.filter(|asked| *asked != self.port)
            && self.port != 0
            && base_url.is_plain_http()
        {
            let port = self.port;
            let text = format!(
                "names port {asked}, but the proxy listens at port {port} (PORT): clients do not \
                 find it, unless something passes connections on. Set PORT={asked}, or the port \
                 {port} in BASE_URL"
            );
            reader.warn(own, text);
        }
    }
}

/// Only the exact `true` ever turned it on; that stays so for other affirmations. A base URL that
/// implies it overrules what was said.
fn local_insecure(reader: &mut Reader<'_>, is_plain_http: bool) -> bool {
    let own = &variable::LOCAL_INSECURE;
    if !is_plain_http {
        return super::operation::old_switch(reader, own);
    }
    let origin = match reader.given(own) {
        Some(given) if given.text.expose().trim() == "true" => given.origin,
        Some(given) => {
            let text = "counts as `true`, since BASE_URL is plain http on loopback";
            reader.warn(given.label, text);
            Origin::Implied(variable::BASE_URL.name)
        }
        None => Origin::Implied(variable::BASE_URL.name),
    };
    reader.explain(own, None, "true", origin);
    true
}

fn listen(reader: &mut Reader<'_>, port: u16, local_insecure: bool) -> Listen {
    const LOOPBACK: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    const ALL: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let host = &variable::MCP_AUTH_PROXY_HOST;
    let named = reader.value(host, |text| {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(None);
        }
        let addresses = values::list(text)
            .map(|item| {
                let bare = item
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .unwrap_or(item);
                bare.parse::<IpAddr>()
                    .map_err(|_| format!("`{item}` is no IP address"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err("it names no address".to_owned());
        }
        Ok(Some(addresses))
    });
    let (addresses, strict) = match named {
        Some(Some(addresses)) => (addresses, true),
        Some(None) => (LOOPBACK.to_vec(), false),
        None => {
            let (addresses, shown) = if local_insecure {
                (LOOPBACK, "127.0.0.1,::1")
            } else {
                (ALL, "0.0.0.0,::")
            };
            reader.explain(host, None, shown, Origin::Default);
            (addresses.to_vec(), false)
        }
    };
    Listen {
        addresses: addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect(),
        strict,
    }
}

fn trusted_proxies(reader: &mut Reader<'_>, local_insecure: bool, on_dyno: bool) -> TrustedProxies {
    let own = &variable::MCP_AUTH_PROXY_TRUSTED_PROXIES;
    let named = reader.value(own, |text| match text.to_ascii_lowercase().as_str() {
        "none" => Ok(TrustedProxies::None),
        "last-hop" => Ok(TrustedProxies::LastHop),
        _ => values::networks(text).map(TrustedProxies::Networks),
    });
    if local_insecure {
        if named.is_some_and(|named| named != TrustedProxies::None) {
            reader.contradiction(
                Place::Plain,
                own,
                "`X-Forwarded-*` is ignored with `LOCAL_INSECURE=true`, so nobody's can count",
            );
        }
        let implied = Origin::Implied(variable::LOCAL_INSECURE.name);
        reader.explain(own, None, "none", implied);
        return TrustedProxies::None;
    }
    named.unwrap_or_else(|| {
        if on_dyno {
            let implied = Origin::Implied(variable::DYNO.name);
            reader.explain(own, None, "last-hop", implied);
            TrustedProxies::LastHop
        } else {
            reader.explain(own, None, "private", Origin::Default);
            TrustedProxies::Networks(values::private_networks())
        }
    })
}

/// Whether a URL is https, or http where nobody can listen in.
pub(super) fn safe_url(text: &str) -> Result<Url, String> {
    let url = values::web_url(text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("plain `http` is for loopback hosts only; use `https://`".to_owned());
    }
    Ok(url)
}
