use super::*;

/// A small BPF object: section names `names`, then the section headers. `payload` is one more section.
fn object(payload: &[u8]) -> Vec<u8> {
    let names = b"\0.strtab\0";
    let mut bytes = vec![0; HEADER];
    bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    bytes[16..20].copy_from_slice(&[1, 0, 247, 0]);
    let strings_at = bytes.len();
    bytes.extend(names);
    let payload_at = bytes.len();
    bytes.extend(payload);
    let table = bytes.len();
    bytes.resize(table + 3 * HEADER, 0);
    section(&mut bytes, table + HEADER, 3, strings_at, names.len());
    section(&mut bytes, table + 2 * HEADER, 1, payload_at, payload.len());
    bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    bytes[58..64].copy_from_slice(&[64, 0, 3, 0, 1, 0]);
    bytes
}

fn section(bytes: &mut [u8], at: usize, kind: u32, offset: usize, size: usize) {
    bytes[at + 4..at + 8].copy_from_slice(&kind.to_le_bytes());
    bytes[at + 24..at + 32].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[at + 32..at + 40].copy_from_slice(&(size as u64).to_le_bytes());
}

fn found(bytes: &[u8]) -> Vec<(usize, usize)> {
    scan(bytes).objects.iter().map(|object| (object.offset, object.bytes.len())).collect()
}

/// Runs `carve` and gives its summary and the names in the output folder, sorted.
fn carved(paths: &[PathBuf], output: &Path) -> (Summary, Vec<String>) {
    let summary = carve(paths, output, &mut |_| {}).unwrap();
    let mut names: Vec<_> = fs::read_dir(output)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (summary, names)
}

#[test]
fn objects_are_found_wherever_they_stand() {
    let (one, two) = (object(b"one"), object(b"the second"));
    let mut bytes = b"\x7f\x7fELF and so on".to_vec();
    let first = bytes.len();
    bytes.extend(&one);
    bytes.extend(b"\x7fELF between");
    let second = bytes.len();
    bytes.extend(&two);
    bytes.push(0x7f);
    assert_eq!(found(&bytes), [(first, one.len()), (second, two.len())]);
    assert_eq!(scan(&bytes).damaged, []);
    assert_eq!(scan(&bytes).objects[1].bytes, two);
}

#[test]
fn a_truncated_object_is_damaged_and_never_taken() {
    let whole = object(b"payload");
    for length in 0..whole.len() {
        let scan = scan(&whole[..length]);
        assert_eq!(scan.objects, [], "cut to {length} bytes");
        // Below the size of a header there is nothing to see.
        assert_eq!(scan.damaged.len(), usize::from(length >= HEADER), "cut to {length} bytes");
    }
    assert_eq!(found(&whole), [(0, whole.len())]);
}

#[test]
fn a_section_beyond_the_end_counts_unless_it_takes_no_space() {
    let mut bytes = object(b"payload");
    let length = bytes.len();
    let header = length - HEADER;
    section(&mut bytes, header, 1, length - 4, 100);
    assert_eq!(scan(&bytes).damaged.len(), 1);
    bytes.resize(length + 200, 0xaa);
    assert_eq!(found(&bytes), [(0, length + 96)]);
    section(&mut bytes, header, SHT_NOBITS, length - 4, 100);
    assert_eq!(found(&bytes), [(0, length)]);
    section(&mut bytes, header, 1, usize::MAX, 100);
    assert_eq!(
        scan(&bytes).damaged,
        [Damaged { offset: 0, reason: "one of its sections has an impossible size" }]
    );
}

#[test]
fn the_count_of_many_sections_stands_in_the_first_one() {
    let mut bytes = object(b"payload");
    let table = bytes.len() - 3 * HEADER;
    bytes[60..64].copy_from_slice(&[0, 0, 0xff, 0xff]);
    assert_eq!(found(&bytes), []);
    bytes[table + 32..table + 40].copy_from_slice(&3_u64.to_le_bytes());
    bytes[table + 40..table + 44].copy_from_slice(&1_u32.to_le_bytes());
    assert_eq!(found(&bytes), [(0, bytes.len())]);
    bytes[table + 32..table + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(found(&bytes), []);
}

#[test]
fn other_elf_files_are_passed_over() {
    let bpf = object(b"");
    let with = |at: usize, value: u8| {
        let mut bytes = bpf.clone();
        bytes[at] = value;
        bytes
    };
    for other in [with(4, 1), with(16, 2), with(18, 62)] {
        assert_eq!(scan(&other), Scan::default());
    }
    let mut big_endian = with(5, 2);
    big_endian[16..20].copy_from_slice(&[0, 1, 0, 247]);
    assert_eq!(scan(&big_endian), Scan { big_endian: 1, ..Scan::default() });
}

#[test]
fn what_a_byte_becomes_never_panics() {
    let whole = object(b"payload");
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            for object in scan(&bytes).objects {
                assert!(object.offset + object.bytes.len() <= bytes.len());
                names(Path::new("file"), &object);
            }
        }
    }
}

