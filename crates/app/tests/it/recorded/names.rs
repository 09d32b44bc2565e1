//! What the placeholders of a recording stand for.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::{Context as _, Result, bail};
use jose::signing::{SigningAlgorithm, SigningKeys};
use serde_json::{Map, Value, json};
use testkit::client::random_text;

use super::recording::Assertion;

/// What placeholders stand for: `{base}` and `{mcp}` of the proxy, `{documents}` the origin of the
/// client's documents, `{keys}` its public keys, `{assertion}` a fresh proof, `{verifier}` the
/// last login's, and what was kept: `{name.path.to.member}`, lists of texts joined by spaces.
#[derive(Default)]
pub(super) struct Names {
    kept: Map<String, Value>,
    signer: Option<Signer>,
}

struct Signer {
    keys: SigningKeys,
    client_id: String,
    audience: String,
}

// === impl Names ===

impl Names {
    /// Makes keys for the client's assertions.
    pub(super) fn sign(&mut self, assertion: &Assertion) -> Result<()> {
        let key = SigningKeys::generate(SigningAlgorithm::Rs256)?;
        let (keys, _) = SigningKeys::parse(&format!("[{}]", key.expose()))?;
        self.keep("keys", keys.public_jwks());
        self.signer = Some(Signer {
            client_id: self.fill(&assertion.client_id)?,
            audience: self.fill(&assertion.audience)?,
            keys,
        });
        Ok(())
    }

    /// From now on a name stands for this.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.kept.insert(name.to_owned(), value);
    }

    /// A text with its placeholders filled in.
    pub(super) fn fill(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').context("a placeholder ends")?;
            filled.push_str(before);
            filled.push_str(&self.text_of(name)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A value in which each text is filled in; `{=name}` alone stands for a value of any kind.
    pub(super) fn fill_value(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => {
                match text.strip_prefix("{=").and_then(|t| t.strip_suffix('}')) {
                    Some(name) => self.find(name)?.clone(),
                    None => self.fill(text)?.into(),
                }
            }
            Value::Array(list) => list
                .iter()
                .map(|one| self.fill_value(one))
                .collect::<Result<_>>()?,
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| Ok((name.clone(), self.fill_value(member)?)))
                .collect::<Result<_>>()?,
            other => other.clone(),
        })
    }

    /// Pairs with their values filled in.
    pub(super) fn fill_all(
        &self,
        pairs: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, String)>> {
        pairs
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.fill(value)?)))
            .collect()
    }

    fn text_of(&self, name: &str) -> Result<String> {
        if name == "assertion" {
            return self.assertion();
        }
        match self.find(name)? {
            Value::String(text) => Ok(text.clone()),
            Value::Array(list) => {
                let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                Ok(texts.context("a list of texts")?.join(" "))
            }
            other => bail!("`{{{name}}}` is no text but {other}"),
        }
    }

    fn find(&self, name: &str) -> Result<&Value> {
        let mut parts = name.split('.');
        let first = parts.next().and_then(|part| self.kept.get(part));
        parts
            .fold(first, |value, part| value?.get(part))
            .with_context(|| format!("nothing is kept as `{{{name}}}`"))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the proxy is another process and has the system's clock"
    )]
    fn assertion(&self) -> Result<String> {
        let signer = self.signer.as_ref().context("it has keys")?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs();
        let claims = json!({
            "iss": signer.client_id, "sub": signer.client_id, "aud": signer.audience,
            "jti": random_text()?, "iat": now, "exp": now + 300,
        });
        let claims = claims.as_object().context("it is an object")?;
        Ok(signer.keys.sign(None, "JWT", claims)?.expose().to_owned())
    }
}
