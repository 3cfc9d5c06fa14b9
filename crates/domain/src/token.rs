//! The shape of tokens and secrets: a published contract that does not change within v1.
//!
//! `prefix` + 43 base62 characters + 6 base62 characters (CRC-32 of what precedes), 53 in all. A job
//! token's first 4 of the 43 are the hour of issue, so that a look-up touches one time partition.

use crate::secret::Secret;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: usize = 4;
const HOUR: usize = 4;
const BODY: usize = 43;
const CHECKSUM: usize = 6;
/// The length of every token and secret, in bytes.
pub const LENGTH: usize = PREFIX + BODY + CHECKSUM;
/// Random bytes that one token is made of.
pub const RANDOM: usize = 32;

/// Which of the four credentials a text is, told by its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `jpj_`
    Job,
    /// `jpr_`
    Runner,
    /// `jps_`
    Service,
    /// `jpu_`
    User,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Job, Kind::Runner, Kind::Service, Kind::User];

    pub const fn prefix(self) -> &'static str {
        match self {
            Kind::Job => "jpj_",
            Kind::Runner => "jpr_",
            Kind::Service => "jps_",
            Kind::User => "jpu_",
        }
    }
}

/// Hours since 1970: the partition key of job tokens, taken from the token's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(pub u32);

impl Hour {
    /// The hour that holds this second of Unix time; times before 1970 count as its first hour.
    pub fn of_unix(seconds: i64) -> Hour {
        Hour(u32::try_from(seconds.max(0) / 3600).unwrap_or(u32::MAX))
    }
}

/// SHA-256 of a token: all that is stored, compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl std::hash::Hash for TokenHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl TokenHash {
    pub fn of(text: &str) -> TokenHash {
        TokenHash(Sha256::digest(text.as_bytes()).into())
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &TokenHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// What a well-formed token says of itself. That it exists is for the database to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub kind: Kind,
    pub hash: TokenHash,
    /// The hour in the text of a job token; zero for the other kinds.
    pub hour: Hour,
}

/// The fewest characters after a prefix that may be a secret: part of one is guessed sooner than all of it.
const TELLING: usize = 16;

/// The text without what may be a token or secret: for whatever is logged or answered and a caller wrote.
pub fn hide(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, prefix, after)) = first_secret(rest) {
        shown.push_str(before);
        shown.push_str(prefix);
        shown.push_str("_[hidden]");
        rest = after;
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What stands before it, its prefix but for the underscore, and what follows.
fn first_secret(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices("jp").find_map(|(at, _)| {
        let (before, secret) = text.split_at(at);
        let (prefix, rest) = secret.split_at_checked(PREFIX - 1)?;
        prefix.ends_with(['j', 'r', 's', 'u']).then_some(())?;
        // The underscore as it may stand in a URL, too.
        let body = ["_", "%5F", "%5f"].iter().find_map(|underscore| rest.strip_prefix(underscore))?;
        let after = body.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        (body.len() - after.len() >= TELLING).then_some((before, prefix, after))
    })
}

/// Reads a presented text. `None` for whatever does not have the shape or the checksum: such a text is
/// refused without a look at the database.
pub fn parse(text: &str) -> Option<Parsed> {
    let bytes: &[u8; LENGTH] = text.as_bytes().try_into().ok()?;
    let (signed, checksum) = bytes.split_at(PREFIX + BODY);
    let (prefix, body) = signed.split_at(PREFIX);
    let kind = Kind::ALL.into_iter().find(|kind| kind.prefix().as_bytes() == prefix)?;
    if !body.iter().all(u8::is_ascii_alphanumeric) || checksum != encode_checksum(signed) {
        return None;
    }
    let hour = match kind {
        Kind::Job => decode_hour(body.get(..HOUR)?)?,
        Kind::Runner | Kind::Service | Kind::User => Hour(0),
    };
    Some(Parsed { kind, hash: TokenHash::of(text), hour })
}

/// Makes a runner token, a service secret or a user token of 256 random bits.
pub fn generate(kind: Kind, random: [u8; RANDOM]) -> Secret {
    let mut text = kind.prefix().to_owned();
    text.push_str(&encode(&random, BODY));
    seal(text)
}

/// Makes a job token: the hour of issue and 232 random bits.
pub fn generate_job_token(hour: Hour, random: [u8; RANDOM]) -> Secret {
    let mut text = Kind::Job.prefix().to_owned();
    text.push_str(&encode(&hour.0.to_be_bytes(), HOUR));
    let (bits_232, _) = random.split_at(29);
    text.push_str(&encode(bits_232, BODY - HOUR));
    seal(text)
}

fn seal(mut text: String) -> Secret {
    // One exact allocation: growing would leave an unwiped copy of the random part behind.
    let mut whole = String::with_capacity(LENGTH);
    whole.push_str(&text);
    whole.extend(encode_checksum(text.as_bytes()).map(char::from));
    zeroize::Zeroize::zeroize(&mut text);
    Secret::new(whole)
}

/// Base62 of a big-endian number, exactly `width` digits, padded with zeros.
fn encode(number: &[u8], width: usize) -> String {
    let mut number = number.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(divide_by_62(&mut number));
    }
    zeroize::Zeroize::zeroize(&mut number);
    digits.into_iter().map(char::from).collect()
}

