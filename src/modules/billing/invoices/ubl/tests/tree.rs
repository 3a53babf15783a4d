//! An XML document read back, with paths to look into it and edits that break it.

use std::ops::Range;

use roxmltree::Document;
use rust_decimal::Decimal;

/// The document, or one element of it.
pub type Doc<'a> = Node<'a>;

#[derive(Clone, Copy)]
pub struct Node<'a>(roxmltree::Node<'a, 'a>);

impl<'a> Node<'a> {
    pub fn root(document: &'a Document<'a>) -> Node<'a> {
        Node(document.root_element())
    }

    /// All elements at a path like `cac:TaxTotal/cbc:TaxAmount`.
    pub fn all(&self, path: &str) -> Vec<Node<'a>> {
        path.split('/').fold(vec![*self], |nodes, step| {
            let (prefix, name) = step.split_once(':').unwrap();
            let space = match prefix {
                "cac" => "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
                "cbc" => "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
                _ => panic!("no prefix of UBL: {prefix}"),
            };
            nodes
                .iter()
                .flat_map(|node| node.0.children())
                .filter(|child| child.has_tag_name((space, name)))
                .map(Node)
                .collect()
        })
    }

    /// The first of [`Node::all`].
    pub fn one(&self, path: &str) -> Option<Node<'a>> {
        self.all(path).first().copied()
    }

    pub fn text(&self, path: &str) -> Option<&'a str> {
        self.one(path).map(|node| node.own_text())
    }

    pub fn number(&self, path: &str) -> Option<Decimal> {
        self.text(path).map(|text| text.parse().unwrap())
    }

    pub fn own_text(&self) -> &'a str {
        self.0.text().unwrap_or_default()
    }

    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.0.attribute(name)
    }

    pub fn name(&self) -> &'a str {
        self.0.tag_name().name()
    }
}

/// What is done to the first element at a path.
#[derive(Clone, Copy)]
pub enum Edit {
    Remove(&'static str),
    RemoveAll(&'static str),
    /// Both ways to say why there is no tax.
    RemoveReasons,
    /// Gives it this text instead of what is in it.
    Set(&'static str, &'static str),
    /// Takes its attributes.
    Bare(&'static str),
    /// Puts other XML before it.
    Before(&'static str, &'static str),
}

impl Edit {
    /// `xml` with the edit done.
    pub fn apply(self, xml: &str) -> String {
        let document = Document::parse(xml).unwrap();
        let at = |path: &str| -> Vec<Range<usize>> {
            let found = Node::root(&document).all(path);
            assert!(!found.is_empty(), "there is no {path} to edit");
            found.iter().map(|node| node.0.range()).collect()
        };
        let mut changed = xml.to_owned();
        let mut replace = |range: &Range<usize>, with: &str| changed.replace_range(range.clone(), with);
        match self {
            Edit::Remove(path) => replace(&at(path)[0], ""),
            Edit::RemoveAll(path) => at(path).iter().rev().for_each(|range| replace(range, "")),
            Edit::RemoveReasons => {
                for name in ["cbc:TaxExemptionReason", "cbc:TaxExemptionReasonCode"] {
                    replace(&at(&format!("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/{name}"))[0], "");
                }
            }
            Edit::Set(path, text) => {
                let range = &at(path)[0];
                let element = &xml[range.clone()];
                let (start, end) = (element.find('>').unwrap() + 1, element.rfind("</").unwrap());
                replace(range, &format!("{}{text}{}", &element[..start], &element[end..]));
            }
            Edit::Bare(path) => {
                let range = &at(path)[0];
                let element = &xml[range.clone()];
                let (space, end) = (element.find(' ').unwrap(), element.find('>').unwrap());
                replace(range, &format!("{}{}", &element[..space], &element[end..]));
            }
            Edit::Before(path, more) => {
                let start = at(path)[0].start;
                replace(&(start..start), more);
            }
        }
        changed
    }
}
