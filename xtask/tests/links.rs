//! Each link of the documentation to another place in it leads there.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pages = pages(&root.join("docs"));
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    let mut faults = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for link in links(&fs::read_to_string(page).unwrap()) {
            followed += 1;
            if !leads_somewhere(page, &link) {
                faults.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_heading_is_named_as_readers_of_the_page_see_it() {
    let page = "# One\n## Tokens: `a` & *b*, 2.1\n```sh\n# no heading\n```\n";
    assert_eq!(anchors(page), ["one", "tokens-a--b-21"]);
    assert_eq!(
        links("[a](b.md#c), [d](https://e.example) and [f](#g)"),
        ["b.md#c", "#g"]
    );
}

fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The targets of links that stay in the repository.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for part in page.split("](").skip(1) {
        let target = part.split([')', ' ', '\n']).next().unwrap_or_default();
        if !target.contains(':') {
            links.push(target.to_owned());
        }
    }
    links
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap().join(file),
    };
    if anchor.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target)
        .is_ok_and(|text| anchors(&text).iter().any(|heading| heading == anchor))
}

/// The names of a page's headings: in small letters, hyphens for spaces, without marks.
fn anchors(page: &str) -> Vec<String> {
    let mut in_code = false;
    let mut anchors = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        let heading = line.trim_start_matches('#');
        if in_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let named = heading.trim().to_lowercase();
        let kept = named
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        anchors.push(kept.collect::<String>().replace(' ', "-"));
    }
    anchors
}
