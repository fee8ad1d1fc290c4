//! Records of `.BTF.ext`: what compilers say of the instructions of an object's sections.

use super::elf::u32_at;

/// A kind of records.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// `struct bpf_line_info`: instruction in bytes, file, text, line and column.
    Lines,
    /// `struct bpf_core_relo`: instruction in bytes, type, access, kind.
    CoreRelocations,
}

/// The records of a kind, by section: the offset of its name in the strings of `.BTF`, and a record's words. They
/// end where the section is cut or makes no sense.
pub(super) fn records(ext: &[u8], part: Part) -> impl Iterator<Item = (u32, [u32; 4])> {
    // struct btf_ext_header: magic, version, flags, hdr_len; func_info, line_info and core_relo as offset and length.
    let found = || {
        let word = |at: usize| u32_at(ext, at).map(|word| word as usize);
        let (header, field) = (
            word(4)?,
            match part {
                Part::Lines => 16,
                Part::CoreRelocations => 24,
            },
        );
        let start = header.checked_add(word(field)?).filter(|_| header >= field + 8)?;
        let all = ext.get(start..start.checked_add(word(field + 4)?)?)?;
        let size = u32_at(all, 0).filter(|size| *size >= 16)? as usize;
        Some((all.get(4..)?, size))
    };
    let (mut rest, size) = found().unwrap_or((&[], 16));
    // The section's name and the number of its records, then the records.
    std::iter::from_fn(move || {
        let (name, count) = (u32_at(rest, 0)?, u32_at(rest, 4)? as usize);
        let all = rest.get(8..)?;
        let (these, after) = all.split_at(size.checked_mul(count)?.min(all.len()));
        rest = after;
        Some((name, these.chunks_exact(size)))
    })
    .flat_map(|(name, records)| {
        records.filter_map(move |record| {
            let word = |at: usize| u32_at(record, 4 * at);
            Some((name, [word(0)?, word(1)?, word(2)?, word(3)?]))
        })
    })
}
