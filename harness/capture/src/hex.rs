//! Instructions and bytes as hexadecimal text where the format is for people (JSON), as they are elsewhere.

use std::fmt::Write;

fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    fn digit(byte: u8) -> Option<u8> {
        char::from(byte).to_digit(16).map(|digit| digit as u8)
    }
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// `Vec<Insn>` as an array of strings of 16 digits.
pub(crate) mod insns {
    use crate::Insn;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::borrow::Cow;

    struct Text(Insn);

    impl Serialize for Text {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Insn { code, dst_reg, src_reg, off, imm } = self.0;
            let ([off0, off1], [imm0, imm1, imm2, imm3]) = (off.to_le_bytes(), imm.to_le_bytes());
            let regs = src_reg << 4 | dst_reg & 0x0f;
            serializer.serialize_str(&super::digits(&[code, regs, off0, off1, imm0, imm1, imm2, imm3]))
        }
    }

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = Cow::<str>::deserialize(deserializer)?;
            let bytes: Option<[u8; 8]> = super::bytes(&text).and_then(|bytes| bytes.try_into().ok());
            let Some([code, regs, off0, off1, imm0, imm1, imm2, imm3]) = bytes else {
                return Err(D::Error::custom("an instruction is a string of 16 hexadecimal digits"));
            };
            let off = i16::from_le_bytes([off0, off1]);
            let imm = i32::from_le_bytes([imm0, imm1, imm2, imm3]);
            Ok(Text(Insn { code, dst_reg: regs & 0x0f, src_reg: regs >> 4, off, imm }))
        }
    }

    pub(crate) fn serialize<S: Serializer>(insns: &[Insn], serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return insns.serialize(serializer);
        }
        serializer.collect_seq(insns.iter().map(|insn| Text(*insn)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Insn>, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer);
        }
        Ok(Vec::<Text>::deserialize(deserializer)?.into_iter().map(|Text(insn)| insn).collect())
    }
}

/// `Option<Vec<u8>>` as a string of two digits per byte, or null.
pub(crate) mod optional_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::borrow::Cow;

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return bytes.serialize(serializer);
        }
        bytes.as_deref().map(super::digits).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        if !deserializer.is_human_readable() {
            return Option::deserialize(deserializer);
        }
        let Some(text) = Option::<Cow<str>>::deserialize(deserializer)? else { return Ok(None) };
        super::bytes(&text).map(Some).ok_or_else(|| D::Error::custom("bytes are pairs of hexadecimal digits"))
    }
}
