//! One file of a replica: the pages that bring a database from one state to a later one.
//!
//! Header (100 bytes) · frames, one a page, in order · 6 zeros · index of the frames · trailer (16 bytes). All integers
//! are big-endian. A file whose `min` is 1 is a snapshot: it holds every page. Read and written as a stream, page by page.
//!
//! Source: LTX as Litestream 0.5 writes it, found by experiment with 0.5.5 to 0.5.17.

use std::io::{self, Read, Write};

use crc::{CRC_64_GO_ISO, Crc, Digest, Table};

use super::lz4;
use super::txid::Txid;
use crate::platform::clock::Time;

const MAGIC: &[u8; 4] = b"LTX1";
pub const HEADER: usize = 100;
const TRAILER: usize = 16;
/// Bytes of an index that are read at once.
const INDEX_PIECE: u64 = 64 * 1024;
/// Checksums of the whole database are not tracked; 0.5.17 rejects files that do.
const NO_TRACKING: u32 = 0x2;
/// Where the WAL's first frame is. A sidecar that takes over loops on an error where this is 0.
const WAL_OFFSET: u64 = 32;
/// A frame's page is an LZ4 frame; all 0.5 versions read it.
const LZ4_FRAME: u16 = 0;
/// A frame's page is a bare LZ4 block behind its length; 0.5.16 and later write it.
const LZ4_BLOCK: u16 = 1;
/// Where SQLite locks; this byte's page is never used.
const LOCK_BYTE: u32 = 0x4000_0000;

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes in a page.
    pub page_size: u32,
    /// The database's size in pages after it.
    pub pages: u32,
    pub min: Txid,
    pub max: Txid,
    pub timestamp: Time,
}

impl Header {
    /// The page that holds no data; beyond the end of databases below 1 GiB.
    pub fn lock_page(&self) -> u32 {
        lock_page(self.page_size)
    }

    pub fn is_snapshot(&self) -> bool {
        self.min == Txid(1)
    }

    /// Pages that a snapshot of this size has.
    fn snapshot_frames(&self) -> u32 {
        self.pages - u32::from(self.pages >= self.lock_page())
    }

    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&NO_TRACKING.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.page_size.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.pages.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.min.0.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.max.0.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.timestamp.as_ms().to_be_bytes());
        bytes[48..56].copy_from_slice(&WAL_OFFSET.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEADER]) -> io::Result<Header> {
        let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        if &bytes[..4] != MAGIC {
            return Err(wrong("it is no LTX file"));
        }
        if u32_at(4) & !NO_TRACKING != 0 {
            return Err(wrong(&format!("it has flags that are unknown ({:#x})", u32_at(4))));
        }
        let timestamp = i64::try_from(u64_at(32)).map_err(|_| wrong("its timestamp is no time"))?;
        let header = Header {
            page_size: u32_at(8),
            pages: u32_at(12),
            min: Txid(u64_at(16)),
            max: Txid(u64_at(24)),
            timestamp: Time::from_ms(timestamp),
        };
        if !header.page_size.is_power_of_two() || !(512..=65536).contains(&header.page_size) {
            return Err(wrong(&format!("its page size is {}", header.page_size)));
        }
        if header.min.0 == 0 || header.min > header.max || header.pages == 0 {
            return Err(wrong("its header contradicts itself"));
        }
        Ok(header)
    }
}

/// The page that holds no data, where the database is so large.
pub fn lock_page(page_size: u32) -> u32 {
    LOCK_BYTE / page_size + 1
}

/// Writes a file, page by page.
pub struct Encoder<W> {
    to: W,
    header: Header,
    crc: Digest<'static, u64, Table<16>>,
    offset: u64,
    last: u32,
    frames: u32,
    index: Vec<u8>,
    frame: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    pub fn new(mut to: W, header: Header) -> io::Result<Self> {
        let bytes = header.to_bytes();
        to.write_all(&bytes)?;
        let mut crc = CRC.digest();
        crc.update(&bytes);
        let offset = HEADER as u64;
        Ok(Encoder { to, header, crc, offset, last: 0, frames: 0, index: Vec::new(), frame: Vec::new() })
    }

    /// Adds a page; they come in order.
    pub fn page(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        let is_next = number > self.last && number <= self.header.pages && number != self.header.lock_page();
        if !is_next || page.len() != self.header.page_size as usize {
            return Err(wrong(&format!("page {number} has no place after page {}", self.last)));
        }
        self.frame.clear();
        self.frame.extend(number.to_be_bytes());
        self.frame.extend(LZ4_FRAME.to_be_bytes());
        self.crc.update(&self.frame);
        self.crc.update(page);
        lz4::compress(page, &mut self.frame);
        self.to.write_all(&self.frame)?;
        for value in [u64::from(number), self.offset, self.frame.len() as u64] {
            push_varint(&mut self.index, value);
        }
        self.offset += self.frame.len() as u64;
        self.last = number;
        self.frames += 1;
        Ok(())
    }

