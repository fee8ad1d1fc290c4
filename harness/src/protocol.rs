//! What host and agent say to each other over the virtio-serial port.
//!
//! ```text
//! frame = length of message (u32 le) | length of payload (u32 le) | message (postcard) | payload
//! ```
//! The payload carries the one large thing of a message, an object's bytes or a log, past the encoder. Both
//! lengths are bounded and memory grows only as bytes arrive, so neither side can make the other allocate
//! what it does not send. A message takes several times its length once it is decoded (an empty name, one byte, is 24),
//! which is why those of guests have a smaller bound.

mod prepared;

pub(crate) use prepared::*;

use livediff_capture::{Loaded, Map, Verdict, trace::Hooks};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// Version of the messages. Host and agent are the same program; another version means a mixed-up initramfs.
pub(crate) const VERSION: u32 = 6;
/// Name of the virtio-serial port.
pub(crate) const PORT: &str = "livediff";
/// File in the initramfs that tells the program that it is the agent.
pub(crate) const MARKER: &str = "/livediff-guest";
/// Variable in the environment that tells the same to a child that loads into the running kernel. Its value is the
/// number of the parent, so that it means nothing to whoever else inherits it.
pub(crate) const LOCAL: &str = "LIVEDIFF_AGENT_OF";

/// Variable in the environment that tells a child that it is to prepare objects. Its value is the number of the
/// parent, so that it means nothing to whoever else inherits it.
pub(crate) const PREPARER: &str = "LIVEDIFF_PREPARES_FOR";

/// What is sent in one frame.
pub(crate) trait Message: Serialize + DeserializeOwned {
    /// Most bytes of the message, and of its payload.
    const LIMITS: (u32, u32) = (256 << 20, 512 << 20);
}

impl Message for ToGuest {}
impl Message for ToPreparer {}
impl Message for FromPreparer {}
impl Message for FromGuest {
    /// The largest honest message tells a program of a million instructions, 12 bytes each at most, and the read-only
    /// data that it uses. No log is longer than the buffer that the host allows.
    const LIMITS: (u32, u32) = (32 << 20, 256 << 20);
}

/// When the kernel has said enough of a program, so that its load may be cut short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The line of the log before the last lines that are wanted: after it comes one line for each instruction,
    /// 64-bit loads counted once.
    pub marker: String,
    /// How long the load may take all the same. One that ends by itself in this time has a verdict.
    pub after: Duration,
}

/// From the host to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToGuest {
    /// First message, answered by [`FromGuest::Hello`] before it is read. The payload is the text of the kernel's
    /// configuration, empty where that is not known.
    Hello {
        version: u32,
        /// Threads that prepare and load.
        threads: u32,
        /// The log buffer of one thread, in bytes.
        log_limit: u32,
        /// When a load is cut short.
        stop: Option<Stop>,
        /// Tracing programs read the analysis of every program wanted.
        trace: bool,
    },
    /// An object; the payload is its ELF file.
    Object {
        id: u32,
        name: String,
        /// The text of its `license` section.
        license: String,
        /// Names of the programs wanted; `None` for all.
        only: Option<Vec<String>>,
        /// Numbers of programs that are not to be loaded (any more), ascending.
        skip: Vec<u32>,
    },
    /// The host wants the kernel's symbols.
    Symbols,
    /// An object that the host has prepared; the payload is a `Vec<Part>`.
    Prepared {
        id: u32,
        /// As in [`ToGuest::Object`].
        skip: Vec<u32>,
    },
}

