//! The users of the manager, from a file in the format of Apache's `htpasswd`.
//!
//! Owns the format. Only bcrypt is taken: the file's other hashes (MD5, SHA-1, crypt) can be tried by the billion.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use bcrypt::HashParts;

/// Longest file, bytes.
const MOST_BYTES: u64 = 1 << 20;
/// The largest cost that `htpasswd` itself accepts; with a larger one a single password takes minutes.
const MOST_COST: u32 = 17;

/// Names and password hashes; never empty.
#[derive(Debug)]
pub(crate) struct Users {
    users: Vec<User>,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    /// bcrypt, checked.
    pub(super) hash: String,
}

impl Users {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Users> {
        let shown = path.display();
        let mut text = Vec::new();
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text)).with_context(
            || format!("cannot read the users in {shown}; make them by `htpasswd -cB {shown} NAME`"),
        )?;
        Users::parse(&text).with_context(|| format!("cannot use the users in {shown}"))
    }

    /// Reads a file's content.
    pub(crate) fn parse(text: &[u8]) -> anyhow::Result<Users> {
        ensure!(
            text.len() as u64 <= MOST_BYTES,
            "the file is larger than {MOST_BYTES} bytes; is it another one?"
        );
        let mut users: Vec<User> = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let user = User::parse(line).with_context(|| format!("line {}", index + 1))?;
            if users.iter().any(|other| other.name == user.name) {
                bail!("line {}: the user is there twice; leave one out", index + 1);
            }
            users.push(user);
        }
        ensure!(!users.is_empty(), "there is no user in it; add one by `htpasswd -B FILE NAME`");
        Ok(Users { users })
    }

    pub(super) fn all(&self) -> &[User] {
        &self.users
    }
}

impl User {
    fn parse(line: &[u8]) -> anyhow::Result<User> {
        let line = std::str::from_utf8(line)
            .ok()
            .context("it is not UTF-8; set the user again by `htpasswd -B FILE NAME`")?;
        let (name, hash) = line
            .split_once(':')
            .context("there is no 'name:hash' in it; set the user by `htpasswd -B FILE NAME`")?;
        ensure!(
            !name.is_empty() && !name.chars().any(char::is_control),
            "the user has no proper name; set the user by `htpasswd -B FILE NAME`"
        );
        ensure!(
            ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)),
            "the password is not hashed by bcrypt; set it again by `htpasswd -B FILE NAME`"
        );
        let parts: HashParts = hash
            .parse()
            .ok()
            .context("the bcrypt hash is damaged; set the password again by `htpasswd -B FILE NAME`")?;
        ensure!(
            (4..=MOST_COST).contains(&parts.get_cost()),
            "the bcrypt cost {} is out of bounds; set the password again by `htpasswd -B -C 10 FILE NAME`",
            parts.get_cost()
        );
        Ok(User { name: name.to_owned(), hash: hash.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `htpasswd -nbB -C 5 anna secret` prints.
    const HASH: &str = "$2y$05$0PhiP0vJnzBywYDmcInhauYf1G0bEPZCNQyn4rDir.Yb4QAlhkkxa";

    fn refused(text: impl AsRef<[u8]>) -> String {
        format!("{:#}", Users::parse(text.as_ref()).unwrap_err())
    }

    #[test]
    fn users_are_read_beside_comments_empty_lines_and_line_ends_of_windows() {
        let text = format!("# users\n\nanna:{HASH}\r\n  \nb c:{}\n", HASH.replace("$2y$", "$2b$"));
        let users = Users::parse(text.as_bytes()).unwrap();
        let names: Vec<&str> = users.all().iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["anna", "b c"]);
        assert_eq!(users.all()[0].hash, HASH);
    }

    #[test]
    fn what_is_not_bcrypt_is_refused_with_its_line_and_the_remedy() {
        for hash in [
            "secret",
            "",
            "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "rqXexS6ZhobKA",
            "$6$salt$hash",
            &HASH.replace("$2y$", "$2x$"),
            &HASH[..59],
            &format!("{}:", &HASH[..59]),
            &format!("{HASH}a"),
            &HASH.replace("$05$", "$99$"),
            &HASH.replace("$05$", "$31$"),
            &HASH.replace("$05$", "$03$"),
            &HASH.replace("$05$", "$xx$"),
        ] {
            let said = refused(format!("anna:{HASH}\nbob:{hash}\n"));
            assert!(said.starts_with("line 2: ") && said.contains("`htpasswd -B"), "{hash}: {said}");
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for (text, told) in [
            (String::new(), "no user"),
            ("# nobody\n\n".to_owned(), "no user"),
            ("anna".to_owned(), "line 1: there is no 'name:hash'"),
            (format!(":{HASH}"), "no proper name"),
            (format!("a\tb:{HASH}"), "no proper name"),
            (format!("a:{HASH}\nb:{HASH}\na:{HASH}"), "line 3: the user is there twice"),
        ] {
            assert!(refused(&text).contains(told), "{text}: {}", refused(&text));
        }
        assert!(refused(b"\xff:x").contains("line 1: it is not UTF-8"));
        assert!(refused(vec![b'\n'; (1 << 20) + 1]).contains("larger"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        for path in ["/nowhere/at/all", "/"] {
            let said = format!("{:#}", Users::read(Path::new(path)).unwrap_err());
            assert!(
                said.contains(path) && said.contains("htpasswd -cB") && said.lines().count() == 1,
                "{said}"
            );
        }
    }
}
