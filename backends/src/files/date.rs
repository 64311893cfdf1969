//! Times as HTTP writes them.
//!
//! Rule: a clock and a file's date may say anything; what HTTP has no form for, before 1970 or after 9999, is `None`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second of the year 10000, after 1970.
const END: Duration = Duration::from_secs(253_402_300_800);

/// `time` as an `IMF-fixdate` (RFC 9110 §5.6.7).
pub(super) fn http_date(time: SystemTime) -> Option<String> {
    let within = time.duration_since(UNIX_EPOCH).is_ok_and(|since| since < END);
    within.then(|| httpdate::fmt_http_date(time))
}

/// The time that a field's value says, in any of the three forms.
pub(super) fn parse(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_and_read_back() {
        let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(time).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
        for form in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(form.as_bytes()), Some(time), "{form}");
        }
    }

    #[test]
    fn what_http_has_no_form_for_is_no_date() {
        assert_eq!(http_date(UNIX_EPOCH - Duration::from_nanos(1)), None);
        assert_eq!(http_date(UNIX_EPOCH + END), None);
        assert!(http_date(UNIX_EPOCH + END - Duration::from_nanos(1)).is_some());
        for noise in
            [&b""[..], b"yesterday", b"\xff", b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(parse(noise), None);
        }
    }
}
