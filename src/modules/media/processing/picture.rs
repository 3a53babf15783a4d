//! Pictures: three sizes, the right way up, without metadata.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader};

use super::{Limits, Processed, Variant, check_size, fault, file_of};
use crate::platform::jobs::Failure;

/// The longer side in pixels, largest first: each is made of the one before. None is enlarged.
const SIZES: [(&str, u32); 3] = [("large", 1920), ("medium", 960), ("small", 320)];
/// Of 100: the eye sees no difference from there on.
const JPEG_QUALITY: u8 = 82;

/// A picture as its file has it.
struct Decoded {
    pixels: DynamicImage,
    /// The ICC profile that says what its colours mean; it tells of nobody, and stays.
    profile: Option<Vec<u8>>,
    orientation: Orientation,
}

pub(super) fn process(
    limits: &Limits,
    input: &Path,
    scratch: &Path,
    watch: &dyn Fn(u8) -> Result<(), Failure>,
) -> Result<Processed, Failure> {
    watch(0)?;
    // A decoder that meets a case its author did not think of must not take along whoever called it.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(limits, input)));
    let decoded = decoded.unwrap_or_else(|_| Err(Failure::Never("it is damaged and can't be read".into())))?;
    let Decoded { mut pixels, orientation, profile } = decoded;
    watch(50)?;
    let whole = (pixels.width(), pixels.height());
    // The most expensive step comes first, so that all others have few pixels.
    pixels = shrunk(pixels, SIZES[0].1);
    pixels.apply_orientation(orientation);
    let is_turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (width, height) = if is_turned { (whole.1, whole.0) } else { whole };
    let mut pixels = plain(pixels);
    let mut variants = Vec::new();
    for (percent, (name, longest)) in [70, 85, 95].into_iter().zip(SIZES) {
        watch(percent)?;
        pixels = shrunk(pixels, longest);
        let content_type = write(&pixels, profile.as_deref(), &file_of(scratch, name))?;
        variants.push(Variant {
            name: name.into(),
            content_type: content_type.into(),
            width: pixels.width(),
            height: pixels.height(),
        });
    }
    variants.reverse();
    Ok(Processed { width: Some(width), height: Some(height), variants, ..Processed::default() })
}

/// Decodes a file; of what moves, the first frame.
fn decode(limits: &Limits, input: &Path) -> Result<Decoded, Failure> {
    let file = File::open(input).map_err(fault("opening the upload"))?;
    let reader = BufReader::with_capacity(256 * 1024, file);
    let mut reader = ImageReader::new(reader).with_guessed_format().map_err(fault("reading the upload"))?;
    let known = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];
    let Some(format) = reader.format().filter(|format| known.contains(format)) else {
        return Err(Failure::Never("it is no picture of a kind that is taken: JPEG, PNG, WebP or GIF".into()));
    };
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_picture_bytes);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(words)?;
    let (width, height) = decoder.dimensions();
    check_size(limits, width, height)?;
    allowed.reserve(decoder.total_bytes()).map_err(words)?;
    decoder.set_limits(allowed).map_err(words)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().unwrap_or(None);
    let pixels = DynamicImage::from_decoder(decoder).map_err(words)?;
    // Its decoder fills with grey what is missing.
    if format == ImageFormat::Jpeg && !is_whole_jpeg(input).map_err(fault("reading the upload"))? {
        return Err(cut_off());
    }
    Ok(Decoded { pixels, profile, orientation })
}

/// What is wrong with a picture, for whoever uploaded it.
fn words(error: ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => Failure::Never("it takes too much memory to be opened: make it smaller".into()),
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => cut_off(),
        ImageError::IoError(e) if e.raw_os_error().is_some() => fault("reading the upload")(e),
        ImageError::Unsupported(_) => {
            Failure::Never("it is a picture of a rare variety that can't be read: save it anew and try again".into())
        }
        _ => Failure::Never("it is damaged and can't be read".into()),
    }
}

fn cut_off() -> Failure {
    Failure::Never("it is cut off: its end is missing".into())
}

