//! Videos: one MP4 that plays everywhere, and a poster, by `ffmpeg` in a child process.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::child::{self, Ended, Output};
use super::{Limits, Processed, Variant, check_size, file_of};
use crate::platform::jobs::Failure;

/// Containers that are opened. None of them names other files or addresses; playlists are not among them.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf";
/// Threads of `ffmpeg`.
const THREADS: &str = "2";
/// What `ffprobe` may say, in bytes.
const MAX_PROBE: u64 = 1 << 20;
/// A video is at most so large; it keeps its shape.
const SCALE: &str = "scale=w='min(1920,iw)':h='min(1080,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2,\
                     setsar=1";

/// What stands there on a machine without `ffmpeg`.
pub(super) const NO_FFMPEG: &str =
    "it stays as it was uploaded, since ffmpeg is not installed where it would be worked on";

/// What `ffprobe` says.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    #[serde(default)]
    side_data_list: Vec<SideData>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

/// What a video is.
struct Known {
    width: u32,
    height: u32,
    duration_ms: u64,
}

/// Returns what came of it, and the CPU time of the children in milliseconds.
pub(super) fn process(
    limits: &Limits,
    input: &Path,
    scratch: &Path,
    watch: &(dyn Fn(u8) -> Result<(), Failure> + Sync),
) -> Result<(Processed, u64), Failure> {
    watch(0)?;
    let until = Instant::now() + Duration::from_secs(limits.max_seconds);
    let Some(probed) = probe(limits, input, until, &|| watch(0))? else {
        return Ok((Processed { note: Some(NO_FFMPEG.into()), ..Processed::default() }, 0));
    };
    let mut cpu_ms = probed.cpu_ms;
    let Known { width, height, duration_ms } = known(&probed)?;
    check_size(limits, width, height)?;
    if duration_ms > limits.max_duration_ms {
        let most = limits.max_duration_ms / 60_000;
        return Err(Failure::Never(format!("it plays for {} minutes; at most {most} are taken", duration_ms / 60_000)));
    }

    let video = file_of(scratch, "video");
    let done_ms = AtomicU64::new(0);
    let told = |line: &str| {
        if let Some(us) = line.trim().strip_prefix("out_time_us=").and_then(|us| us.parse::<u64>().ok()) {
            done_ms.store(us / 1000, Ordering::Relaxed);
        }
    };
    let percent = || (done_ms.load(Ordering::Relaxed) * 95 / duration_ms.max(1)).clamp(1, 95) as u8;
    let mut command = ffmpeg(input, None);
    command.args(["-map", "0:v:0", "-map", "0:a:0?", "-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"]);
    command.args(["-vf", SCALE, "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p"]);
    command.args(["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-threads", THREADS, "-movflags", "+faststart"]);
    command.args(["-fs", &limits.max_output_bytes.to_string(), "-progress", "pipe:1", "-nostats", "-f", "mp4"]);
    command.arg(&video);
    let ended = child::run(command, limits, until, Output::Lines(&told), &|| watch(percent()))?;
    let ended = must_be_good(ended)?;
    cpu_ms += ended.cpu_ms;
    let bytes = std::fs::metadata(&video).map_or(0, |file| file.len());
    if bytes >= limits.max_output_bytes {
        return Err(Failure::Never("what would be made of it is too large: make it shorter".into()));
    }

    watch(96)?;
    let poster = file_of(scratch, "poster");
    let at_ms = (duration_ms / 10).min(1000);
    let mut command = ffmpeg(&video, Some(at_ms));
    command.args(["-frames:v", "1", "-q:v", "4", "-f", "image2", "-c:v", "mjpeg", "-update", "1"]).arg(&poster);
    let ended = child::run(command, limits, until, Output::Kept(0), &|| watch(97))?;
    cpu_ms += must_be_good(ended)?.cpu_ms;
    let made = probe(limits, &video, until, &|| watch(98))?.ok_or_else(|| Failure::Retry("ffprobe is gone".into()))?;
    let made = known(&made)?;
    let variant = |name: &str, content_type: &str| Variant {
        name: name.into(),
        content_type: content_type.into(),
        width: made.width,
        height: made.height,
    };
    let variants = vec![variant("video", "video/mp4"), variant("poster", "image/jpeg")];
    let processed =
        Processed { width: Some(width), height: Some(height), duration_ms: Some(duration_ms), note: None, variants };
    Ok((processed, cpu_ms))
}

/// `ffmpeg` that reads `input`, from `at_ms` on, and nothing else.
fn ffmpeg(input: &Path, at_ms: Option<u64>) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]);
    if let Some(ms) = at_ms {
        command.args(["-ss", &format!("{}.{:03}", ms / 1000, ms % 1000)]);
    }
    command.arg("-i").arg(input);
    command
}

fn probe(
    limits: &Limits,
    input: &Path,
    until: Instant,
    watch: &dyn Fn() -> Result<(), Failure>,
) -> Result<Option<Ended>, Failure> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]);
    command.args(["-print_format", "json", "-show_format", "-show_streams"]).arg(input);
    child::run(command, limits, until, Output::Kept(MAX_PROBE), watch)
}

