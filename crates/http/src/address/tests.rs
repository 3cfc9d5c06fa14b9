//! Chains of proxies, honest and not.

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

fn trusted(header: AddressHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
    TrustedProxies { networks, header }
}

/// Who it is, when this address connects and says that.
fn client(header: AddressHeader, connection: &str, lines: &[&str]) -> String {
    let name = match header {
        AddressHeader::XForwardedFor => "x-forwarded-for",
        AddressHeader::Forwarded => "forwarded",
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_str(line).unwrap());
    }
    trusted(header).client(connection.parse().unwrap(), &headers).to_string()
}

#[test]
fn the_last_address_that_is_no_proxy_counts() {
    for (connection, lines, expected) in [
        // Nobody else's word is taken.
        ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
        ("192.0.2.2", &["198.51.100.1"], "192.0.2.2"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ("192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", &["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        // What a client wrote stands before what the proxy saw.
        ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["1.2.3.4, 198.51.100.1 , 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1,10.9.9.9", "10.8.8.8"], "198.51.100.1"),
        ("10.0.0.1", &["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        // With a port, or brackets.
        ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        // Behind what is no address nobody is known.
        ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
        ("10.0.0.1", &[""], "10.0.0.1"),
    ] {
        assert_eq!(client(AddressHeader::XForwardedFor, connection, lines), expected, "{connection} {lines:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (lines, expected) in [
        (&["for=198.51.100.1"][..], "198.51.100.1"),
        (&["For=198.51.100.1;proto=https;by=10.0.0.1"], "198.51.100.1"),
        (&["proto=https;for=\"198.51.100.1:4711\""], "198.51.100.1"),
        (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
        (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
        (&["for=1.2.3.4, for=198.51.100.1"], "198.51.100.1"),
        (&["for=1.2.3.4", "for=198.51.100.1 , for=10.9.9.9"], "198.51.100.1"),
        (&["for=\"1.2.3.4, for=\", for=198.51.100.1"], "198.51.100.1"),
        (&["for=\"a\\\"b\", for=198.51.100.1"], "198.51.100.1"),
        (&["for=198.51.100.1, for=_hidden, for=10.2.2.2"], "10.2.2.2"),
        (&["for=198.51.100.1, proto=https"], "10.0.0.1"),
        (&["for=unknown"], "10.0.0.1"),
        // What does not parse says nothing, wherever it stands.
        (&["for=1.2.3.4;x=\", for=\"[2001:db8::1]\""], "10.0.0.1"),
        (&["x=\"", "for=198.51.100.1"], "10.0.0.1"),
        (&["for=1.2.3.4;for=198.51.100.1"], "10.0.0.1"),
        (&["198.51.100.1"], "10.0.0.1"),
        (&["for=198.51.100.1;"], "10.0.0.1"),
        (&[", for=198.51.100.1 ,, "], "198.51.100.1"),
        (&["for = 198.51.100.1"], "10.0.0.1"),
    ] {
        assert_eq!(client(AddressHeader::Forwarded, "10.0.0.1", lines), expected, "{lines:?}");
    }
}

#[test]
fn the_other_header_is_not_looked_at() {
    let mut headers = HeaderMap::new();
    headers.insert("forwarded", HeaderValue::from_static("for=1.2.3.4"));
    headers.insert("x-real-ip", HeaderValue::from_static("1.2.3.4"));
    let connection = "10.0.0.1".parse().unwrap();
    assert_eq!(trusted(AddressHeader::XForwardedFor).client(connection, &headers), connection);
    headers.insert("x-forwarded-for", HeaderValue::from_static("5.6.7.8"));
    assert_eq!(trusted(AddressHeader::Forwarded).client(connection, &headers).to_string(), "1.2.3.4");
}

#[test]
fn networks_that_can_be_none() {
    for text in ["", "10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.0/8,", "0.0.0.0/0", "::/0"] {
        assert!(text.parse::<ProxyNetwork>().is_err(), "{text}");
    }
}

proptest! {
    /// Whatever a client writes, what an honest proxy appends is believed, or nothing is.
    #[test]
    fn no_client_chooses_its_address(written in "[ -~]{0,60}", new_line: bool) {
        let seen = "198.51.100.1";
        for (header, appended) in
            [(AddressHeader::XForwardedFor, seen.to_owned()), (AddressHeader::Forwarded, format!("for={seen}"))]
        {
            let joined = format!("{written}, {appended}");
            let lines = if new_line { vec![&*written, &*appended] } else { vec![&*joined] };
            let found = client(header, "10.0.0.1", &lines);
            prop_assert!(found == seen || found == "10.0.0.1", "{found}: {lines:?}");
        }
    }
}