/// Long division in place; answers the remainder.
fn divide_by_62(number: &mut [u8]) -> u8 {
    let mut rest: u32 = 0;
    for byte in number {
        let value = (rest << 8) | u32::from(*byte);
        *byte = low_byte(value / 62);
        rest = value % 62;
    }
    low_byte(rest)
}

/// The callers keep `value` below 256: a quotient by 62 of less than 62 × 256, or a remainder.
fn low_byte(value: u32) -> u8 {
    (value & 0xff).to_le_bytes()[0]
}

fn base62_digit(value: u8) -> u8 {
    ALPHABET.get(usize::from(value)).copied().unwrap_or(b'0')
}

fn encode_checksum(signed: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = crc32fast::hash(signed);
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(low_byte(crc % 62));
        crc /= 62;
    }
    digits
}

fn decode_hour(digits: &[u8]) -> Option<Hour> {
    let mut hour: u32 = 0;
    for digit in digits {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        hour = hour.checked_mul(62)?.checked_add(u32::try_from(value).ok()?)?;
    }
    Some(Hour(hour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        let secret = generate(Kind::User, [7; RANDOM]);
        let text = secret.expose();
        for (shown, hidden) in [
            ("", String::new()),
            ("/v1/groups/acme", "/v1/groups/acme".to_owned()),
            ("jpj_short jpx_0123456789abcdef jp_", "jpj_short jpx_0123456789abcdef jp_".to_owned()),
            ("jp", "jp".to_owned()),
            ("jpé_0123456789abcdef", "jpé_0123456789abcdef".to_owned()),
            ("a jpu_[hidden], xjpu_[hidden]", format!("a {text}, x{text}")),
            ("jpjjpr_[hidden]/", "jpjjpr_0123456789abcdef/".to_owned()),
            ("/jpu_[hidden]", format!("/{}", text.replace('_', "%5F"))),
        ] {
            assert_eq!(hide(&hidden), shown);
        }
    }

    #[test]
    fn a_known_token() {
        // Fixed for ever: scanners and clients out there know this shape.
        let token = generate_job_token(Hour(498_792), [7; RANDOM]);
        assert_eq!(token.expose(), "jpj_25l21SzmGZ2iw4jF3K0zPxTzLMzE8rUghJ6G6DxCik30OG0wv");
        assert_eq!(parse(token.expose()).unwrap().hour, Hour(498_792));
    }

    #[test]
    fn the_largest_numbers_fit() {
        let token = generate_job_token(Hour(14_776_335), [0xff; RANDOM]);
        assert_eq!(parse(token.expose()).unwrap().hour, Hour(14_776_335));
        assert!(parse(generate(Kind::User, [0xff; RANDOM]).expose()).is_some());
    }

    #[test]
    fn what_is_not_a_token() {
        let token = generate(Kind::Runner, [1; RANDOM]);
        let text = token.expose();
        for bad in
            ["", "jpj_", &text[1..], &format!("{text}0"), &text.replace("jpr_", "jpx_"), &text.replace("jpr_", "jpu_")]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"é".repeat(26)), None);
        assert_eq!(parse(&format!("{}\0", &text[..52])), None);
    }

    proptest! {
        #[test]
        fn every_token_reads_back(random: [u8; RANDOM], hour in 0u32..14_776_336, which in 0usize..4) {
            let kind = Kind::ALL[which];
            let token = if kind == Kind::Job { generate_job_token(Hour(hour), random) } else { generate(kind, random) };
            let text = token.expose();
            prop_assert_eq!(text.len(), 53);
            prop_assert!(text[4..].bytes().all(|b| b.is_ascii_alphanumeric()));
            let parsed = parse(text).unwrap();
            prop_assert_eq!(parsed.kind, kind);
            prop_assert_eq!(parsed.hash, TokenHash::of(text));
            prop_assert_eq!(parsed.hour, if kind == Kind::Job { Hour(hour) } else { Hour(0) });
        }

        #[test]
        fn one_changed_character_is_noticed(random: [u8; RANDOM], at in 4usize..53, to in "[0-9A-Za-z]") {
            let token = generate(Kind::User, random);
            let mut text = token.expose().to_owned();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert_eq!(parse(&text), None);
        }

        #[test]
        fn different_random_bytes_differ(a: [u8; RANDOM], b: [u8; RANDOM]) {
            prop_assume!(a != b);
            prop_assert_ne!(generate(Kind::Service, a).expose().to_owned(), generate(Kind::Service, b).expose().to_owned());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
