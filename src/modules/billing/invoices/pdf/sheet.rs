//! Sheets of A4 that fill from top to bottom, with what they say tagged for those who don't see it.

use std::num::NonZeroU16;

use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::embed::EmbeddedFile;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, SpanTag, TableHeaderScope, Tag, TagGroup, TagKind, TagTree,
};
use krilla::{Document, SerializeSettings};

use super::letters::{Run, faces};
use crate::modules::billing::languages::Words;
use crate::platform::error::{Error, Result};

/// A4, in points.
const WIDTH: f32 = 595.276;
const HEIGHT: f32 = 841.89;
pub const LEFT: f32 = 57.0;
pub const RIGHT: f32 = WIDTH - 57.0;
const TOP: f32 = 62.0;
/// Below this stands the foot alone.
const BOTTOM: f32 = HEIGHT - 74.0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Text,
    Aside,
    Rule,
}

/// Where a run stands.
#[derive(Clone, Copy)]
pub enum Align {
    /// From there on.
    Left(f32),
    /// Up to there.
    Right(f32),
}

/// A part of what the document says, in the order in which it is read.
pub enum Part {
    Group(TagKind, Vec<Part>),
    /// A run, by its number.
    Run(usize),
}

/// Something drawn; with the number of its run where it says something new.
struct Mark {
    shape: Shape,
    run: Option<usize>,
}

enum Shape {
    Text { x: f32, baseline: f32, run: Run, ink: Ink },
    Rule { y: f32, from: f32 },
}

pub struct Sheets {
    pages: Vec<Vec<Mark>>,
    runs: usize,
    /// Where the next line begins, from the top.
    pub y: f32,
    /// Put at the top of every page but the first, artifacts all.
    head: Vec<Mark>,
    head_height: f32,
}

impl Sheets {
    pub fn new() -> Sheets {
        Sheets { pages: vec![Vec::new()], runs: 0, y: TOP, head: Vec::new(), head_height: 0.0 }
    }

    /// Goes to a new page unless `height` is left on this one.
    pub fn ensure(&mut self, height: f32) {
        let fits_at_all = TOP + self.head_height + height <= BOTTOM;
        if self.y + height > BOTTOM && (fits_at_all || self.y + 14.0 > BOTTOM) {
            self.pages.push(Vec::new());
            self.y = TOP;
            let head: Vec<Mark> = self.head.iter().map(|mark| mark.moved(TOP)).collect();
            self.draw(head);
            self.y += self.head_height;
        }
    }

    /// One line of text whose baseline is `down` below the top of this line.
    pub fn text(&mut self, run: Run, align: Align, down: f32, ink: Ink) -> Part {
        let number = self.runs;
        self.runs += 1;
        let x = left_of(align, &run);
        let shape = Shape::Text { x, baseline: self.y + down, run, ink };
        self.draw(vec![Mark { shape, run: Some(number) }]);
        Part::Run(number)
    }

    /// A hairline, from there to the right edge, at the top of this line.
    pub fn rule(&mut self, from: f32) {
        let y = self.y;
        self.draw(vec![Mark { shape: Shape::Rule { y, from }, run: None }]);
    }

    fn draw(&mut self, marks: Vec<Mark>) {
        if let Some(page) = self.pages.last_mut() {
            page.extend(marks);
        }
    }

    /// What stands on this page from `top` on is repeated at the top of all that follow, until [`Sheets::end_head`].
    pub fn begin_head(&mut self, top: f32) {
        let page = self.pages.last().map(Vec::as_slice).unwrap_or_default();
        self.head = page.iter().filter(|mark| mark.top() >= top).map(|mark| mark.moved(-top)).collect();
        self.head_height = self.y - top;
    }

    pub fn end_head(&mut self) {
        self.head.clear();
        self.head_height = 0.0;
    }

    /// Of each page all text, with the box around it from left to right and its baseline.
    #[cfg(test)]
    pub fn texts(&self) -> Vec<Vec<(String, [f32; 3])>> {
        let text = |mark: &Mark| match &mark.shape {
            Shape::Text { x, baseline, run, .. } => Some((run.text.clone(), [*x, x + run.width, *baseline])),
            Shape::Rule { .. } => None,
        };
        self.pages.iter().map(|page| page.iter().filter_map(text).collect()).collect()
    }

