//! The work on media itself: pictures in three sizes, a video as one MP4 with a poster.
//!
//! It takes a file and a folder, and says what it made: no database, no HTTP, no clock but for its own limits. So it runs
//! the same in the server and on a worker.

mod child;
mod picture;
mod video;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::platform::jobs::{Bench, Failure, Made};

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub limits: Limits,
}

/// What one order may take, at most. Past any of these it fails for good, with words that name the limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// Width times height, of a picture and of a video's frames.
    pub max_pixels: u64,
    /// How long a video plays.
    pub max_duration_ms: u64,
    /// How long the work on a video may take.
    pub max_seconds: u64,
    /// What a picture may come to in memory: it is opened by the server itself, which must live on a small machine.
    pub max_picture_bytes: u64,
    /// The address space of `ffmpeg`.
    pub max_memory_bytes: u64,
    /// The video that is made.
    pub max_output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_pixels: 50_000_000,
            max_duration_ms: 30 * 60 * 1000,
            max_seconds: 60 * 60,
            // A photo of all those pixels, and no more.
            max_picture_bytes: 200 << 20,
            max_memory_bytes: 3 << 30,
            max_output_bytes: 2 << 30,
        }
    }
}

/// What was found out, and what was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processed {
    /// As it is shown: turned as its metadata says. None where nothing could look into it.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// A video's.
    pub duration_ms: Option<u64>,
    /// What whoever uploaded it should know, though it is ready.
    pub note: Option<String>,
    pub variants: Vec<Variant>,
}

/// One file that was made; its name is the variant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// `small`, `medium` and `large` of a picture; `video` and `poster` of a video.
    pub name: String,
    pub content_type: String,
    pub width: u32,
    pub height: u32,
}

/// Every name that a variant may have.
pub const NAMES: [&str; 5] = ["small", "medium", "large", "video", "poster"];

/// The work on a picture, as a job.
pub fn picture(bench: &Bench<'_>) -> Result<Made, Failure> {
    let limits = limits(bench)?;
    let processed = picture::process(&limits, bench.input, bench.scratch, bench.watch)?;
    made(bench.scratch, processed, 0)
}

/// The work on a video, as a job.
pub fn video(bench: &Bench<'_>) -> Result<Made, Failure> {
    let limits = limits(bench)?;
    let (processed, cpu_ms) = video::process(&limits, bench.input, bench.scratch, bench.watch)?;
    made(bench.scratch, processed, cpu_ms)
}

fn limits(bench: &Bench<'_>) -> Result<Limits, Failure> {
    let order: Order = serde_json::from_value(bench.order.clone())
        .map_err(|e| Failure::Never(format!("this version can't read what is to be done: {e}")))?;
    Ok(order.limits)
}

fn made(scratch: &Path, processed: Processed, children_cpu_ms: u64) -> Result<Made, Failure> {
    let files = processed.variants.iter().map(|one| (one.name.clone(), file_of(scratch, &one.name))).collect();
    let result = serde_json::to_value(processed).map_err(|e| Failure::Retry(e.to_string()))?;
    Ok(Made { result, files, children_cpu_ms })
}

/// Where the variant of this name is made.
fn file_of(scratch: &Path, name: &str) -> PathBuf {
    scratch.join(name)
}

/// A fault of the machine, which another try may not meet.
fn fault(doing: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::Retry(format!("{doing}: {error}"))
}

/// Refuses what has more pixels than are taken.
fn check_size(limits: &Limits, width: u32, height: u32) -> Result<(), Failure> {
    let most = limits.max_pixels;
    match u64::from(width) * u64::from(height) {
        0 => Err(Failure::Never("it has no pixels".into())),
        pixels if pixels <= most => Ok(()),
        _ => Err(Failure::Never(format!(
            "it is {width} × {height} pixels large; at most {} million are taken",
            most as f64 / 1e6
        ))),
    }
}
