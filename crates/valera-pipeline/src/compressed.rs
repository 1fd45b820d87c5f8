//! Files compressed by zstd (RFC 8878), as a row of frames.
//!
//! Each piece that is written is a frame by itself, so nothing has to be kept open between them, and whatever was written
//! whole can be read. Of a frame that is cut off, every block that is there comes out before the failure. Any program that
//! knows zstd reads them, and what it has compressed is read here. It does not look at checksums: lines have seals of
//! their own.

use ruzstd::{
    decoding::{BlockDecodingStrategy, FrameDecoder, StreamingDecoder},
    encoding::{CompressionLevel, compress_to_vec},
};
use std::io::{self, BufRead, Read};

/// How a frame begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A last block of no bytes, and a checksum for frames that end with one.
const END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

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
    /// Why its rest cannot be read: told when what was decoded of it has been read.
    cut: Option<io::Error>,
}

impl<R: BufRead> Frames<R> {
    /// Nothing is read yet.
    pub fn new(reader: R) -> Self {
        Self { reader: Some(reader), frame: None, cut: None }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut frame) = self.frame.take() {
                let read = match frame.read(buffer) {
                    Ok(read) => read,
                    Err(cause) => {
                        self.cut = Some(of_the_source(&cause).ok_or(cause)?);
                        end(&mut frame.decoder)?;
                        frame.read(buffer)?
                    }
                };
                if read > 0 || buffer.is_empty() {
                    self.frame = Some(frame);
                    return Ok(read);
                }
                if let Some(cause) = self.cut.take() {
                    return Err(cause);
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

/// Why bytes did not come. `None` when they came and are damaged: of such a block a part may have been decoded.
fn of_the_source(cause: &io::Error) -> Option<io::Error> {
    let mut beneath = anyhow::Chain::new(cause).skip(1).filter_map(|cause| cause.downcast_ref::<io::Error>());
    beneath.next().map(|cause| io::Error::new(cause.kind(), cause.to_string()))
}

/// Ends a frame behind its last whole block. Until then its decoder keeps back what a later block could refer to.
fn end(decoder: &mut FrameDecoder) -> io::Result<()> {
    decoder.decode_blocks(&END[..], BlockDecodingStrategy::UptoBlocks(1)).map(|_| ()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that a block holds (RFC 8878, 3.1.1.2.4).
    const BLOCK: usize = 128 * 1024;

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
    fn every_block_before_a_cut_is_read() {
        let text: String = (0..40_000).map(|n| format!("line {n}\n")).collect();
        assert!(text.len() > 3 * BLOCK && text.len() < 4 * BLOCK);
        let whole = frame(text.as_bytes());
        let read = |upto: usize| {
            let mut out = Vec::new();
            Frames::new(&whole[..upto]).read_to_end(&mut out).unwrap_err();
            assert!(text.as_bytes().starts_with(&out), "{upto} bytes");
            out.len()
        };
        let lengths: Vec<_> = (whole.len() / 2..whole.len() - 4).rev().step_by(997).map(read).collect();
        assert_eq!(lengths[0], 3 * BLOCK);
        assert!(lengths.is_sorted_by(|one, next| one >= next) && lengths.contains(&(2 * BLOCK)), "{lengths:?}");
        // The last four bytes are a checksum: without it, or a part of it, every block is there.
        let short = frame(b"one");
        for cut in 1..=4 {
            let mut out = Vec::new();
            Frames::new(&short[..short.len() - cut]).read_to_end(&mut out).unwrap_err();
            assert_eq!(out, b"one", "{cut} bytes of the checksum are missing");
        }
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