fn known(probed: &Ended) -> Result<Known, Failure> {
    let unreadable = || Failure::Never("it is damaged, or no video of a kind that is taken".into());
    if !probed.status.success() {
        return Err(unreadable());
    }
    let probe: Probe = serde_json::from_slice(&probed.output).map_err(|_| unreadable())?;
    let is_video = |one: &&Stream| one.codec_type.as_deref() == Some("video") && one.disposition.attached_pic == 0;
    let stream =
        probe.streams.iter().find(is_video).ok_or_else(|| Failure::Never("there is no picture in it".into()))?;
    let (width, height) = (stream.width.unwrap_or(0), stream.height.unwrap_or(0));
    let turn = stream.side_data_list.iter().find_map(|data| data.rotation).unwrap_or(0.0).abs() % 180.0;
    let (width, height) = if (45.0..135.0).contains(&turn) { (height, width) } else { (width, height) };
    let seconds =
        probe.format.duration.and_then(|text| text.parse::<f64>().ok()).filter(|s| s.is_finite() && *s >= 0.0);
    let duration_ms = seconds.map(|s| (s * 1000.0) as u64).ok_or_else(unreadable)?;
    Ok(Known { width, height, duration_ms })
}

fn must_be_good(ended: Option<Ended>) -> Result<Ended, Failure> {
    let ended = ended.ok_or_else(|| Failure::Retry("ffmpeg is gone".into()))?;
    if ended.status.success() {
        return Ok(ended);
    }
    tracing::info!(status = %ended.status, words = ended.words, "ffmpeg could not work on a video");
    if ended.words.contains("No space left on device") {
        return Err(Failure::Retry("the disk is full".into()));
    }
    Err(Failure::Never("it is damaged, or of a variety that can't be read".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A video of two seconds with sound; none where there is no ffmpeg to make it with.
    fn video(folder: &Path, arguments: &[&str]) -> Option<std::path::PathBuf> {
        let path = folder.join("input");
        let made = Command::new("ffmpeg").args(["-v", "error", "-f", "lavfi"]).args(arguments).arg(&path).status();
        let is_made = made.is_ok_and(|status| status.success());
        if !is_made {
            eprintln!("skipped: ffmpeg is not installed");
        }
        is_made.then_some(path)
    }

    const SHORT: [&str; 16] = [
        "-i",
        "testsrc2=size=640x360:rate=25:duration=2",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=2",
        "-metadata",
        "location=+47.3769+008.5417/",
        "-c:v",
        "mpeg4",
        "-c:a",
        "aac",
        "-f",
        "mov",
        "-shortest",
        "-y",
    ];

    #[test]
    fn a_video_becomes_an_mp4_with_a_poster_and_tells_nothing_of_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let Some(input) = video(folder.path(), &SHORT) else { return };
        let seen = std::sync::Mutex::new(Vec::new());
        let watch = |percent| {
            seen.lock().unwrap().push(percent);
            Ok(())
        };

        let (done, cpu_ms) = process(&Limits::default(), &input, folder.path(), &watch).unwrap();

        assert_eq!((done.width, done.height), (Some(640), Some(360)));
        assert!((1900..2200).contains(&done.duration_ms.unwrap()), "{:?}", done.duration_ms);
        assert_eq!(done.variants.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["video", "poster"]);
        let mp4 = std::fs::read(folder.path().join("video")).unwrap();
        assert_eq!(&mp4[4..8], b"ftyp");
        assert!(!mp4.windows(8).any(|part| part == b"+47.3769"));
        assert!(mp4.windows(4).position(|part| part == b"moov") < mp4.windows(4).position(|part| part == b"mdat"));
        assert_eq!(std::fs::read(folder.path().join("poster")).unwrap()[..2], [0xff, 0xd8]);
        let seen = seen.into_inner().unwrap();
        assert!(seen.is_sorted() && *seen.last().unwrap() >= 96, "{seen:?}");
        assert!(cpu_ms > 0);
    }

    #[test]
    fn what_is_too_long_too_large_or_broken_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let Some(input) = video(folder.path(), &SHORT) else { return };
        let why = |limits: Limits, input: &Path| match process(&limits, input, folder.path(), &|_| Ok(())) {
            Err(Failure::Never(why)) => why,
            other => panic!("{other:?}"),
        };

        assert!(why(Limits { max_duration_ms: 1000, ..Limits::default() }, &input).contains("it plays for"));
        assert!(why(Limits { max_pixels: 1000, ..Limits::default() }, &input).contains("640 × 360 pixels"));
        assert!(why(Limits { max_output_bytes: 2000, ..Limits::default() }, &input).contains("too large"));
        let broken = folder.path().join("broken");
        std::fs::write(&broken, &std::fs::read(&input).unwrap()[..5000]).unwrap();
        assert!(why(Limits::default(), &broken).contains("damaged"));
    }

    #[test]
    fn a_playlist_reads_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let Some(other) = video(folder.path(), &SHORT) else { return };
        let lists = [
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n", other.display()),
            format!("ffconcat version 1.0\nfile '{}'\n", other.display()),
        ];
        for list in lists {
            let path = folder.path().join("list");
            std::fs::write(&path, &list).unwrap();
            let done = process(&Limits::default(), &path, folder.path(), &|_| Ok(()));
            assert!(matches!(done, Err(Failure::Never(_))), "{list}: {done:?}");
        }
    }

    #[test]
    fn a_child_that_hangs_is_ended_with_all_that_it_started() {
        let limits = Limits { max_seconds: 1, ..Limits::default() };
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 987654 & yes no >&2"]);
        let start = Instant::now();

        let ended = child::run(command, &limits, start + Duration::from_secs(1), Output::Kept(10), &|| Ok(()));

        assert!(matches!(ended.map(drop), Err(Failure::Never(why)) if why.contains("within 1 minutes")));
        assert!(start.elapsed() < Duration::from_secs(3));
        let left = Command::new("pgrep").args(["-f", "sleep 987654"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }
}
