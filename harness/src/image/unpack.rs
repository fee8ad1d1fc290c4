//! Unpacking the payload of a boot image, by the magic number at its start, into bounded memory.

use std::io::Read;

/// Unpacks `payload` to at most `limit` bytes. What follows the compressed part (the kernel's build appends
/// the unpacked size) is ignored.
pub(super) fn unpack(payload: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(|e| e.to_string())?;
            read(decoder.single_frame(), limit, "zstd")
        }
        [0x1f, 0x8b, ..] => read(flate2::bufread::GzDecoder::new(payload), limit, "gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => read(lzma_rust2::XzReader::new(payload, false), limit, "xz"),
        [b'B', b'Z', b'h', ..] => read(bzip2::bufread::BzDecoder::new(payload), limit, "bzip2"),
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => lz4_legacy(rest, limit),
        [0x5d, 0, 0, ..] => {
            // The kernel's build makes the header say that the size is unknown.
            let decoder = lzma_rust2::LzmaReader::new_mem_limit(payload, 256 << 10, None);
            read(decoder.map_err(|e| format!("lzma: {e}"))?, limit, "lzma")
        }
        [0x7f, b'E', b'L', b'F', ..] => Ok(payload.to_vec()),
        [0x89, b'L', b'Z', b'O', ..] => Err("it is packed with LZO, which is not supported".to_string()),
        _ => {
            let magic: Vec<String> = payload.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            Err(format!("unknown compression (it starts with {})", magic.join(" ")))
        }
    }
}

fn read(from: impl Read, limit: u64, kind: &str) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    from.take(limit + 1).read_to_end(&mut unpacked).map_err(|error| format!("{kind}: {error}"))?;
    if unpacked.len() as u64 > limit { Err(too_large(limit)) } else { Ok(unpacked) }
}

fn too_large(limit: u64) -> String {
    format!("it unpacks to more than {} MiB", limit >> 20)
}

/// lz4's legacy format: blocks of at most 8 MiB unpacked, each after its packed length. The kernel's build
/// appends the unpacked size, which looks like the length of a block that is not there.
fn lz4_legacy(mut rest: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    const BLOCK: usize = 8 << 20;
    let mut unpacked = Vec::new();
    while let Some((length, blocks)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((block, after)) = blocks.split_at_checked(length) else {
            if blocks.is_empty() && unpacked.len() == length {
                break;
            }
            return Err("lz4: a block is cut short".to_string());
        };
        let block = lz4_flex::block::decompress(block, BLOCK).map_err(|error| format!("lz4: {error}"))?;
        unpacked.extend(block);
        if unpacked.len() as u64 > limit {
            return Err(too_large(limit));
        }
        rest = after;
    }
    if matches!(rest.len(), 1..4) {
        return Err("lz4: a block is cut short".to_string());
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text() -> Vec<u8> {
        b"Linux version 7.2 ".repeat(1000)
    }

    /// The text packed in every way, with the size that the kernel's build appends.
    fn packed() -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text()).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&text()).unwrap();
        let block = lz4_flex::block::compress(&text());
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        let mut all = vec![
            ("gzip", gzip.finish().unwrap()),
            ("zstd", zstd::encode_all(text().as_slice(), 1).unwrap()),
            ("bzip2", bzip2.finish().unwrap()),
            ("lz4", [&[0x02, 0x21, 0x4c, 0x18][..], &length, &block].concat()),
        ];
        for (_, bytes) in &mut all {
            bytes.extend(u32::try_from(text().len()).unwrap().to_le_bytes());
        }
        all
    }

    #[test]
    fn unpacks_every_kind() {
        for (kind, bytes) in packed() {
            assert!(unpack(&bytes, 1 << 20).is_ok_and(|unpacked| unpacked == text()), "{kind}");
        }
    }

    #[test]
    fn keeps_to_the_limit() {
        for (kind, bytes) in packed() {
            let error = unpack(&bytes, 100).expect_err(kind);
            assert!(error.contains("unpacks to more than"), "{kind}: {error}");
        }
    }

    #[test]
    fn damage_is_an_error_and_not_a_panic() {
        for (kind, bytes) in packed() {
            // The size at the end is not read, except as the end of lz4's blocks.
            for at in 0..(bytes.len() - 4).min(200) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x55;
                let _ = unpack(&damaged, 1 << 20);
                assert!(at < 6 || unpack(&bytes[..at], 1 << 20).is_err(), "{kind} cut at {at}");
            }
        }
    }
}