/// From the agent to the host. Objects go by the number that the host gave, programs by their place in the
/// object.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromGuest {
    /// First message.
    Hello { version: u32, release: String },
    /// libbpf opened the object; these are all its programs.
    Opened { object: u32, programs: Vec<String> },
    /// libbpf could not open the object. It is finished.
    NotOpened { object: u32, reason: String },
    /// A thread begins to open and prepare the object (`program` is `None`) or to load one of its programs.
    Starting { object: u32, program: Option<u32> },
    /// The object is prepared.
    Prepared { object: u32 },
    /// The kernel was asked to load the program; the payload is the log.
    Loaded { object: u32, program: u32, loaded: Box<Loaded>, verdict: Verdict, errno: i32, truncated: bool },
    /// The payload is `/proc/kallsyms`, empty where it cannot be read.
    Symbols,
    /// The maps of an object that the host has prepared are there, by part: what the kernel says of them.
    Maps { object: u32, maps: Vec<Vec<Map>> },
    /// What the host has prepared does not do here, and the reason. The object is finished.
    Unfit { object: u32, reason: String },
    /// As [`FromGuest::Loaded`], of a program that the host has prepared and knows.
    Answered { object: u32, program: u32, verdict: Verdict, errno: i32, truncated: bool },
    /// The program could not be given to the kernel.
    NotLoadable { object: u32, program: u32, reason: String },
    /// Every program wanted of the object has its result.
    Finished { object: u32 },
    /// The tracing programs that were asked for cannot be had from this kernel.
    NoTrace { reason: String },
    /// What tracing programs read while the program was loaded; the payload is their records. Comes before the result.
    Traced { object: u32, program: u32, hooks: Hooks },
}

/// The payload of [`ToGuest::Prepared`].
pub(crate) fn encode_parts(parts: &[Part]) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(parts).map_err(io::Error::other)
}

/// The inverse of [`encode_parts`].
pub(crate) fn decode_parts(bytes: &[u8]) -> io::Result<Vec<Part>> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Sends one frame.
pub(crate) fn write<M: Message>(to: &mut impl Write, message: &M, payload: &[u8]) -> io::Result<()> {
    let too_large =
        || io::Error::new(ErrorKind::InvalidInput, "a message is larger than the protocol allows");
    let length = |n: usize, limit: u32| u32::try_from(n).ok().filter(|n| *n <= limit).ok_or_else(too_large);
    let message = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(8 + message.len());
    frame.extend(length(message.len(), M::LIMITS.0)?.to_le_bytes());
    frame.extend(length(payload.len(), M::LIMITS.1)?.to_le_bytes());
    frame.extend(message);
    // One write for a small frame: every write is a trip out of the guest.
    if payload.len() <= 16 << 10 {
        frame.extend(payload);
        to.write_all(&frame)?;
    } else {
        to.write_all(&frame)?;
        to.write_all(payload)?;
    }
    to.flush()
}

/// Receives one frame; an error at the end of the stream.
pub(crate) fn read<M: Message>(from: &mut impl Read) -> io::Result<(M, Vec<u8>)> {
    let mut lengths = [0; 8];
    from.read_exact(&mut lengths)?;
    let [a, b, c, d, e, f, g, h] = lengths;
    let message = read_bytes(from, u32::from_le_bytes([a, b, c, d]), M::LIMITS.0)?;
    let payload = read_bytes(from, u32::from_le_bytes([e, f, g, h]), M::LIMITS.1)?;
    let message = postcard::from_bytes(&message).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    Ok((message, payload))
}

fn read_bytes(from: &mut impl Read, length: u32, limit: u32) -> io::Result<Vec<u8>> {
    if length > limit {
        return Err(io::Error::new(ErrorKind::InvalidData, "the other side announces an impossible length"));
    }
    let mut bytes = Vec::with_capacity(length.min(1 << 20) as usize);
    from.by_ref().take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() != length as usize {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(message: &FromGuest, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, message, payload).unwrap();
        bytes
    }

    #[test]
    fn frames_come_back_as_they_went() {
        let log = vec![b'x'; 100_000];
        let opened = FromGuest::Opened { object: 7, programs: vec!["one".into(), "two".into()] };
        let bytes = [frame(&opened, &[]), frame(&FromGuest::Finished { object: 7 }, &log)].concat();
        let mut from = bytes.as_slice();
        let (message, payload) = read::<FromGuest>(&mut from).unwrap();
        assert!(matches!(message, FromGuest::Opened { object: 7, programs } if programs == ["one", "two"]));
        assert!(payload.is_empty());
        let (message, payload) = read::<FromGuest>(&mut from).unwrap();
        assert!(matches!(message, FromGuest::Finished { object: 7 }));
        assert_eq!(payload, log);
        assert_eq!(read::<FromGuest>(&mut from).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_answer_not_a_panic() {
        let bytes = frame(&FromGuest::NotOpened { object: 1, reason: "because".into() }, b"payload");
        for cut in 0..bytes.len() {
            assert!(read::<FromGuest>(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = read::<FromGuest>(&mut changed.as_slice());
            }
        }
    }
}
