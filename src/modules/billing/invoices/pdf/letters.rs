//! Letters: the fonts, and text turned into lines of them.

use std::sync::LazyLock;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, Feature, UnicodeBuffer, ttf_parser::Tag};

use crate::platform::error::{Error, Result};

/// Inter 3.19, cut down to Latin, Greek and Cyrillic; the SIL Open Font License lies beside it.
static REGULAR: &[u8] = include_bytes!("../assets/Inter-Regular.otf");
static STRONG: &[u8] = include_bytes!("../assets/Inter-SemiBold.otf");

/// Stands for a character that the font does not have.
const BOX: char = '\u{25a1}';

static FACES: LazyLock<Option<Faces>> =
    LazyLock::new(|| Some(Faces { regular: Face::read(REGULAR)?, strong: Face::read(STRONG)? }));

/// Both weights that documents are set in.
pub struct Faces {
    pub regular: Face,
    pub strong: Face,
}

/// The fonts, read once.
///
/// # Errors
/// If the program was built with a broken font.
pub fn faces() -> Result<&'static Faces> {
    FACES.as_ref().ok_or_else(|| Error::Internal("the font of documents can't be read".into()))
}

/// One weight of the font.
pub struct Face {
    pub font: Font,
    shaper: rustybuzz::Face<'static>,
    /// The glyph of [`BOX`], and its width per size.
    missing: (u32, f32),
}

/// Text of one line, as glyphs.
#[derive(Clone)]
pub struct Run {
    pub face: &'static Face,
    pub size: f32,
    pub text: String,
    pub glyphs: Vec<KrillaGlyph>,
    /// In points.
    pub width: f32,
}

impl Face {
    fn read(data: &'static [u8]) -> Option<Face> {
        let shaper = rustybuzz::Face::from_slice(data, 0)?;
        let glyph = shaper.glyph_index(BOX)?;
        let width = f32::from(shaper.glyph_hor_advance(glyph)?) / shaper.units_per_em() as f32;
        Some(Face { font: Font::new(data.into(), 0)?, shaper, missing: (u32::from(glyph.0), width) })
    }

    /// The glyph of what the font lacks.
    #[cfg(test)]
    pub fn missing_glyph(&self) -> GlyphId {
        GlyphId::new(self.missing.0)
    }

    /// The text as one line, whatever its width.
    pub fn line(&'static self, size: f32, text: &str) -> Run {
        let text: String = text.chars().map(printable).collect();
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(&text);
        buffer.set_direction(Direction::LeftToRight);
        // Digits of one width, so that amounts stand in columns.
        let shaped = rustybuzz::shape(&self.shaper, &[Feature::new(Tag::from_bytes(b"tnum"), 1, ..)], buffer);
        let em = self.shaper.units_per_em() as f32;
        let starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        let glyphs: Vec<KrillaGlyph> = std::iter::zip(shaped.glyph_infos(), shaped.glyph_positions())
            .map(|(info, position)| {
                let start = info.cluster as usize;
                let end = starts.iter().copied().find(|next| *next > start).unwrap_or(text.len());
                let (glyph, advance) =
                    if info.glyph_id == 0 { self.missing } else { (info.glyph_id, position.x_advance as f32 / em) };
                let (x, y) = (position.x_offset as f32 / em, position.y_offset as f32 / em);
                KrillaGlyph::new(GlyphId::new(glyph), advance, x, y, 0.0, start..end, None)
            })
            .collect();
        let width = glyphs.iter().map(|glyph| glyph.x_advance).sum::<f32>() * size;
        Run { face: self, size, text, glyphs, width }
    }

    /// The text in lines that are no wider than `width`: broken between words, which `breaks` tells apart, and within those
    /// that are too long.
    pub fn lines(&'static self, size: f32, text: &str, width: f32, breaks: fn(char) -> bool) -> Vec<Run> {
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let mut line = String::new();
            let words = paragraph.split(breaks).filter(|word| !word.is_empty());
            for word in words.flat_map(|word| self.pieces(size, word, width)) {
                let longer = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
                if self.line(size, &longer).width <= width {
                    line = longer;
                } else if !line.is_empty() {
                    // The space tells whoever reads it aloud that a word ends here.
                    lines.push(format!("{} ", std::mem::replace(&mut line, word)));
                } else {
                    line = word;
                }
            }
            lines.push(line);
        }
        lines.iter().map(|line| self.line(size, line)).collect()
    }

    /// The word, in pieces that fit.
    fn pieces(&'static self, size: f32, word: &str, width: f32) -> Vec<String> {
        let whole = self.line(size, word);
        if whole.width <= width {
            return vec![word.to_owned()];
        }
        let mut pieces = Vec::new();
        let (mut start, mut used) = (0, 0.0);
        for glyph in &whole.glyphs {
            let advance = glyph.x_advance * size;
            if used + advance > width && glyph.text_range.start > start {
                pieces.push(whole.text[start..glyph.text_range.start].to_owned());
                (start, used) = (glyph.text_range.start, 0.0);
            }
            used += advance;
        }
        pieces.push(whole.text[start..].to_owned());
        pieces
    }
}

/// What can stand in a PDF/A: no control characters, and none whose meaning is private.
fn printable(c: char) -> char {
    match c {
        c if c.is_control() => ' ',
        '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => BOX,
        c => c,
    }
}
