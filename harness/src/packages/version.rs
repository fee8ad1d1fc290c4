//! Versions of Debian packages: their order (deb-version(7)), and what a user may ask for.

use std::cmp::Ordering;

/// The kernel's version in a package's: `7.2.12` in `7.2.12-1~bpo13+1`, `7.3~rc7` in `7.3~rc7-1~exp1`.
pub(super) fn upstream(package_version: &str) -> &str {
    let (_, rest) = split_epoch(package_version);
    rest.rsplit_once('-').map_or(rest, |(upstream, _)| upstream)
}

fn split_epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

/// Orders two package versions as dpkg does.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (split_epoch(a), split_epoch(b));
    let (upstream_a, revision_a) = a.rsplit_once('-').unwrap_or((a, ""));
    let (upstream_b, revision_b) = b.rsplit_once('-').unwrap_or((b, ""));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
}

/// Alternates between runs of other characters and runs of digits.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (text_a, rest_a) = split_at_first(a, u8::is_ascii_digit);
        let (text_b, rest_b) = split_at_first(b, u8::is_ascii_digit);
        let (number_a, next_a) = split_at_first(rest_a, |byte| !byte.is_ascii_digit());
        let (number_b, next_b) = split_at_first(rest_b, |byte| !byte.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_number(number_a, number_b));
        if order != Ordering::Equal || next_a.is_empty() && next_b.is_empty() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
}

fn split_at_first(bytes: &[u8], is_end: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(is_end).unwrap_or(bytes.len()))
}

/// A tilde sorts before the end, the end before letters, letters before the rest.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|at| rank(a.get(at)).cmp(&rank(b.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_number(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split_at_first(a, |byte| *byte != b'0');
    let (_, b) = split_at_first(b, |byte| *byte != b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A kernel as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `7.2`: any kernel of the series.
    Series(String),
    /// `7.2.12`, `7.3~rc7` or `7.3-rc7`: that one.
    Version(String),
}

impl Wanted {
    pub(super) fn parse(text: &str) -> Option<Wanted> {
        let (numbers, candidate) = match text.split_once(['~', '-']) {
            Some((numbers, candidate)) => (numbers, Some(candidate.strip_prefix("rc")?)),
            None => (text, None),
        };
        let is_number =
            |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = numbers.split('.').collect();
        if !(2..=3).contains(&parts.len()) || !parts.iter().copied().chain(candidate).all(is_number) {
            return None;
        }
        Some(match candidate {
            Some(candidate) => Wanted::Version(format!("{numbers}~rc{candidate}")),
            None if parts.len() == 3 => Wanted::Version(numbers.to_string()),
            None => Wanted::Series(numbers.to_string()),
        })
    }

    /// Whether the kernel's version is what is wanted.
    pub(super) fn fits(&self, version: &str) -> bool {
        match self {
            Wanted::Version(wanted) => version == wanted,
            Wanted::Series(series) => version
                .strip_prefix(series)
                .is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'.' | b'~'))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_dpkg_does() {
        // Ascending, as `dpkg --compare-versions` says.
        let ascending = [
            "6.18.9-1~bpo13+1",
            "7.2~rc1-1~exp1",
            "7.2.9-1~bpo13+1",
            "7.2.12-1~bpo13+1",
            "7.2.12-1",
            "7.2.12-1+b1",
            "7.2.12-2",
            "7.2.13-1",
            "7.3~rc6-1~exp1",
            "7.3~rc7-1~exp1",
            "7.3~rc10-1~exp1",
            "7.3-1",
            "7.3.1-1",
            "7.10-1",
            "1:1.0-1",
        ];
        for (place, a) in ascending.iter().enumerate() {
            assert_eq!(compare(a, a), Ordering::Equal);
            for b in &ascending[place + 1..] {
                assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
                assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
            }
        }
        assert_eq!(compare("1.0-01", "1.0-1"), Ordering::Equal);
    }

    #[test]
    fn finds_the_kernels_version() {
        assert_eq!(upstream("7.2.12-1~bpo13+1"), "7.2.12");
        assert_eq!(upstream("7.3~rc7-1~exp1"), "7.3~rc7");
        assert_eq!(upstream("1:7.2"), "7.2");
    }

    #[test]
    fn knows_what_may_be_asked_for() {
        assert_eq!(Wanted::parse("7.2"), Some(Wanted::Series("7.2".into())));
        assert_eq!(Wanted::parse("7.2.12"), Some(Wanted::Version("7.2.12".into())));
        assert_eq!(Wanted::parse("7.3-rc7"), Some(Wanted::Version("7.3~rc7".into())));
        for bad in ["", "7", "7.", "7.2.", "7.2.1.3", "a.b", "7.2-x", "7.2 ", "7.2/..", "+7.2"] {
            assert_eq!(Wanted::parse(bad), None, "{bad}");
        }
        assert!(Wanted::Series("7.3".into()).fits("7.3~rc7"));
        assert!(!Wanted::Series("7.3".into()).fits("7.31"));
    }
}
