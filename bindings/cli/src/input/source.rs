//! Where input comes from: a file or stdin, plain, gzip or zstd, by its first bytes.
//!
//! An [`Input`] is a name that can be opened, once or (when [`Input::rereadable`]) as often as
//! needed. Bytes are counted before they are decompressed, so that progress can be compared with
//! the length of the file.

use super::InputError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an argument of `tidelog import` means.
#[derive(Debug)]
pub(crate) struct Input {
    name: Arc<str>,
    place: Place,
    bytes: Option<u64>,
}

#[derive(Debug)]
enum Place {
    Stdin,
    File(PathBuf),
    /// What could be read once only, as it came (still compressed).
    Spooled(File),
}

impl Input {
    /// The input an argument names: `-` is stdin, everything else a path.
    pub(crate) fn new(argument: &str) -> Self {
        if argument == "-" {
            return Input { name: "stdin".into(), place: Place::Stdin, bytes: None };
        }
        let path = PathBuf::from(argument);
        let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        Input { name: argument.into(), place: Place::File(path), bytes }
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Refuses a file that cannot be opened, before anything is done with the others.
    ///
    /// # Errors
    /// [`InputError::Open`].
    pub(crate) fn check(&self) -> Result<(), InputError> {
        match &self.place {
            // Opening a pipe waits for its writer; only what is missing is told here.
            Place::File(path) => match path.metadata() {
                Ok(about) if about.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            }
            .map_err(|source| InputError::Open { name: self.name.clone(), source }),
            Place::Stdin | Place::Spooled(_) => Ok(()),
        }
    }

    /// How many bytes there are to read, where that is known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The same input, in a form that can be opened more than once: what is not a regular file
    /// (stdin, a pipe) is copied to a temporary file, which is gone when the input is dropped.
    ///
    /// # Errors
    /// When the input cannot be read or the copy cannot be written.
    pub(crate) fn rereadable(self) -> Result<Self, InputError> {
        let once = match &self.place {
            Place::Stdin => true,
            Place::File(path) => path.exists() && self.bytes.is_none(),
            Place::Spooled(_) => false,
        };
        if !once {
            return Ok(self);
        }
        let mut from = self.open_raw()?;
        let spool = |source| InputError::Spool {
            name: self.name.clone(),
            directory: std::env::temp_dir().display().to_string(),
            source,
        };
        let mut file = tempfile::tempfile().map_err(spool)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|source| self.read_error(source))?,
            };
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(spool)?;
            bytes += read as u64;
        }
        Ok(Input { name: self.name, place: Place::Spooled(file), bytes: Some(bytes) })
    }

    /// Opens the input at its beginning. At most one source of a [`Self::rereadable`] input may be
    /// in use at a time.
    ///
    /// # Errors
    /// When it cannot be opened or its first bytes cannot be read.
    pub(crate) fn open(&self) -> Result<Source, InputError> {
        let consumed = Arc::new(AtomicU64::new(0));
        let counting = Counting { inner: self.open_raw()?, consumed: consumed.clone() };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, counting);
        let text = (|| -> io::Result<Box<dyn Read>> {
            let mut magic = Vec::with_capacity(MAGIC_BYTES);
            raw.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
            let packing = Packing::of(&magic);
            let whole = io::Cursor::new(magic).chain(raw);
            Ok(match packing {
                Packing::Plain => Box::new(whole),
                Packing::Gzip => Box::new(MultiGzDecoder::new(whole)),
                Packing::Zstd => Box::new(zstd::Decoder::new(whole)?),
            })
        })()
        .map_err(|source| self.read_error(source))?;
        let text = BufReader::with_capacity(BUFFER_BYTES, text);
        Ok(Source { name: self.name.clone(), text, consumed })
    }

    fn open_raw(&self) -> Result<Box<dyn Read>, InputError> {
        let opened: io::Result<Box<dyn Read>> = match &self.place {
            Place::Stdin => Ok(Box::new(io::stdin())),
            Place::File(path) => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
            Place::Spooled(file) => file.try_clone().and_then(|mut file| {
                file.rewind()?;
                Ok(Box::new(file) as Box<dyn Read>)
            }),
        };
        opened.map_err(|source| InputError::Open { name: self.name.clone(), source })
    }

    fn read_error(&self, source: io::Error) -> InputError {
        InputError::Read { name: self.name.clone(), source }
    }
}