/// Whether a JPEG's end is there, near the end of its file: some cameras write a little behind it.
fn is_whole_jpeg(path: &Path) -> std::io::Result<bool> {
    const TAIL: u64 = 1 << 20;
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail.windows(2).any(|pair| pair == [0xff, 0xd9]))
}

/// With its longer side at most so long.
fn shrunk(pixels: DynamicImage, longest: u32) -> DynamicImage {
    if pixels.width().max(pixels.height()) <= longest {
        return pixels;
    }
    // Far smaller, it is first brought near by a cheap filter.
    let near = match pixels.width().max(pixels.height()) > longest.saturating_mul(3) {
        true => pixels.thumbnail(longest * 2, longest * 2),
        false => pixels,
    };
    near.resize(longest, longest, FilterType::CatmullRom)
}

/// In 8 bits a channel, and with alpha only where something shows through.
fn plain(pixels: DynamicImage) -> DynamicImage {
    if !pixels.color().has_alpha() {
        return pixels.into_rgb8().into();
    }
    let pixels = pixels.into_rgba8();
    match pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
        true => DynamicImage::from(pixels).into_rgb8().into(),
        false => pixels.into(),
    }
}

/// JPEG, or PNG where something shows through; returns its type.
fn write(pixels: &DynamicImage, profile: Option<&[u8]>, path: &Path) -> Result<&'static str, Failure> {
    let failed = fault("writing a picture");
    let mut file = BufWriter::new(File::create(path).map_err(fault("writing a picture"))?);
    let (written, content_type) = if pixels.color().has_alpha() {
        let mut encoder = PngEncoder::new(&mut file);
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile.to_vec()).ok(); // Without it the colours are a little off.
        }
        (pixels.write_with_encoder(encoder), "image/png")
    } else {
        let mut encoder = JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY);
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile.to_vec()).ok(); // As above.
        }
        (pixels.write_with_encoder(encoder), "image/jpeg")
    };
    written.map_err(|e| Failure::Retry(format!("writing a picture: {e}")))?;
    file.flush().map_err(failed)?;
    Ok(content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn processed(bytes: &[u8], limits: &Limits) -> Result<(Processed, tempfile::TempDir), Failure> {
        let (folder, path) = file(bytes);
        let done = process(limits, &path, folder.path(), &|_| Ok(()))?;
        Ok((done, folder))
    }

    fn encoded(pixels: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        pixels.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Red on the left, blue on the right, with some texture.
    fn photo(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |x, y| {
            let shade = ((x * 7 + y * 13) % 32) as u8;
            if x < width / 2 { image::Rgb([200 + shade, 10, 10]) } else { image::Rgb([10, 10, 200 + shade]) }
        }))
    }

    #[test]
    fn a_photo_comes_in_three_sizes_none_enlarged() {
        let (done, folder) = processed(&encoded(&photo(2400, 1200), ImageFormat::Jpeg), &Limits::default()).unwrap();

        assert_eq!((done.width, done.height), (Some(2400), Some(1200)));
        let sizes: Vec<_> = done.variants.iter().map(|one| (one.name.as_str(), one.width, one.height)).collect();
        assert_eq!(sizes, [("small", 320, 160), ("medium", 960, 480), ("large", 1920, 960)]);
        let small = image::load_from_memory(&std::fs::read(folder.path().join("small")).unwrap()).unwrap().into_rgb8();
        assert!(small.get_pixel(20, 80).0[0] > 180 && small.get_pixel(300, 80).0[2] > 180);

        let (tiny, _folder) = processed(&encoded(&photo(8, 4), ImageFormat::Png), &Limits::default()).unwrap();
        assert!(tiny.variants.iter().all(|one| (one.width, one.height) == (8, 4)));
    }

    #[test]
    fn it_is_turned_the_right_way_up_and_its_metadata_is_gone() {
        // EXIF: orientation 6 (turn by 90° to the right), behind a comment with a place.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0 47.3769N 8.5417E";
        let plain = encoded(&photo(600, 300), ImageFormat::Jpeg);
        let mut bytes = plain[..2].to_vec();
        bytes.extend([0xff, 0xe1]);
        bytes.extend((exif.len() as u16 + 2).to_be_bytes());
        bytes.extend(exif);
        bytes.extend(&plain[2..]);

        let (done, folder) = processed(&bytes, &Limits::default()).unwrap();

        assert_eq!((done.width, done.height), (Some(300), Some(600)));
        for variant in ["small", "medium", "large"] {
            let bytes = std::fs::read(folder.path().join(variant)).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"47.3769"), "{variant} tells where it was");
        }
        let small = image::open(folder.path().join("small"));
        assert!(small.is_err() || small.unwrap().height() > 0);
        let bytes = std::fs::read(folder.path().join("large")).unwrap();
        let large = image::load_from_memory(&bytes).unwrap().into_rgb8();
        // What was left is on top now.
        assert!(large.get_pixel(150, 50).0[0] > 180 && large.get_pixel(150, 550).0[2] > 180);
    }

    #[test]
    fn what_shows_through_still_does() {
        let glass = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(500, 500, image::Rgba([1, 2, 3, 100])));
        let opaque = DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(500, 500, image::Rgba([1, 2, 3, 255])));

        let (glass, _one) = processed(&encoded(&glass, ImageFormat::Png), &Limits::default()).unwrap();
        let (opaque, _two) = processed(&encoded(&opaque, ImageFormat::Png), &Limits::default()).unwrap();

        assert!(glass.variants.iter().all(|one| one.content_type == "image/png"));
        assert!(opaque.variants.iter().all(|one| one.content_type == "image/jpeg"));
    }

    #[test]
    fn bombs_and_broken_files_are_refused_in_words() {
        let why = |bytes: &[u8], limits: &Limits| match processed(bytes, limits) {
            Err(Failure::Never(why)) => why,
            other => panic!("{other:?}"),
        };
        let limits = Limits::default();
        // A header that promises 60,000 × 60,000 pixels.
        let mut bomb = encoded(&photo(10, 10), ImageFormat::Png);
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let sum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());

        assert!(why(&bomb, &limits).contains("60000 × 60000 pixels"), "{}", why(&bomb, &limits));
        let small = Limits { max_pixels: 1_000, ..Limits::default() };
        assert!(why(&encoded(&photo(100, 100), ImageFormat::WebP), &small).contains("million are taken"));
        let jpeg = encoded(&photo(900, 600), ImageFormat::Jpeg);
        assert!(why(&jpeg[..jpeg.len() / 2], &limits).contains("cut off"));
        assert!(why(b"GIF89a", &limits).contains("cut off") || !why(b"GIF89a", &limits).is_empty());
        assert!(why(b"no picture at all", &limits).contains("no picture of a kind"));
        assert!(why(b"", &limits).contains("no picture of a kind"));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
    }

    #[test]
    fn flipped_bytes_never_panic_nor_take_more_than_they_may() {
        let limits = Limits { max_pixels: 1_000_000, max_picture_bytes: 64 << 20, ..Limits::default() };
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            let good = encoded(&photo(64, 48), format);
            for n in 0..120 {
                let mut bytes = good.clone();
                let at = (n * 7919) % bytes.len();
                bytes[at] ^= 1 << (n % 8);
                bytes.truncate(bytes.len() - n % 5);
                // Refused or not: it comes back.
                processed(&bytes, &limits).map(drop).ok();
            }
        }
    }

    #[test]
    fn work_that_is_not_wanted_any_more_ends() {
        let (folder, path) = file(&encoded(&photo(400, 400), ImageFormat::Png));
        let stop = |percent: u8| if percent < 50 { Ok(()) } else { Err(Failure::Retry("told to stop".into())) };

        let ended = process(&Limits::default(), &path, folder.path(), &stop);

        assert!(matches!(ended, Err(Failure::Retry(why)) if why == "told to stop"));
    }
}
