use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Sources and what dotenvx 1.75 makes of them, with `R=real` and `E=` (empty) in the process's
/// environment.
const DOTENVX: &[(&str, &[(&str, &str)])] = &[
    ("A=b", &[("A", "b")]),
    ("A=k v w", &[("A", "k v w")]),
    ("A=k v # c", &[("A", "k v")]),
    ("A=a#b", &[("A", "a")]),
    ("  A  =   x y   ", &[("A", "x y")]),
    ("A=\nB=x", &[("A", ""), ("B", "x")]),
    ("A= # c", &[("A", "")]),
    ("export A=1\nexport  B = 2", &[("A", "1"), ("B", "2")]),
    ("export=1", &[("export", "1")]),
    ("A: b", &[("A", "b")]),
    ("A:b", &[]),
    (r#"A="a b # c" # d"#, &[("A", "a b # c")]),
    (r#"A='a "b" $X ${Y}'"#, &[("A", r#"a "b" $X ${Y}"#)]),
    (r#"A=`it's "x"`"#, &[("A", r#"it's "x""#)]),
    (r#"A="x\ny\tz\r""#, &[("A", "x\ny\tz\r")]),
    (r"A='x\ny'", &[("A", r"x\ny")]),
    (r"A=x\ny", &[("A", r"x\ny")]),
    ("A=\"l1\nl2\nl3\"\nB=2", &[("A", "l1\nl2\nl3"), ("B", "2")]),
    (
        "A='{\n \"k\": 1\n}'\nB=2",
        &[("A", "{\n \"k\": 1\n}"), ("B", "2")],
    ),
    (r#"A="a\"b""#, &[("A", r#"a\"b"#)]),
    ("A=\"a\\\"\nB=1", &[("A", r"a\"), ("B", "1")]),
    (r"A='it\'s'", &[("A", r"it\'s")]),
    ("A=\"abc\nB=2", &[("A", r#""abc"#), ("B", "2")]),
    ("A=\"abc\nB=\"x\"", &[("A", r#""abc"#), ("B", "x")]),
    (r#"A="a" "b""#, &[("A", r#"a" "b"#)]),
    (r#"A="a"b"#, &[("A", r#""a"b"#)]),
    (r##"A="a"#c"##, &[("A", "a")]),
    (r#"A=a "b" c"#, &[("A", r#"a "b" c"#)]),
    (r#"A={"foo": "bar"}"#, &[("A", r#"{"foo": "bar"}"#)]),
    ("A=it's\nB=2", &[("A", "it's"), ("B", "2")]),
    ("hello world\nA=1\n=x\n#c", &[("A", "1")]),
    ("A=1\nA=2", &[("A", "2")]),
    ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
    ("a.b-c=1", &[("a.b-c", "1")]),
    ("X=1\nA=${X}/$X", &[("X", "1"), ("A", "1/1")]),
    ("A=${X:-d}-${Y-e}", &[("A", "d-e")]),
    (
        "X=1\nA=${X:+y}|${X+z}|${Y:+n}|",
        &[("X", "1"), ("A", "y|z||")],
    ),
    (r"A=\$X and \${Y}", &[("A", "$X and ${Y}")]),
    ("A=${X:-${Y:-z}}", &[("A", "z")]),
    ("A=a${X}b$Y", &[("A", "ab")]),
    ("X=1\nA=\"v ${X}\"", &[("X", "1"), ("A", "v 1")]),
    ("X=1\nA='v ${X}'", &[("X", "1"), ("A", "v ${X}")]),
    ("X='p$w'\nA=${X}!", &[("X", "p$w"), ("A", "p$w!")]),
    ("A=${A}x", &[("A", "x")]),
    ("A=cost$", &[("A", "cost$")]),
    ("A=$5", &[("A", "$5")]),
    ("A=${}", &[("A", "${}")]),
    ("A=${X:-a-b}", &[("A", "a-b")]),
    (
        "X='a'\nY=b\nA=${X}-${Y}",
        &[("X", "a"), ("Y", "b"), ("A", "a-b")],
    ),
    ("R=file\nA=${R}", &[("A", "real")]),
    ("E=file\nA=${E}", &[("A", "")]),
    (r"A=C:\path\x", &[("A", r"C:\path\x")]),
    ("A=b=c==d", &[("A", "b=c==d")]),
    ("A\t=\t1", &[("A", "1")]),
    ("A=`x\ny`", &[("A", "x\ny")]),
    ("A=\"\"\nB=''\nC=``", &[("A", ""), ("B", ""), ("C", "")]),
    (r#"A="  x  ""#, &[("A", "  x  ")]),
    ("A=\"x\"\ntext \"y\"\nB=1", &[("A", "x"), ("B", "1")]),
    (r#"A="x" y # z"#, &[("A", r#""x" y"#)]),
];

fn real(name: &str) -> Option<String> {
    match name {
        "R" => Some("real".to_owned()),
        "E" => Some(String::new()),
        _ => None,
    }
}

/// Of several with one name the last counts.
fn values(source: &str) -> BTreeMap<String, String> {
    parse(source, &real).variables.into_iter().collect()
}

#[test]
fn values_are_what_dotenvx_makes_of_them() {
    for (source, expected) in DOTENVX {
        // Variables that the process has are not the file's to set.
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();

        assert_eq!(values(source), expected, "{source}");
        assert_eq!(parse(source, &real).faults, [], "{source}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_name() {
    assert_eq!(values("\u{feff}A=1")["A"], "1");
}

#[test]
fn encrypted_values_and_commands_are_told_by_line() {
    let source = "# sealed\nA=\"encrypted:BKx\"\nB='x\ny'\nC=a $(whoami) b\nD='$(kept)'\n";
    let parsed = parse(source, &real);

    let fault = |name: &str, line, kind| DotenvFault {
        name: name.to_owned(),
        line,
        kind,
    };
    let expected = [
        fault("A", 2, DotenvFaultKind::Encrypted),
        fault("C", 5, DotenvFaultKind::Command),
    ];
    assert_eq!(parsed.faults, expected);
    assert_eq!(values(source)["D"], "$(kept)");
}

#[test]
fn what_the_process_has_is_neither_decrypted_nor_run() {
    let parsed = parse("R=$(whoami)\nE=encrypted:x", &real);

    assert_eq!(parsed, Parsed::default());
}

#[test]
fn references_in_a_circle_come_to_an_end() {
    let circle = |name: &str| match name {
        "A" => Some("${B}.".to_owned()),
        "B" => Some("${A}.".to_owned()),
        _ => None,
    };
    let parsed = parse("X=a${A}", &circle);

    assert_eq!(parsed.faults[0].kind, DotenvFaultKind::Endless);
}

#[test]
fn references_that_grow_beyond_reason_come_to_an_end() {
    let long = |_: &str| Some("x".repeat(100_000));
    let parsed = parse("X=${A}${A}${A}${A}${A}${A}${A}${A}${A}${A}${A}", &|name| {
        (name == "A").then(|| long(name)).flatten()
    });

    assert_eq!(parsed.faults[0].kind, DotenvFaultKind::Endless);
}

#[test]
fn lines_that_say_nothing_are_told() {
    assert_eq!(
        parse("A=1\nnonsense\n\n# fine\n=x\n", &real).skipped,
        [2, 5]
    );
}

proptest! {
    #[test]
    fn any_text_can_be_read(source in "[AB=:#'\"`\\\\$ \\{\\}\\-\\+xn\n]{0,60}") {
        parse(&source, &real);
    }

    #[test]
    fn single_quotes_keep_everything(value in "[^'\\\\\r]{0,40}") {
        prop_assume!(!value.starts_with("encrypted:"));
        let read = values(&format!("A='{value}'"));
        prop_assert_eq!(read.get("A"), Some(&value));
    }

    #[test]
    fn plain_words_need_no_quotes(value in "[a-zA-Z0-9/:.,@%+-][a-zA-Z0-9 /:.,@%+-]{0,40}") {
        let read = values(&format!("A={value} # comment"));
        prop_assert_eq!(read.get("A").map(String::as_str), Some(value.trim()));
    }
}
