//! ELF files as the tests want them, honest or not.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub const PROGBITS: u32 = 1;
pub const NOBITS: u32 = 8;
pub const EXECUTABLE: u64 = 4 | 2;
pub const BPF: u16 = 247;
pub const X86_64: u16 = 62;
/// A global function.
pub const FUNCTION: u8 = 1 << 4 | 2;

/// A section. Several may be given the same bytes of the file, see [`Elf::overlap`].
pub struct Section {
    pub name: &'static str,
    pub kind: u32,
    pub flags: u64,
    pub data: Vec<u8>,
}

/// A symbol; `section` counts from 1, 0 is undefined. Names are offsets into [`Elf::names`].
#[derive(Clone, Copy, Default)]
pub struct Symbol {
    pub name: u32,
    pub info: u8,
    pub section: u16,
    pub value: u64,
    pub size: u64,
}

pub struct Elf {
    pub machine: u16,
    pub sections: Vec<Section>,
    pub symbols: Vec<Symbol>,
    /// The string table of the symbols, which begins with a NUL.
    pub names: Vec<u8>,
    /// How many more section headers say the same as the first one.
    pub overlap: usize,
    /// A section with relocations, and the section that they are about.
    pub relocations: Option<(u16, u16)>,
    /// What section headers say of the size of sections without contents.
    pub bss: u64,
}

impl Elf {
    pub fn new(machine: u16) -> Elf {
        Elf {
            machine,
            sections: Vec::new(),
            symbols: Vec::new(),
            names: vec![0],
            overlap: 0,
            relocations: None,
            bss: 0,
        }
    }

    pub fn section(&mut self, name: &'static str, flags: u64, data: Vec<u8>) -> u16 {
        self.sections.push(Section { name, kind: PROGBITS, flags, data });
        self.sections.len() as u16
    }

    /// Adds a name, and returns its place.
    pub fn name(&mut self, name: &str) -> u32 {
        let at = self.names.len() as u32;
        self.names.extend(name.as_bytes());
        self.names.push(0);
        at
    }

    pub fn function(&mut self, name: &str, section: u16, value: u64, size: u64) {
        let name = self.name(name);
        self.symbols.push(Symbol { name, info: FUNCTION, section, value, size });
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 64];
        let mut headers: Vec<[u64; 10]> = vec![[0; 10]];
        let mut strings = vec![0];
        // name, type, flags, address, offset, size, link, info, alignment, entry size
        let mut add = |out: &mut Vec<u8>, name: &str, kind: u32, flags, data: &[u8], link, entry| {
            let place = strings.len() as u64;
            strings.extend(name.as_bytes());
            strings.push(0);
            out.resize(out.len().next_multiple_of(8), 0);
            let size = if kind == NOBITS { self.bss } else { data.len() as u64 };
            headers.push([place, kind.into(), flags, 0, out.len() as u64, size, link, 0, 8, entry]);
            if kind != NOBITS {
                out.extend(data);
            }
        };
        for section in &self.sections {
            add(&mut out, section.name, section.kind, section.flags, &section.data, 0, 0);
        }
        let symtab = self.sections.len() as u64 + 1;
        let symbols: Vec<u8> = std::iter::once(&Symbol::default())
            .chain(&self.symbols)
            .flat_map(|symbol| {
                let mut bytes = symbol.name.to_le_bytes().to_vec();
                bytes.extend([symbol.info, 0]);
                bytes.extend(symbol.section.to_le_bytes());
                bytes.extend(symbol.value.to_le_bytes());
                bytes.extend(symbol.size.to_le_bytes());
                bytes
            })
            .collect();
        add(&mut out, ".symtab", 2, 0, &symbols, symtab + 1, 24);
        add(&mut out, ".strtab", 3, 0, &self.names, 0, 0);
        add(&mut out, ".shstrtab", 3, 0, &[], 0, 0);
        let last = headers.len() - 1;
        headers[last][4] = out.len() as u64;
        headers[last][5] = strings.len() as u64;
        out.extend(&strings);
        if let Some((section, about)) = self.relocations {
            let header = &mut headers[usize::from(section)];
            (header[1], header[6], header[7], header[9]) = (9, symtab, about.into(), 16);
        }
        for _ in 0..self.overlap {
            headers.push(headers[1]);
        }
        out.resize(out.len().next_multiple_of(8), 0);
        let at = out.len() as u64;
        for header in &headers {
            for (number, field) in header.iter().enumerate() {
                match number {
                    0 | 1 | 6 | 7 => out.extend((*field as u32).to_le_bytes()),
                    _ => out.extend(field.to_le_bytes()),
                }
            }
        }
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &1u16.to_le_bytes());
        put(18, &self.machine.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(40, &at.to_le_bytes());
        put(52, &64u16.to_le_bytes());
        put(58, &64u16.to_le_bytes());
        put(60, &(headers.len() as u16).to_le_bytes());
        put(62, &(last as u16).to_le_bytes());
        out
    }
}

/// BTF of types and strings.
pub fn btf(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    let length = types.len() as u32 * 4;
    for word in [24, 0, length, length, strings.len() as u32] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(types.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(strings);
    bytes
}

/// A kernel image with a release and nothing else in it.
pub fn vmlinux(release: &str) -> Vec<u8> {
    // An integer named `int`.
    vmlinux_of(&btf(&[1, 1 << 24, 4, 32], b"\0int\0"), release)
}

/// A kernel image with BTF and a release: what a kernel is known by.
pub fn vmlinux_of(btf: &[u8], release: &str) -> Vec<u8> {
    let mut elf = Elf::new(X86_64);
    elf.section(".BTF", 2, btf.to_vec());
    elf.section(".rodata", 2, format!("Linux version {release} (me@here)\0").into_bytes());
    elf.bytes()
}
