use proptest::prelude::*;

use super::*;

/// RFC 6749 §3.3, by character.
fn is_scope_character(character: char) -> bool {
    matches!(character, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

proptest! {
    #[test]
    fn a_scope_is_what_the_grammar_says(text in "[ -~]{0,20}|.{0,20}") {
        let is_one = !text.is_empty() && text.chars().all(is_scope_character);
        prop_assert_eq!(Scope::parse(&text).is_ok(), is_one);
    }

    #[test]
    fn a_set_is_read_in_order_each_once(words in prop::collection::vec("[a-e]{1,2}", 0..8), spaces in 1_usize..3) {
        let joint = " ".repeat(spaces);
        let set = ScopeSet::parse(&format!("{joint}{}{joint}", words.join(&joint))).unwrap();
        let mut expected: Vec<&String> = Vec::new();
        for word in &words {
            if !expected.contains(&word) {
                expected.push(word);
            }
        }
        let read: Vec<_> = set.iter().map(Scope::as_str).collect();
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(ScopeSet::parse(&set.to_string()).unwrap(), set.clone());
        prop_assert_eq!(ScopeSet::parse_lenient(&words.join(",\t")).unwrap(), set);
    }

    /// A space parts scopes on the wire; no other blank does.
    #[test]
    fn one_bad_word_spoils_the_set(good in "[a-z]{1,5}", bad in "[\"\\\\\t\n\u{a0}\u{e9}\u{3000}]") {
        let mixed = ScopeSet::parse(&format!("{good} x{bad}y"));
        prop_assert_eq!(mixed, Err(InvalidScope));
    }

    #[test]
    fn sets_obey_the_laws_of_sets(
        left in prop::collection::vec("[a-e]", 0..6),
        right in prop::collection::vec("[a-e]", 0..6),
    ) {
        let [left, right] = [left, right].map(|words| ScopeSet::parse(&words.join(" ")).unwrap());
        let (both, either) = (left.intersection(&right), left.union(&right));
        prop_assert!(both.is_subset(&left) && both.is_subset(&right));
        prop_assert!(left.is_subset(&either) && right.is_subset(&either));
        prop_assert!(either.iter().all(|it| left.contains(it.as_str()) || right.contains(it.as_str())));
    }
}
