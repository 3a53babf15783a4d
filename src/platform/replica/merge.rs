//! Several files that follow upon one another as one: of each page the newest.

use std::io::{self, BufWriter, Read};

use super::ltx::{Decoder, Encoder, Header};
use super::place::Place;
use super::sync::Shared;
use super::txid::{LtxFile, LtxName};

/// Merges `inputs`, which are in order, into a file of `level`, and returns it.
///
/// # Errors
/// If an input is damaged, or they don't follow upon one another; nothing is left there then.
pub(super) fn merge(shared: &Shared, inputs: &[LtxFile], level: u8) -> io::Result<LtxFile> {
    let place = &*shared.place;
    let mut sources = inputs.iter().map(|input| Source::open(place, input)).collect::<io::Result<Vec<_>>>()?;
    let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
        return Err(wrong("there is nothing to merge".into()));
    };
    let header = Header { min: first.decoder.header.min, ..last.decoder.header };
    for pair in sources.windows(2) {
        let (before, after) = (pair[0].decoder.header, pair[1].decoder.header);
        if after.min > before.max.next() || after.max <= before.max || after.page_size != before.page_size {
            return Err(wrong(format!("TXID {} does not follow upon {}", after.min, before.max)));
        }
    }
    let name = LtxName::new(level, header.min, header.max);
    let to = BufWriter::new(Counted { to: place.create(name, header.timestamp)?, bytes: 0 });
    let mut encoder = Encoder::new(to, header)?;
    while let Some(number) = sources.iter().filter_map(|source| source.number).min() {
        let newest = sources.iter().rposition(|source| source.number == Some(number)).unwrap_or_default();
        shared.must_go_on(number)?;
        if number <= header.pages {
            encoder.page(number, &sources[newest].page)?;
        }
        for source in sources.iter_mut().filter(|source| source.number == Some(number)) {
            source.advance()?;
        }
    }
    // All inputs were read to their end, and with it their checksums.
    let counted = encoder.finish()?.1.into_inner().map_err(io::IntoInnerError::into_error)?;
    counted.to.finish()?;
    Ok(LtxFile { name, timestamp: header.timestamp, bytes: counted.bytes })
}

/// An input, and the page at which it is.
struct Source {
    name: LtxName,
    decoder: Decoder<Box<dyn Read + Send>>,
    number: Option<u32>,
    page: Vec<u8>,
}

impl Source {
    fn open(place: &dyn Place, input: &LtxFile) -> io::Result<Source> {
        let name = input.name;
        let decoder = place.open(name).and_then(Decoder::new).map_err(|e| of(name, e))?;
        if (decoder.header.min, decoder.header.max) != (name.min, name.max) {
            return Err(of(name, wrong("its name is false".into())));
        }
        let mut source = Source { name, decoder, number: None, page: Vec::new() };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.number = self.decoder.next(&mut self.page).map_err(|e| of(self.name, e))?;
        Ok(())
    }
}

fn of(name: LtxName, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Counts what is written.
pub(super) struct Counted<W> {
    pub to: W,
    pub bytes: u64,
}

impl<W: io::Write> io::Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