#[test]
fn many_headers_with_one_table_are_looked_at_a_bounded_number_of_times() {
    // Every header points to the same 60000 section headers, the last of which reaches too far.
    let headers = 60_000;
    let count: u16 = 60_000;
    let mut bytes = Vec::new();
    for index in 0..headers {
        let mut header = object(b"")[..HEADER].to_vec();
        header[40..48].copy_from_slice(&(((headers - index) * HEADER) as u64).to_le_bytes());
        header[60..62].copy_from_slice(&count.to_le_bytes());
        bytes.extend(header);
    }
    let table = bytes.len();
    bytes.resize(table + usize::from(count) * HEADER, 0);
    let last = bytes.len() - HEADER;
    section(&mut bytes, last, 1, 1 << 40, 1);
    let scan = scan(&bytes);
    assert_eq!((scan.objects.len(), scan.damaged.len()), (0, headers));
    let exhausted = |damaged: &&Damaged| damaged.reason.contains("than are looked at");
    let looked_at = headers - scan.damaged.iter().filter(exhausted).count();
    let most = (bytes.len() / HEADER + SPARE_SECTION_HEADERS) / usize::from(count);
    assert!((1..=most).contains(&looked_at), "{looked_at} tables read, {most} allowed");
}

#[test]
fn names_come_from_the_file_and_the_program() {
    let bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/stack/access.bpf.o")).unwrap();
    let program = first_program(&bytes).unwrap();
    let source =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/stack/access.bpf.c")).unwrap();
    assert!(source.contains(&program), "{program}");

    let name = |file: &str, offset| names(Path::new(file), &Found { offset, bytes: &bytes })[0].clone();
    assert_eq!(name("/usr/bin/tool", 10), format!("tool-{program}.bpf.o"));
    assert_eq!(name("a/xdp.bpf.o", 0), "xdp.bpf.o");
    assert_eq!(name("a/xdp.o", 0), "xdp.bpf.o");
    assert_eq!(name(".lib x/é.so", 10), format!("_.so-{program}.bpf.o"));
    assert_eq!(name(".hidden", 10), format!("_hidden-{program}.bpf.o"));
    let nameless = object(b"");
    let found = Found { offset: 1, bytes: &nameless };
    assert_eq!(names(Path::new("tool"), &found)[0], format!("tool-{:016x}.bpf.o", hash(&nameless)));
}

#[test]
fn each_object_is_written_once_and_names_do_not_collide() {
    let place = tempfile::tempdir().unwrap();
    let (input, output) = (place.path().join("in"), place.path().join("out"));
    let put = |name: &str, bytes: &[u8]| {
        let path = input.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let (one, two) = (object(b"one"), object(b"two"));
    put("a/prog.o", &one);
    put("b/prog.bpf.o", &two);
    put("c/again", &[b"xx".as_slice(), &one, &two, &one[..70]].concat());
    put("d/text", b"nothing here");

    let (summary, names) = carved(std::slice::from_ref(&input), &output);
    let expected = Summary { files: 4, objects: 2, duplicates: 2, damaged: 1, ..Summary::default() };
    assert_eq!(summary, expected);
    assert_eq!(names, [format!("prog-{:08x}.bpf.o", hash(&two) >> 32), "prog.bpf.o".into()]);
    assert_eq!(fs::read(output.join("prog.bpf.o")).unwrap(), one);
    assert_eq!(fs::read(output.join(&names[0])).unwrap(), two);

    // Again, into the same folder, the other way round: nothing new.
    let (summary, again) = carved(&[input.join("c"), input.clone()], &output);
    assert_eq!((summary.objects, summary.already_there), (2, 2));
    assert_eq!(again, names);
}

#[test]
fn what_is_named_and_cannot_be_read_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing");
    let output = place.path().join("out");
    let error = carve(&[missing], &output, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CarveError::Read { .. }), "{error}");
    let error = carve(&["/dev/null".into()], &output, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CarveError::Special { .. }), "{error}");
}
