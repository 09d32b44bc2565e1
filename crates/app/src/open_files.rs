//! How many files this process may hold open: each connection is one, and so is each of ours to
//! the MCP server.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as can be of use here.
const ENOUGH: u64 = 65_536;

/// The most that macOS grants, whatever it says itself.
const GRANTED_EVERYWHERE: u64 = 10_240;

/// Raises the limit as far as the system allows, and returns it. Most systems begin with 1024, for
/// the sake of old programs; one client with as many idle connections would shut everybody out.
pub(crate) fn raise_limit() -> u64 {
    let given = getrlimit(Resource::Nofile);
    let current = given.current.unwrap_or(u64::MAX);
    let maximum = given.maximum.unwrap_or(u64::MAX);
    for wanted in [ENOUGH, GRANTED_EVERYWHERE] {
        let wanted = wanted.min(maximum);
        let limit = Rlimit {
            current: Some(wanted),
            maximum: given.maximum,
        };
        if wanted > current && setrlimit(Resource::Nofile, limit).is_ok() {
            return wanted;
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit {
            current: Some(200),
            maximum,
        };
        setrlimit(Resource::Nofile, low).expect("lowering is allowed to everybody");
        let raised = raise_limit();
        assert!(raised > 200, "{raised}");
        assert_eq!(getrlimit(Resource::Nofile).current, Some(raised));
        assert_eq!(raise_limit(), raised);
    }
}
