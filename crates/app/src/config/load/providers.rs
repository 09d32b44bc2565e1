//! Who logs people in.

use std::path::PathBuf;

use domain::{scope::ScopeSet, secret::SecretString};
use idp::{
    local::LocalProvider,
    upstream::{MetadataSource, MoreParameters, check_metadata_file},
};
use url::Url;

use super::{address::safe_url, paths};
use crate::{
    config::{
        ProviderConfig,
        explain::Origin,
        reader::{Place, Reader},
        values,
    },
    env::table as variable,
};

const DEFAULT_SCOPE: &str = "openid profile email";
const DEFAULT_CALLBACK: &str = "/interaction/identity/callback";

/// Variables that describe one provider.
const OWN: [&crate::env::Variable; 8] = [
    &variable::IDENTITY_SERVER_URL,
    &variable::IDENTITY_SERVER_METADATA_FILE,
    &variable::MCP_AUTH_PROXY_IDENTITY_ISSUER,
    &variable::IDENTITY_CLIENT_ID,
    &variable::IDENTITY_CLIENT_SECRET,
    &variable::IDENTITY_SCOPE,
    &variable::MCP_AUTH_PROXY_USERS_FILE,
    &variable::MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS,
];

/// The providers, and the names by which servers name them. A faulty provider keeps its place.
pub(super) fn read(reader: &mut Reader<'_>) -> (Vec<ProviderConfig>, Vec<Option<String>>) {
    let file = reader.file();
    if file.providers.is_empty() {
        let provider = provider(reader, Place::Plain, None);
        return (provider.into_iter().collect(), vec![None]);
    }
    let with_variables = file.providers.len() == 1;
    if !with_variables {
        reader.reject_variables(&OWN, "identity providers", "[[providers]]");
    }
    let mut names: Vec<Option<String>> = Vec::new();
    let mut providers = Vec::new();
    for (index, entry) in file.providers.iter().enumerate() {
        let place = Place::Entry {
            entry,
            with_variables,
        };
        if entry.name.is_some() && names.contains(&entry.name) {
            let name = entry.name.as_deref().unwrap_or_default();
            reader.report(
                format!("`providers[{index}].name` in {}", file.path.display()),
                name,
                "another provider has that name",
                "a name of its own for each",
            );
        }
        names.push(entry.name.clone());
        let shown = (!with_variables).then_some(index);
        providers.extend(provider(reader, place, shown));
    }
    (providers, names)
}

fn provider(
    reader: &mut Reader<'_>,
    place: Place<'_>,
    index: Option<usize>,
) -> Option<ProviderConfig> {
    let users = &variable::MCP_AUTH_PROXY_USERS_FILE;
    if reader.is_given(place, users) {
        return local(reader, place, index);
    }
    upstream(reader, place, index)
}

fn local(
    reader: &mut Reader<'_>,
    place: Place<'_>,
    index: Option<usize>,
) -> Option<ProviderConfig> {
    for other in [
        &variable::IDENTITY_SERVER_URL,
        &variable::IDENTITY_SERVER_METADATA_FILE,
    ] {
        reader.contradiction(
            place,
            other,
            format!(
                "{} is set too, and people can be asked to log in at one of the two only",
                variable::MCP_AUTH_PROXY_USERS_FILE.name
            ),
        );
    }
    let users_file =
        reader.value_at(place, index, &variable::MCP_AUTH_PROXY_USERS_FILE, |text| {
            let path = values::file(text)?;
            LocalProvider::check_users(&path).map_err(|fault| fault.to_string())?;
            Ok(path)
        })?;
    Some(ProviderConfig::Local { users_file })
}

fn upstream(
    reader: &mut Reader<'_>,
    place: Place<'_>,
    index: Option<usize>,
) -> Option<ProviderConfig> {
    let issuer = reader.value_at(
        place,
        index,
        &variable::MCP_AUTH_PROXY_IDENTITY_ISSUER,
        |text| safe_url(&text.replace("{tenantid}", "tenantid")).map(|_| text.to_owned()),
    );
    let metadata = metadata(reader, place, index, issuer.as_deref());
    let client_id = reader.required_at(place, index, &variable::IDENTITY_CLIENT_ID, |text| {
        Ok(text.to_owned())
    });
    let client_secret =
        reader.required_at(place, index, &variable::IDENTITY_CLIENT_SECRET, |text| {
            Ok(SecretString::new(text))
        });
    let more_parameters = reader.value_at(
        place,
        index,
        &variable::MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS,
        |text| MoreParameters::parse(text).map_err(|fault| fault.to_string()),
    );
    let scope = scope(reader, place, index)?;
    Some(ProviderConfig::Upstream {
        metadata: metadata?,
        issuer,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        more_parameters: more_parameters.unwrap_or_default(),
    })
}

/// The file wins over discovery: guides of the predecessor set both.
fn metadata(
    reader: &mut Reader<'_>,
    place: Place<'_>,
    index: Option<usize>,
    vouched: Option<&str>,
) -> Option<MetadataSource> {
    let file = &variable::IDENTITY_SERVER_METADATA_FILE;
    let url = &variable::IDENTITY_SERVER_URL;
    if reader.is_given(place, file) {
        let path: PathBuf = reader.value_at(place, index, file, |text| {
            let path = values::file(text)?;
            check_metadata_file(&path, vouched).map_err(|fault| fault.to_string())?;
            Ok(path)
        })?;
        return Some(MetadataSource::File(path));
    }
    let issuer = reader.required_at(place, index, url, issuer_url)?;
    Some(MetadataSource::Discovery(issuer))
}

/// The issuer; the URL of its discovery document, which the predecessor took too, means the same.
fn issuer_url(text: &str) -> Result<Url, String> {
    let issuer = [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ]
    .iter()
    .find_map(|suffix| text.strip_suffix(suffix))
    .unwrap_or(text);
    let url = safe_url(issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an issuer has neither query nor fragment".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an issuer holds no user information".to_owned());
    }
    Ok(url)
}

fn scope(reader: &mut Reader<'_>, place: Place<'_>, index: Option<usize>) -> Option<ScopeSet> {
    let own = &variable::IDENTITY_SCOPE;
    if reader.is_given(place, own) {
        return reader.value_at(place, index, own, values::scopes);
    }
    reader.explain(own, index, DEFAULT_SCOPE, Origin::Default);
    ScopeSet::parse(DEFAULT_SCOPE).ok()
}

/// The path of the redirect URI below the base URL.
pub(super) fn callback_path(reader: &mut Reader<'_>) -> String {
    // Accepted, so that its presence is no unknown setting; the hop itself is gone.
    reader.value(&variable::IDENTITY_UNIQUE_CALLBACK_PATH, |_| Ok(()));
    reader.value_or(
        &variable::IDENTITY_CALLBACK_PATH,
        DEFAULT_CALLBACK.to_owned(),
        DEFAULT_CALLBACK,
        |text| {
            let path = values::path(text)?;
            if !paths::is_free_for_callback(&path) {
                return Err("another endpoint of the proxy is there".to_owned());
            }
            Ok(path)
        },
    )
}