/// The decompressed text of an input, from its beginning to its end.
pub(crate) struct Source {
    name: Arc<str>,
    text: BufReader<Box<dyn Read>>,
    consumed: Arc<AtomicU64>,
}

impl Source {
    /// The input's name for messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many bytes were taken from the input so far, before decompression.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    pub(crate) fn error(&self, source: io::Error) -> InputError {
        InputError::Read { name: self.name.clone(), source }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.read(buffer)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.text.consume(amount);
    }
}

struct Counting {
    inner: Box<dyn Read>,
    consumed: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// How an input is compressed. Names are not asked: downloads and rotated logs lose or gain `.gz`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packing {
    Plain,
    /// RFC 1952, one member or many.
    Gzip,
    /// RFC 8878, one frame or many; parallel compressors begin with a skippable frame.
    Zstd,
}

impl Packing {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

const MAGIC_BYTES: usize = 4;
const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Input) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let input = Input::new(path.to_str().unwrap());
        (directory, input)
    }

    fn text_of(input: &Input) -> String {
        let mut text = String::new();
        let mut source = input.open().unwrap();
        source.read_to_string(&mut text).unwrap();
        assert_eq!(Some(source.bytes_read()), input.bytes());
        text
    }

    #[test]
    fn every_packing_is_known_by_its_bytes_and_read_twice() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        let skippable =
            [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(b"a\nb\n")].concat();
        let cases = [
            ("plain.csv", b"a\nb\n".to_vec()),
            ("named_gz.gz", b"a\nb\n".to_vec()),
            ("one.csv", gzip(b"a\nb\n")),
            ("two_members.gz", [gzip(b"a\n"), gzip(b"b\n")].concat()),
            ("one.zst", zstd(b"a\nb\n")),
            ("two_frames", [zstd(b"a\n"), zstd(b"b\n")].concat()),
            ("skippable", skippable),
        ];
        for (name, bytes) in cases {
            let (_directory, input) = written(name, &bytes);
            let input = input.rereadable().unwrap();
            assert_eq!(text_of(&input), "a\nb\n", "{name}");
            assert_eq!(text_of(&input), "a\nb\n", "{name} again");
        }
    }

    #[test]
    fn inputs_shorter_than_the_magic_are_plain() {
        for text in ["", "a", "a\n"] {
            let (_directory, input) = written("short", text.as_bytes());
            assert_eq!(text_of(&input), text);
        }
    }

    #[test]
    fn a_torn_archive_is_an_error_that_names_the_file() {
        let text: String = (0..50_000).map(|n| format!("{n},")).collect();
        for bytes in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
            let (_directory, input) = written("torn", &bytes[..bytes.len() / 2]);
            let mut source = input.open().unwrap();
            let error = io::copy(&mut source, &mut io::sink()).unwrap_err();
            assert!(source.error(error).to_string().contains("torn: check the disk"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_kept_for_the_second_reading() {
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&gzip(b"a\n")).unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        if !std::path::Path::new(&path).exists() {
            return;
        }
        let input = Input::new(&path).rereadable().unwrap();
        assert_eq!(text_of(&input), "a\n");
        assert_eq!(text_of(&input), "a\n");
    }

    #[test]
    fn a_missing_file_says_so() {
        let error = Input::new("no/such.csv").rereadable().unwrap().open().err().unwrap();
        assert!(error.to_string().starts_with("cannot open no/such.csv"), "{error}");
    }
}
