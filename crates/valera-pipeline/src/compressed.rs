//! Files compressed by zstd (RFC 8878), as a row of frames.
//!
//! Each piece that is written is a frame by itself, so nothing has to be kept open between them, and whatever was written
//! whole can be read. Any program that knows zstd reads them, and what it has compressed is read here. It does not
//! look at checksums: lines have seals of their own.

use ruzstd::{
    decoding::{FrameDecoder, StreamingDecoder},
    encoding::{CompressionLevel, compress_to_vec},
};
use std::io::{self, BufRead, Read};

/// How a frame begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether a file that begins so is compressed.
#[must_use]
pub fn is_compressed(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// The bytes as one frame.
#[must_use]
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// What is in all frames, one after another.
pub struct Frames<R: BufRead> {
    /// Between two frames.
    reader: Option<R>,
    /// Within one.
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    /// Nothing is read yet.
    pub fn new(reader: R) -> Self {
        Self { reader: Some(reader), frame: None }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut frame) = self.frame.take() {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    self.frame = Some(frame);
                    return Ok(read);
                }
                self.reader = Some(frame.into_inner());
            }
            let Some(mut reader) = self.reader.take() else {
                return Err(io::Error::other("a compressed file is read on after it has failed"));
            };
            if reader.fill_buf()?.is_empty() {
                self.reader = Some(reader);
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(reader).map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(compressed).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_come_back_as_one_text_and_a_cut_off_one_is_an_error() {
        let parts = [b"one ".repeat(100_000), Vec::new(), b"two".to_vec()];
        let frames = parts.each_ref().map(|part| frame(part)).concat();
        assert!(is_compressed(&frames) && frames.len() < 10_000);
        assert_eq!(read(&frames).unwrap(), parts.concat());
        assert_eq!(read(b"").unwrap(), b"");
        let empty = frame(b"");
        assert!(is_compressed(&empty) && read(&empty).unwrap().is_empty());
        let last = frame(&parts[2]).len();
        for cut in 1..last {
            assert!(read(&frames[..frames.len() - cut]).is_err(), "{cut} bytes cut off");
        }
        assert!(read(&[&frames[..], b"more"].concat()).is_err());
    }

    #[test]
    fn what_the_reference_implementation_has_compressed_is_read() {
        // `printf 'event\nevent\nevent\n' | zstd`
        let compressed = [
            0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x65, 0x00, 0x00, 0x30, 0x65, 0x76, 0x65, 0x6e, 0x74, 0x0a, 0x01,
            0x00, 0xe1, 0x4a, 0x11, 0xb4, 0xd1, 0x8b, 0xb6,
        ];
        assert_eq!(read(&compressed).unwrap(), b"event\nevent\nevent\n");
    }
}
