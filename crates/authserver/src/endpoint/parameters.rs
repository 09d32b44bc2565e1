//! Parameters of a query or form, as OAuth reads them (RFC 6749 §3.1, §3.2): an empty one is an
//! absent one, and none may be given twice.

#[cfg(test)]
mod tests;

use std::fmt;

use domain::secret::SecretString;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// The parameters of one request. Values may be secrets and are never printed.
#[derive(Clone)]
pub(crate) struct Parameters(Vec<(String, SecretString)>);

/// Why parameters cannot be read. Quotes nothing of the request but names of OAuth's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidParameters {
    /// More bytes than any honest request has.
    #[error(
        "the request has more than {} bytes of parameters",
        Parameters::MAX_BYTES
    )]
    TooLong,
    /// More parameters than any honest request has.
    #[error("the request has more than {} parameters", Parameters::MAX_COUNT)]
    TooMany,
}

/// A parameter that was given more than once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} is given more than once")]
pub(crate) struct DuplicateParameter(pub(crate) String);

/// The one parameter that may be repeated (RFC 8707 §2).
pub(crate) const RESOURCE: &str = "resource";

// === impl Parameters ===

impl Parameters {
    /// Bound of query or form in bytes.
    pub(crate) const MAX_BYTES: usize = 64 << 10;
    /// Bound of the number of parameters.
    pub(crate) const MAX_COUNT: usize = 64;

    /// Reads a query or form (`application/x-www-form-urlencoded`), duplicates included: whoever
    /// asks for them must look at [`Parameters::duplicate`] before acting.
    ///
    /// # Errors
    /// If there is more than the bounds allow.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, InvalidParameters> {
        if encoded.len() > Self::MAX_BYTES {
            return Err(InvalidParameters::TooLong);
        }
        let pairs: Vec<_> = form_urlencoded::parse(encoded)
            .take(Self::MAX_COUNT + 1)
            .map(|(name, value)| (name.into_owned(), SecretString::new(value)))
            .collect();
        if pairs.len() > Self::MAX_COUNT {
            return Err(InvalidParameters::TooMany);
        }
        Ok(Self(pairs))
    }

    /// The first parameter that is given more than once, whatever its values. `resource` may be.
    pub(crate) fn duplicate(&self) -> Option<DuplicateParameter> {
        let mut rest = self.0.iter();
        while let Some((name, _)) = rest.next() {
            if name != RESOURCE && rest.clone().any(|(other, _)| other == name) {
                return Some(DuplicateParameter(printable(name)));
            }
        }
        None
    }

    /// A parameter's value; `None` if it is absent, empty, or given more than once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        let value = values.next()?;
        (values.next().is_none() && !value.is_empty()).then_some(value)
    }

    /// Whether a parameter is there at all, be it empty or repeated.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Whether a parameter is given more than once.
    pub(crate) fn is_repeated(&self, name: &str) -> bool {
        self.values(name).nth(1).is_some()
    }

    /// The values of `resource`, in order, without empty ones.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        self.values(RESOURCE).filter(|value| !value.is_empty())
    }

    /// Those of these names, in order, encoded as they came.
    pub(crate) fn encode_only(&self, names: &[&str]) -> Zeroizing<String> {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if names.contains(&name.as_str()) {
                encoded.append_pair(name, value.expose());
            }
        }
        Zeroizing::new(encoded.finish())
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(held, _)| held == name)
            .map(|(_, value)| value.expose())
    }
}

/// Names of OAuth's form are shown; anything else may be a secret at the wrong place.
fn printable(name: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if (1..=40).contains(&name.len()) && name.bytes().all(fits) {
        name.to_owned()
    } else {
        "(of a name not shown)".to_owned()
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.0.iter().map(|(name, _)| printable(name)))
            .finish()
    }
}
