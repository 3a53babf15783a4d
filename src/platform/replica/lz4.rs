//! A page as an LZ4 frame, as all versions of the format hold it.
//!
//! `lz4_flex` has frames too, but makes tables and buffers of 64 KiB for each, which for pages of 4 KiB costs more than
//! the work. Blocks are its work, frames are ours.
//!
//! Source: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.

use std::io::{self, Read};

use twox_hash::XxHash32;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Version 1, independent blocks, a checksum of the content.
const FLAGS: u8 = 0b0110_0100;
/// Blocks of 64 KiB at most: the largest page is one block.
const BLOCK_MAX: u8 = 0x40;
const CONTENT_CHECKSUM: u8 = 0b100;
const CONTENT_SIZE: u8 = 0b1000;
const BLOCK_CHECKSUM: u8 = 0b1_0000;
const INDEPENDENT: u8 = 0b10_0000;
const DICTIONARY: u8 = 1;
/// Set in a block's length: its bytes are stored as they are.
const STORED: u32 = 1 << 31;

/// Appends `page` as one frame to `out`.
pub fn compress(page: &[u8], out: &mut Vec<u8>) {
    out.extend(MAGIC);
    out.extend([FLAGS, BLOCK_MAX, header_checksum(&[FLAGS, BLOCK_MAX])]);
    let length_at = out.len();
    let start = length_at + 4;
    out.resize(start + lz4_flex::block::get_maximum_output_size(page.len()), 0);
    let written = match lz4_flex::block::compress_into(page, &mut out[start..]) {
        Ok(length) if length < page.len() => {
            out.truncate(start + length);
            length as u32
        }
        // What does not shrink is stored.
        _ => {
            out.truncate(start + page.len());
            out[start..].copy_from_slice(page);
            page.len() as u32 | STORED
        }
    };
    out[length_at..start].copy_from_slice(&written.to_le_bytes());
    out.extend([0; 4]);
    out.extend(hash(page).to_le_bytes());
}

/// Reads one frame that holds exactly one page into `page`; `scratch` is for what is read on the way. Returns how many
/// bytes of `source` it took.
pub fn decompress(source: &mut impl Read, page: &mut [u8], scratch: &mut Vec<u8>) -> io::Result<u64> {
    let mut head = [0_u8; 6];
    source.read_exact(&mut head)?;
    let [.., flags, block_max] = head;
    if head[..4] != MAGIC || flags >> 6 != 1 || flags & DICTIONARY != 0 {
        return Err(wrong("a page is no LZ4 frame"));
    }
    let mut taken = head.len() as u64;
    let mut described = vec![flags, block_max];
    if flags & CONTENT_SIZE != 0 {
        let mut size = [0_u8; 8];
        source.read_exact(&mut size)?;
        described.extend(size);
        taken += 8;
    }
    let [checksum] = read(source, &mut taken)?;
    if checksum != header_checksum(&described) {
        return Err(wrong("the checksum of an LZ4 frame's header is wrong"));
    }
    let mut filled = 0;
    loop {
        let length = u32::from_le_bytes(read(source, &mut taken)?);
        if length == 0 {
            break;
        }
        let (stored, length) = (length & STORED != 0, (length & !STORED) as usize);
        if length > page.len() + page.len() / 16 + 64 {
            return Err(wrong("an LZ4 block is larger than a page can be"));
        }
        scratch.resize(length, 0);
        source.read_exact(scratch)?;
        taken += length as u64;
        if flags & BLOCK_CHECKSUM != 0 && u32::from_le_bytes(read(source, &mut taken)?) != hash(scratch) {
            return Err(wrong("the checksum of an LZ4 block is wrong"));
        }
        let (before, rest) = page.split_at_mut(filled);
        filled += if stored {
            let room = rest.get_mut(..length).ok_or_else(|| wrong("an LZ4 frame holds more than a page"))?;
            room.copy_from_slice(scratch);
            length
        } else if flags & INDEPENDENT != 0 {
            lz4_flex::block::decompress_into(scratch, rest).map_err(|e| wrong(&e.to_string()))?
        } else {
            lz4_flex::block::decompress_into_with_dict(scratch, rest, before).map_err(|e| wrong(&e.to_string()))?
        };
    }
    if filled != page.len() {
        return Err(wrong("an LZ4 frame holds less than a page"));
    }
    if flags & CONTENT_CHECKSUM != 0 && u32::from_le_bytes(read(source, &mut taken)?) != hash(page) {
        return Err(wrong("the checksum of a page is wrong"));
    }
    Ok(taken)
}

fn read<const N: usize>(source: &mut impl Read, taken: &mut u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    *taken += N as u64;
    Ok(bytes)
}

fn header_checksum(described: &[u8]) -> u8 {
    (hash(described) >> 8) as u8
}

fn hash(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
