//! Elements one after the other, in the names of UBL.

use std::io::Result;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

const UBL: &str = "urn:oasis:names:specification:ubl:schema:xsd:";

pub struct Xml(Writer<Vec<u8>>);

impl Xml {
    pub fn new() -> Xml {
        Xml(Writer::new_with_indent(Vec::new(), b' ', 2))
    }

    /// The document element of `Invoice` or `CreditNote`, with the declaration before it.
    pub fn root(&mut self, name: &str, inner: impl FnOnce(&mut Xml) -> Result<()>) -> Result<()> {
        self.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let namespaces = [
            ("xmlns", format!("{UBL}{name}-2")),
            ("xmlns:cac", format!("{UBL}CommonAggregateComponents-2")),
            ("xmlns:cbc", format!("{UBL}CommonBasicComponents-2")),
        ];
        let attributes = namespaces.iter().map(|(key, value)| (*key, value.as_str()));
        self.nest(name, attributes, inner)
    }

    /// An element of elements.
    pub fn group(&mut self, name: &str, inner: impl FnOnce(&mut Xml) -> Result<()>) -> Result<()> {
        self.nest(name, [], inner)
    }

    fn nest<'a>(
        &mut self,
        name: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        inner: impl FnOnce(&mut Xml) -> Result<()>,
    ) -> Result<()> {
        let start = quick_xml::events::BytesStart::new(name).with_attributes(attributes);
        let end = start.to_end().into_owned();
        self.0.write_event(Event::Start(start.borrow()))?;
        inner(self)?;
        self.0.write_event(Event::End(end))
    }

    /// An element of text.
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.0.create_element(name).write_text_content(BytesText::new(&clean(text)))?;
        Ok(())
    }

    /// An element of text, where there is any.
    pub fn optional(&mut self, name: &str, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) if !clean(text).is_empty() => self.text(name, text),
            _ => Ok(()),
        }
    }

    /// An element of text with one attribute; none where there is no text.
    pub fn attributed(&mut self, name: &str, attribute: (&str, &str), text: &str) -> Result<()> {
        let text = clean(text);
        if !text.is_empty() {
            self.0.create_element(name).with_attribute(attribute).write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner()
    }
}

/// The text trimmed, with a sign in place of each character that XML 1.0 can't hold.
pub fn clean(text: &str) -> String {
    let is_char =
        |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let kept: String = text.chars().map(|c| if is_char(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    kept.trim().to_owned()
}
