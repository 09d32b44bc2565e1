//! How single values are read. Each function answers with a value or with the reason why not.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use domain::{scope::ScopeSet, secret::SecretString};
use ipnet::IpNet;
use url::Url;

/// `true` or `false`, nothing else.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it is neither `true` nor `false`".to_owned()),
    }
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is neither `on` nor `off`".to_owned()),
    }
}

/// A duration: a whole number with `ms`, `s`, `m`, `h` or `d`; without a unit it is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_number(text);
    let number = whole(number)?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        other => return Err(format!("`{other}` is no unit of time")),
    };
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| "it is longer than 100 years".to_owned())
}

/// No setting needs more, and sums of durations and dates stay far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A duration of more than zero and at most `most`.
pub(super) fn life(text: &str, most: Duration) -> Result<Duration, String> {
    let life = duration(text)?;
    if life < Duration::from_secs(1) {
        return Err("it is less than one second".to_owned());
    }
    if life > most {
        return Err(format!("it is more than {}", show_duration(most)));
    }
    Ok(life)
}

/// A duration in the largest unit that keeps it whole; [`duration`] reads it back.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if milliseconds.is_multiple_of(size) && milliseconds > 0 {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    match milliseconds {
        0 => "0".to_owned(),
        _ => format!("{milliseconds}ms"),
    }
}

/// A size in bytes: a whole number with `KiB`, `MiB`, `GiB` (or `K`, `M`, `G`), or `kB`, `MB`,
/// `GB`, case ignored; without a unit it is bytes. At most 1 GiB.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split_number(text);
    let number = whole(number)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("`{unit}` is no unit of size")),
    };
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes <= 1 << 30)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "it is more than 1 GiB".to_owned())
}

/// A size in the largest binary unit that keeps it whole; [`size`] reads it back.
pub(super) fn show_size(bytes: usize) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    bytes.to_string()
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn whole(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Err("it does not begin with a whole number".to_owned());
    }
    text.parse()
        .map_err(|_| "the number is too large".to_owned())
}

/// A whole number from 1 to `most`.
pub(super) fn count(text: &str, most: u64) -> Result<u64, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return Err("it is no whole number".to_owned());
    }
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("it is not between 1 and {most}"))
}

/// The items of a list separated by commas or white space.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character.is_whitespace() || character == ',')
        .filter(|item| !item.is_empty())
}

/// A secret that the operator makes up: long enough that nobody guesses it.
pub(super) fn own_secret(text: &str) -> Result<SecretString, String> {
    if text.chars().count() < SHORTEST_SECRET {
        return Err(format!("it has fewer than {SHORTEST_SECRET} characters"));
    }
    Ok(SecretString::new(text))
}

/// As hex digits these are still 64 random bits.
const SHORTEST_SECRET: usize = 16;

/// Scopes, at least one.
pub(super) fn scopes(text: &str) -> Result<ScopeSet, String> {
    let scopes = ScopeSet::parse_lenient(text).map_err(|error| error.to_string())?;
    if scopes.is_empty() {
        return Err("it names no scope".to_owned());
    }
    Ok(scopes)
}

/// Networks, or single addresses, by CIDR; the word `private` stands for loopback and the private
/// ranges.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let mut networks = Vec::new();
    for item in list(text) {
        if item.eq_ignore_ascii_case("private") {
            networks.extend(private_networks());
            continue;
        }
        let network = item
            .parse::<IpNet>()
            .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("`{item}` is neither an address nor a network"))?;
        networks.push(network.trunc());
    }
    Ok(networks)
}

/// Loopback, the private ranges (RFC 1918, RFC 4193) and link-local addresses.
pub(super) fn private_networks() -> Vec<IpNet> {
    const NETWORKS: [&str; 8] = [
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ];
    NETWORKS
        .iter()
        .filter_map(|network| network.parse().ok())
        .collect()
}

/// An http or https URL with a host.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not an absolute URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "its scheme is `{}`, but must be `http` or `https`",
            url.scheme()
        ));
    }
    Ok(url)
}

/// A web origin (RFC 6454) as browsers send it.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" || text == "null" {
        return Err(format!("`{text}` would let in pages of everybody"));
    }
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no origin: {error}"))?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let Some(host) = url.host_str().filter(|host| !host.is_empty() && is_bare) else {
        return Err(format!(
            "`{text}` is more or less than scheme, host and port"
        ));
    };
    let origin = url.origin();
    if origin.is_tuple() {
        return Ok(origin.ascii_serialization());
    }
    // Schemes that the URL standard does not know (`vscode-webview:`) have an opaque origin there.
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    Ok(format!("{}://{host}{port}", url.scheme()))
}

/// A path of ours: begins with `/`, and is spelled in the one way in which requests reach it.
pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') || text.starts_with("//") {
        return Err("it does not begin with one `/`".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    if text.contains(['?', '#', '\\']) || lower.contains("%2f") || lower.contains("%5c") {
        return Err("it holds a query, a fragment, or an encoded slash".to_owned());
    }
    let is_dots = |segment: &str| matches!(segment.replace("%2e", ".").as_str(), "." | "..");
    if lower.split('/').any(is_dots) {
        return Err("it holds `.` or `..` as a segment".to_owned());
    }
    let url = Url::parse("http://localhost")
        .and_then(|base| base.join(text))
        .map_err(|error| error.to_string())?;
    Ok(url.path().to_owned())
}

/// A path of a file that is there.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Err("it is a directory".to_owned()),
        Ok(_) => Ok(path),
        Err(error) => Err(format!("the file cannot be read: {}", io_reason(&error))),
    }
}

/// A path of a directory that is there.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err("it is no directory".to_owned()),
        Err(error) => Err(format!(
            "the directory cannot be used: {}",
            io_reason(&error)
        )),
    }
}

/// What the system says, in words that are the same everywhere for the usual cases.
pub(super) fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