    /// The PDF: PDF/A-3a and PDF/UA-1, the same bytes for the same marks.
    ///
    /// # Errors
    /// [`Error::Internal`] if it would not be one.
    pub fn finish(
        mut self,
        frame: Frame,
        parts: Vec<Part>,
        metadata: Metadata,
        attached: Option<EmbeddedFile>,
    ) -> Result<Vec<u8>> {
        let fault = |cause: &dyn std::fmt::Debug| Error::internal("writing a PDF", format!("{cause:?}"));
        self.frame(&frame)?;
        let configuration = ConfigurationBuilder::new()
            .with_archival_validator(Archival::A3_A)
            .with_accessibility_validator(Accessibility::UA1)
            .finish()
            .map_err(|e| fault(&e))?;
        let mut document = Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
        let size = PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| fault(&"no size"))?;
        let mut identifiers: Vec<Option<Identifier>> = vec![None; self.runs];
        for marks in &self.pages {
            let mut page = document.start_page_with(size.clone());
            let mut surface = page.surface();
            for mark in marks {
                let identifier = mark.paint(&mut surface);
                if let Some(place) = mark.run.and_then(|number| identifiers.get_mut(number)) {
                    *place = Some(identifier);
                }
            }
            surface.finish();
            page.finish();
        }
        let mut tree = TagTree::new().with_lang(Some(frame.words.tag.into()));
        for part in parts {
            if let Part::Group(tag, parts) = part {
                tree.push(group(tag, parts, &mut identifiers));
            }
        }
        document.set_tag_tree(tree);
        let mut outline = Outline::new();
        outline.push_child(OutlineNode::new(frame.title, XyzDestination::new(0, Point::from_xy(0.0, 0.0))));
        document.set_outline(outline);
        document.set_metadata(metadata);
        if let Some(file) = attached {
            document.embed_file(file);
        }
        document.finish().map_err(|e| fault(&e))
    }

    /// The foot of every page, and the line at the top of all but the first.
    pub fn frame(&mut self, frame: &Frame) -> Result<()> {
        let face = &faces()?.regular;
        let all = self.pages.len();
        for (n, page) in self.pages.iter_mut().enumerate() {
            let mut put = |align: Align, baseline: f32, text: &str| {
                let run = face.line(7.5, text);
                let x = left_of(align, &run);
                page.push(Mark { shape: Shape::Text { x, baseline, run, ink: Ink::Aside }, run: None });
            };
            let number = (frame.words.document.page_of)(n + 1, all);
            let room = RIGHT - LEFT - face.line(7.5, &number).width - 20.0;
            put(Align::Right(RIGHT), HEIGHT - 40.0, &number);
            for (n, line) in face.lines(7.5, &frame.foot, room, frame.breaks).iter().take(2).enumerate() {
                put(Align::Left(LEFT), HEIGHT - 40.0 + 10.0 * n as f32, line.text.trim_end());
            }
            if n > 0 {
                put(Align::Left(LEFT), 42.0, &frame.title);
            }
        }
        Ok(())
    }
}

/// What stands on every page.
pub struct Frame {
    pub title: String,
    pub foot: String,
    pub words: &'static Words,
    /// Where the foot may break.
    pub breaks: fn(char) -> bool,
}

fn left_of(align: Align, run: &Run) -> f32 {
    match align {
        Align::Left(x) => x,
        Align::Right(x) => x - run.width,
    }
}

fn group(tag: TagKind, parts: Vec<Part>, identifiers: &mut [Option<Identifier>]) -> TagGroup {
    let mut group = TagGroup::new(tag);
    for part in parts {
        match part {
            Part::Group(tag, parts) => group.push(self::group(tag, parts, identifiers)),
            Part::Run(number) => {
                if let Some(identifier) = identifiers.get_mut(number).and_then(Option::take) {
                    group.push(identifier);
                }
            }
        }
    }
    group
}

impl Mark {
    fn top(&self) -> f32 {
        match &self.shape {
            Shape::Text { baseline, .. } => *baseline,
            Shape::Rule { y, .. } => *y,
        }
    }

    /// The same further down, as an artifact.
    fn moved(&self, by: f32) -> Mark {
        let shape = match &self.shape {
            Shape::Text { x, baseline, run, ink } => {
                Shape::Text { x: *x, baseline: baseline + by, run: run.clone(), ink: *ink }
            }
            Shape::Rule { y, from } => Shape::Rule { y: y + by, from: *from },
        };
        Mark { shape, run: None }
    }

    fn paint(&self, surface: &mut Surface<'_>) -> Identifier {
        let tag = match (&self.shape, self.run) {
            (Shape::Text { .. }, Some(_)) => ContentTag::Span(SpanTag::empty()),
            (Shape::Text { .. }, None) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
            (Shape::Rule { .. }, _) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)),
        };
        let identifier = surface.start_tagged(tag);
        match &self.shape {
            Shape::Text { x, baseline, run, ink } => {
                surface.set_fill(Some(fill(*ink)));
                let start = Point::from_xy(*x, *baseline);
                surface.draw_glyphs(start, &run.glyphs, run.face.font.clone(), &run.text, run.size, false);
            }
            Shape::Rule { y, from } => {
                surface.set_fill(Some(fill(Ink::Rule)));
                let mut path = PathBuilder::new();
                if let Some(line) = Rect::from_ltrb(*from, *y, RIGHT, y + 0.6) {
                    path.push_rect(line);
                }
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
        surface.end_tagged();
        identifier
    }
}

fn fill(ink: Ink) -> Fill {
    let color = match ink {
        Ink::Text => rgb::Color::new(0x1a, 0x1d, 0x23),
        Ink::Aside => rgb::Color::new(0x5c, 0x64, 0x70),
        Ink::Rule => rgb::Color::new(0xcf, 0xd4, 0xdb),
    };
    Fill { paint: color.into(), ..Fill::default() }
}

pub fn heading(level: u16, text: &str, parts: Vec<Part>) -> Part {
    let level = NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN);
    Part::Group(Tag::Hn(level, Some(text.to_owned())).into(), parts)
}

pub fn paragraph(parts: Vec<Part>) -> Part {
    Part::Group(Tag::P.into(), parts)
}

pub fn table(head: Vec<Part>, body: Vec<Part>) -> Part {
    let head = head.into_iter().map(|cell| Part::Group(Tag::TH(TableHeaderScope::Column).into(), vec![cell])).collect();
    let head = Part::Group(Tag::THead.into(), vec![Part::Group(Tag::TR.into(), head)]);
    Part::Group(Tag::Table.into(), vec![head, Part::Group(Tag::TBody.into(), body)])
}

pub fn row(cells: Vec<Vec<Part>>) -> Part {
    let cells = cells.into_iter().map(|parts| Part::Group(Tag::TD.into(), parts)).collect();
    Part::Group(Tag::TR.into(), cells)
}