    /// Ends the file; returns its checksum, and where it was written.
    pub fn finish(mut self) -> io::Result<(u64, W)> {
        if self.header.is_snapshot() && self.frames != self.header.snapshot_frames() {
            return Err(wrong(&format!("a snapshot of {} pages got {}", self.header.pages, self.frames)));
        }
        self.index.push(0);
        let length = self.index.len() as u64;
        self.index.extend(length.to_be_bytes());
        self.crc.update(&[0; 6]);
        self.crc.update(&self.index);
        self.crc.update(&[0; 8]);
        let checksum = self.crc.finalize() | 1 << 63;
        self.to.write_all(&[0; 6])?;
        self.to.write_all(&self.index)?;
        self.to.write_all(&[0; 8])?;
        self.to.write_all(&checksum.to_be_bytes())?;
        Ok((checksum, self.to))
    }
}

/// Reads a file, page by page. What it hands out is proven only once [`Decoder::next`] has said that there is no more.
pub struct Decoder<R> {
    from: R,
    pub header: Header,
    crc: Digest<'static, u64, Table<16>>,
    last: u32,
    frames: u32,
    scratch: Vec<u8>,
    checksum: Option<u64>,
}

impl<R: Read> Decoder<R> {
    /// Reads the header.
    pub fn new(mut from: R) -> io::Result<Self> {
        let mut bytes = [0; HEADER];
        from.read_exact(&mut bytes).map_err(cut_off)?;
        let header = Header::parse(&bytes)?;
        let mut crc = CRC.digest();
        crc.update(&bytes);
        Ok(Decoder { from, header, crc, last: 0, frames: 0, scratch: Vec::new(), checksum: None })
    }

    /// Reads the next page into `page` and returns its number; none after the last, when all checksums were right.
    pub fn next(&mut self, page: &mut Vec<u8>) -> io::Result<Option<u32>> {
        if self.checksum.is_some() {
            return Ok(None);
        }
        self.read_next(page).map_err(cut_off)
    }

    fn read_next(&mut self, page: &mut Vec<u8>) -> io::Result<Option<u32>> {
        let mut head = [0; 6];
        self.from.read_exact(&mut head)?;
        self.crc.update(&head);
        if head == [0; 6] {
            self.end()?;
            return Ok(None);
        }
        let number = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        if number <= self.last || number > self.header.pages || number == self.header.lock_page() {
            return Err(wrong(&format!("page {number} stands after page {}", self.last)));
        }
        self.last = number;
        self.frames += 1;
        page.resize(self.header.page_size as usize, 0);
        match u16::from_be_bytes([head[4], head[5]]) {
            LZ4_FRAME => drop(lz4::decompress(&mut self.from, page, &mut self.scratch)?),
            LZ4_BLOCK => self.block(page)?,
            other => return Err(wrong(&format!("page {number} is encoded in an unknown way ({other})"))),
        }
        self.crc.update(page);
        Ok(Some(number))
    }

    /// A bare block behind its length, which is part of what the checksum covers.
    fn block(&mut self, page: &mut [u8]) -> io::Result<()> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        self.crc.update(&length);
        let length = u32::from_be_bytes(length) as usize;
        if length > page.len() + page.len() / 16 + 64 {
            return Err(wrong("an LZ4 block is larger than a page can be"));
        }
        self.scratch.resize(length, 0);
        self.from.read_exact(&mut self.scratch)?;
        match lz4_flex::block::decompress_into(&self.scratch, page) {
            Ok(filled) if filled == page.len() => Ok(()),
            Ok(_) => Err(wrong("an LZ4 block holds less than a page")),
            Err(e) => Err(wrong(&e.to_string())),
        }
    }

    /// The index, of which only the checksum matters here, and the trailer.
    fn end(&mut self) -> io::Result<()> {
        // Three numbers of at most 10 bytes a frame.
        let most = 30 * u64::from(self.frames) + 1;
        // It grows with the database: only the end of what was read is kept, which may be the trailer.
        let (mut index, mut rest) = (0, Vec::new());
        while index <= most && (&mut self.from).take(INDEX_PIECE).read_to_end(&mut rest)? > 0 {
            let piece = rest.len().saturating_sub(8 + TRAILER);
            self.crc.update(&rest[..piece]);
            rest.drain(..piece);
            index += piece as u64;
        }
        let rest: [u8; 8 + TRAILER] = rest.try_into().map_err(|_| cut_off(io::ErrorKind::UnexpectedEof.into()))?;
        let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| rest[at + i]));
        if index > most || u64_at(0) != index {
            return Err(wrong("its index is cut off, or something stands after its end"));
        }
        self.crc.update(&rest[..16]);
        let checksum = u64_at(16);
        if checksum != self.crc.clone().finalize() | 1 << 63 {
            return Err(wrong("its checksum is wrong"));
        }
        if self.header.is_snapshot() && self.frames != self.header.snapshot_frames() {
            return Err(wrong(&format!("a snapshot of {} pages holds {}", self.header.pages, self.frames)));
        }
        self.checksum = Some(checksum);
        Ok(())
    }

    /// The checksum in its trailer, once all was read.
    pub fn checksum(&self) -> Option<u64> {
        self.checksum
    }
}

fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn cut_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("it is cut off"),
        _ => error,
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE_PAGE_OF_ZEROS: &str = "4c545831000000020000020000000001000000000000000100000000000000010000018bcfe568000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000100010000000c1f000100ffe850000000000000000000000001641600000000000000000400000000000000008716efe5beb684b6";
    const AS_0_5_17_WROTE_IT: &str = "4c54583100000002000010000000005d00000000000002630000000000000263000001a208a314560000000000000000000000000000002000000000000010189d85b4be43094689000000000000000000000000000000000000000000000000000000000000000300010000002fcf0d000000010ffa000ffa00000200ffffffffffffffffffffffffffffffe0000200c000000000000004010300010a0000000000000364390000000000000000040000000000000000c2bb23b6b8c155f6";

    fn from_hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn header(pages: u32, min: u64, max: u64) -> Header {
        Header { page_size: 512, pages, min: Txid(min), max: Txid(max), timestamp: Time::from_ms(1_700_000_000_000) }
    }

    fn encode(header: Header, pages: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), header).unwrap();
        for (number, page) in pages {
            encoder.page(*number, page).unwrap();
        }
        encoder.finish().unwrap().1
    }

    type Pages = Vec<(u32, Vec<u8>)>;

    fn decode(bytes: &[u8]) -> io::Result<(Header, Pages)> {
        let mut decoder = Decoder::new(bytes)?;
        let (mut pages, mut page) = (Vec::new(), Vec::new());
        while let Some(number) = decoder.next(&mut page)? {
            pages.push((number, page.clone()));
        }
        Ok((decoder.header, pages))
    }

    #[test]
    fn what_litestream_wrote_is_read() {
        let (header, pages) = decode(&from_hex(ONE_PAGE_OF_ZEROS)).unwrap();
        assert_eq!((header.page_size, header.min, header.max), (512, Txid(1), Txid(1)));
        assert_eq!(pages, [(1, vec![0; 512])]);

        let (header, pages) = decode(&from_hex(AS_0_5_17_WROTE_IT)).unwrap();
        assert_eq!((header.page_size, header.pages, header.max), (4096, 93, Txid(0x263)));
        assert_eq!((pages.len(), pages[0].0, pages[0].1.len()), (1, 3, 4096));
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let page: Vec<u8> = (0..512_u32).map(|i| (i * i % 251) as u8).collect();
        let ours = encode(header(3, 4, 9), &[(1, vec![7; 512]), (3, page)]);
        for bytes in [ours, from_hex(AS_0_5_17_WROTE_IT)] {
            let right = decode(&bytes).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // One page can be compressed in several ways.
                assert!(decode(&flipped).map_or(true, |read| read == right), "bit {bit} may be flipped");
            }
            for length in 0..bytes.len() {
                assert!(decode(&bytes[..length]).is_err(), "{length} bytes are enough");
            }
            assert!(decode(&[&bytes[..], b"x"].concat()).is_err());
        }
    }

    #[test]
    fn a_snapshot_with_a_missing_page_is_neither_written_nor_read() {
        let mut encoder = Encoder::new(Vec::new(), header(2, 1, 5)).unwrap();
        encoder.page(1, &[0; 512]).unwrap();

        assert!(encoder.finish().unwrap_err().to_string().contains("2 pages"));
    }

    #[test]
    fn an_index_that_is_read_in_pieces_is_checked_to_its_end() {
        let pages: Pages = (1..=20_000).map(|number| (number, vec![number as u8; 512])).collect();
        let bytes = encode(header(20_000, 4, 9), &pages);
        let trailer = bytes.len() - TRAILER;
        let index = u64::from_be_bytes(bytes[trailer - 8..trailer].try_into().unwrap()) as usize;
        assert!(index as u64 > INDEX_PIECE);

        assert_eq!(decode(&bytes).unwrap().1, pages);
        for at in [trailer - 8 - index, trailer - 9 - index / 2, trailer - 9, trailer - 1, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "byte {at} may be flipped");
            assert!(decode(&bytes[..at]).is_err(), "{at} bytes are enough");
        }
        assert!(decode(&[&bytes[..], &[0; 1 << 20]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            pages in proptest::collection::btree_map(1..500_u32, proptest::collection::vec(0..4_u8, 512), 0..20)
        ) {
            let pages: Vec<_> = pages.into_iter().collect();
            let header = header(500, 7, 8);

            let read = decode(&encode(header, &pages)).unwrap();

            prop_assert_eq!(read, (header, pages));
        }

        #[test]
        fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let real = from_hex(ONE_PAGE_OF_ZEROS);
            prop_assert!(decode(&bytes).is_err());
            prop_assert!(decode(&[&real[..100], &bytes].concat()).is_err());
        }
    }
}
