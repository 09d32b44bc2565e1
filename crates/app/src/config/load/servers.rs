//! What is protected.

use std::path::PathBuf;

use domain::secret::SecretString;
use gateway::process::Command;
use serde_json::Value;
use url::Url;

use super::paths;
use crate::{
    config::{
        RunConfig, ServerConfig,
        reader::{Place, Reader},
        values,
    },
    env::{Variable, table as variable},
};

/// Variables that describe one server.
const OWN: [&Variable; 7] = [
    &variable::MCP_SERVER_URL,
    &variable::MCP_SERVER_RUN_COMMAND,
    &variable::MCP_SERVER_RUN_ARGS_JSON,
    &variable::MCP_SERVER_RUN_DIR,
    &variable::MCP_SERVER_RUN_ENV_JSON,
    &variable::MCP_AUTH_PROXY_PUBLIC_PATHS,
    &variable::MCP_AUTH_PROXY_INTROSPECTION_SECRET,
];

/// `names` are those of the providers; `port` is the proxy's own.
pub(super) fn read(
    reader: &mut Reader<'_>,
    names: &[Option<String>],
    callback_path: &str,
    port: u16,
) -> Vec<ServerConfig> {
    let file = reader.file();
    let mut servers = Vec::new();
    if file.servers.is_empty() {
        servers.extend(server(reader, Place::Plain, None, 0));
        if names.len() > 1 {
            reader.report(
                format!("`providers` in {}", file.path.display()),
                &format!("{} providers", names.len()),
                "there are several identity providers, and nothing says which the MCP server's \
                 users log in with",
                "[[servers]] entries that name their `provider`",
            );
        }
    } else {
        let with_variables = file.servers.len() == 1;
        if !with_variables {
            reader.reject_variables(&OWN, "MCP servers", "[[servers]]");
        }
        for (index, entry) in file.servers.iter().enumerate() {
            let place = Place::Entry {
                entry,
                with_variables,
            };
            let shown = (!with_variables).then_some(index);
            let label = format!("`servers[{index}].provider` in {}", file.path.display());
            let provider = provider_of(reader, label, entry.provider.as_deref(), names);
            servers.extend(server(reader, place, shown, provider));
        }
    }
    check_introspection_secrets(reader, &servers);
    paths::check(reader, &servers, callback_path);
    paths::check_port(reader, &servers, port);
    servers
}

/// By its secret a server is told from the others.
fn check_introspection_secrets(reader: &mut Reader<'_>, servers: &[ServerConfig]) {
    let secrets: Vec<_> = servers
        .iter()
        .filter_map(|server| server.introspection_secret.as_ref())
        .collect();
    let has_twins = secrets
        .iter()
        .enumerate()
        .any(|(index, secret)| secrets.iter().skip(index + 1).any(|other| secret == other));
    if has_twins {
        let label = "`servers[].introspection_secret`".to_owned();
        let reason = "two MCP servers have the same, but each is known by its own";
        reader.report(
            label,
            "[redacted]",
            reason,
            "another secret for each server",
        );
    }
}

fn provider_of(
    reader: &mut Reader<'_>,
    label: String,
    name: Option<&str>,
    names: &[Option<String>],
) -> usize {
    let Some(name) = name else {
        if names.len() > 1 {
            reader.report_missing(
                label,
                "there are several identity providers",
                "the `name` of one",
            );
        }
        return 0;
    };
    let position = names
        .iter()
        .position(|known| known.as_deref() == Some(name));
    position.unwrap_or_else(|| {
        reader.report(
            label,
            name,
            "no provider has that name",
            "the `name` of one of the [[providers]]",
        );
        0
    })
}

