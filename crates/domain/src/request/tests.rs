use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use url::Url;

use super::*;

proptest! {
    /// Whoever decodes first, resolves dots first, or takes backslashes for slashes: what passes is
    /// the same place for each.
    #[test]
    fn a_path_that_passes_is_one_place_for_every_reader(
        path in "(/|\\.|\\.\\.|;a|%2[eE]|%2[fF]|%5[cC]|%00|\\\\|[a-z]|%41){0,10}",
    ) {
        let path = format!("/mcp/{path}");
        if is_ambiguous_path(&path) {
            return Ok(());
        }
        let resolved = Url::parse(&format!("http://s{path}")).unwrap();
        prop_assert_eq!(resolved.path(), &path);
        let decoded = percent_decode_str(&path).decode_utf8().unwrap();
        prop_assert!(!decoded.contains(['\\', '\0']));
        prop_assert_eq!(decoded.matches('/').count(), path.matches('/').count());
        let decoded_first = Url::parse(&format!("http://s{decoded}")).unwrap();
        prop_assert!(decoded_first.path().starts_with("/mcp/"));
    }

    /// One such part is enough, wherever it stands.
    #[test]
    fn one_odd_part_spoils_a_path(
        before in "(/[a-z]{1,4}){0,2}",
        odd in prop::sample::select(vec!["/..", "/.", "/..;x", "/%2e", "/a%2Fb", "/a%5cb", "/a%00", "/a\\b"]),
        after in "(/[a-z]{1,4}){0,2}",
    ) {
        let path = format!("{before}{odd}{after}");
        prop_assert!(is_ambiguous_path(&path));
        let plain = format!("{before}/plain{after}");
        prop_assert!(!is_ambiguous_path(&plain));
    }
}
