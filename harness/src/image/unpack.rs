//! Unpacking the payload of a boot image, by the magic number at its start, into bounded memory.

use std::io::Read;

/// Most memory, in KiB, that unpacking xz and lzma may take. The kernel's build asks for 128 MiB at most.
const DICTIONARY_KIB: u32 = 256 << 10;

/// Unpacks `payload` to at most `limit` bytes. What follows the compressed part (the kernel's build appends
/// the unpacked size) is ignored.
pub(super) fn unpack(payload: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(|e| e.to_string())?;
            read(decoder.single_frame(), limit, "zstd")
        }
        [0x1f, 0x8b, ..] => read(flate2::bufread::GzDecoder::new(payload), limit, "gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            read(lzma_rust2::XzReader::new_mem_limit(payload, false, DICTIONARY_KIB), limit, "xz")
        }
        [b'B', b'Z', b'h', ..] => read(bzip2::bufread::BzDecoder::new(payload), limit, "bzip2"),
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => lz4_legacy(rest, limit),
        [0x5d, 0, 0, ..] => {
            // The kernel's build makes the header say that the size is unknown.
            let decoder = lzma_rust2::LzmaReader::new_mem_limit(payload, DICTIONARY_KIB, None);
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

    /// The text as `xz -9 --check=crc32` packs it.
    const XZ: &[u8] =
        b"\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x1c\x00\x00\x00\x10\xcf\x58\xcc\
        \xe0\x46\x4f\x00\x4c\x5d\x00\x26\x1a\x49\xc7\x89\x55\xb3\x1f\x47\x35\xd2\x1f\x2e\x2d\x85\xd0\x5c\
        \xb5\xf0\xb0\xd1\xe2\x51\x0b\x3a\xdc\x88\x16\x8e\x7d\xd0\xef\xac\xb2\xf5\xcc\x9b\x86\xb0\x89\x9c\
        \xaf\x4b\x91\x59\x10\x4f\xe2\x79\xa0\xcf\x60\x27\xab\x2f\x94\xfd\x59\x72\x54\x9d\xda\x29\xf9\x98\
        \x9f\x6b\x24\x3a\xd8\x5b\xc4\xc1\x88\x00\x00\x00\x64\x56\x84\xda\x00\x01\x64\xd0\x8c\x01\x00\x00\
        \x7c\x85\x88\x7f\x3e\x30\x0d\x8b\x02\x00\x00\x00\x00\x01\x59\x5a";
    /// The text as `lzma -6` packs it.
    const LZMA: &[u8] =
        b"\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x26\x1a\x49\xc7\x89\x55\xb3\x1f\x47\x35\
        \xd2\x1f\x2e\x2d\x85\xd0\x5c\xb5\xf0\xb0\xd1\xe2\x51\x0b\x3a\xdc\x88\x16\x8e\x7d\xd0\xef\xac\xb2\
        \xf5\xcc\x9b\x86\xb0\x89\x9c\xaf\x4b\x91\x59\x10\x4f\xe2\x79\xa0\xcf\x60\x27\xab\x2f\x94\xfd\x59\
        \x72\x54\x9d\xda\x29\xf9\x98\x9f\x6b\x24\x3a\xd8\x5b\xc4\xf7\x13\xc6\xff\xff\xf7\x87\x80\x00";

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
            ("xz", XZ.to_vec()),
            ("lzma", LZMA.to_vec()),
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

    /// Memory is not taken because a header says so.
    #[test]
    fn a_dictionary_of_any_size_is_not_made() {
        let mut xz = XZ.to_vec();
        // The size of LZMA2's dictionary: 28 is 64 MiB, 40 is 4 GiB. The header's checksum follows.
        assert_eq!(xz[16], 28);
        for (size, crc, fits) in [(28, [0x10, 0xcf, 0x58, 0xcc], true), (40, [0xe6, 0xa0, 0x11, 0xb3], false)]
        {
            xz[16] = size;
            xz[20..24].copy_from_slice(&crc);
            let result = unpack(&xz, 1 << 20).map(|unpacked| unpacked.len());
            assert_eq!(result.is_ok(), fits, "{result:?}");
            assert!(fits || result.is_err_and(|error| error.contains("needed memory too big")));
        }
        let mut lzma = LZMA.to_vec();
        lzma[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpack(&lzma, 1 << 20).is_err());
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