fn server(
    reader: &mut Reader<'_>,
    place: Place<'_>,
    index: Option<usize>,
    provider: usize,
) -> Option<ServerConfig> {
    let mut dropped = false;
    let url = reader.required_at(place, index, &variable::MCP_SERVER_URL, |text| {
        let (url, had_more) = server_url(text)?;
        dropped = had_more;
        Ok(url)
    });
    if dropped {
        reader.warn(
            variable::MCP_SERVER_URL.name,
            "holds user information or a fragment, which is not sent to the MCP server",
        );
    }
    let run = run(reader, place, index);
    let public_paths = reader
        .value_at(
            place,
            index,
            &variable::MCP_AUTH_PROXY_PUBLIC_PATHS,
            |text| {
                values::list(text)
                    .map(|item| values::path(item).map_err(|reason| format!("`{item}`: {reason}")))
                    .collect::<Result<Vec<_>, _>>()
            },
        )
        .unwrap_or_default();
    let introspection_secret = reader.value_at(
        place,
        index,
        &variable::MCP_AUTH_PROXY_INTROSPECTION_SECRET,
        values::own_secret,
    );
    Some(ServerConfig {
        url: url?,
        run,
        provider,
        public_paths,
        introspection_secret,
    })
}

/// The URL without what is never sent, and whether there was any.
fn server_url(text: &str) -> Result<(Url, bool), String> {
    let mut url = values::web_url(text)?;
    values::path(url.path()).map_err(|reason| format!("its path is of no use: {reason}"))?;
    let had_more =
        !url.username().is_empty() || url.password().is_some() || url.fragment().is_some();
    url.set_fragment(None);
    // These fail only for URLs without a host, and this one has one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok((url, had_more))
}

fn run(reader: &mut Reader<'_>, place: Place<'_>, index: Option<usize>) -> Option<RunConfig> {
    let command = reader.value_at(place, index, &variable::MCP_SERVER_RUN_COMMAND, without_nul);
    let arguments = reader.value_at(place, index, &variable::MCP_SERVER_RUN_ARGS_JSON, arguments);
    let directory: Option<PathBuf> = reader.value_at(
        place,
        index,
        &variable::MCP_SERVER_RUN_DIR,
        values::directory,
    );
    let environment = reader
        .value_at(
            place,
            index,
            &variable::MCP_SERVER_RUN_ENV_JSON,
            environment,
        )
        .unwrap_or_default();
    let Some(command) = command else {
        let args = &variable::MCP_SERVER_RUN_ARGS_JSON;
        if !reader.is_given(place, &variable::MCP_SERVER_RUN_COMMAND)
            && reader.is_given(place, args)
            && !reader.is_blind()
        {
            let reason = "there is no MCP_SERVER_RUN_COMMAND that these could be arguments of";
            reader.contradiction(place, args, reason);
        }
        return None;
    };
    let command = match arguments {
        Some(arguments) => Command::Program {
            program: command,
            arguments,
        },
        None => Command::Shell(command),
    };
    Some(RunConfig {
        command,
        directory,
        environment,
    })
}

fn without_nul(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("it holds a NUL character".to_owned());
    }
    Ok(text.to_owned())
}

fn arguments(text: &str) -> Result<Vec<String>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Array(items) = value else {
        return Err("it is JSON, but no array".to_owned());
    };
    items
        .iter()
        .map(|item| scalar(item).ok_or_else(|| format!("{item} is no text")))
        .map(|item| item.and_then(|text| without_nul(&text)))
        .collect()
}

/// Never quotes a value: they may be secrets.
fn environment(text: &str) -> Result<Vec<(String, SecretString)>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!(
            "no JSON, from line {} column {}",
            error.line(),
            error.column()
        )
    })?;
    let Value::Object(members) = value else {
        return Err("it is JSON, but no object".to_owned());
    };
    members
        .into_iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!("`{name}` cannot be the name of a variable"));
            }
            let text = scalar(&value)
                .ok_or_else(|| format!("`{name}` is neither text, number nor boolean"))?;
            let text = without_nul(&text).map_err(|_| format!("`{name}` holds a NUL character"))?;
            Ok((name, SecretString::new(text)))
        })
        .collect()
}

/// A text, number or boolean as JavaScript would write it into an environment.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            // `1.0` is the same number as `1` there, and is written so.
            Some(float) if !number.is_i64() && !number.is_u64() => format!("{float}"),
            _ => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
