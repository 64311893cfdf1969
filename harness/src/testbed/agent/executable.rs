//! Which program this is: the SHA-256 of its file.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// The SHA-256 of the running program's own file, in hexadecimal digits; of the file as it was when this process began, even if
/// another has taken its place.
pub fn sha256_of_this_program() -> io::Result<String> {
    let mut file = File::open("/proc/self/exe")?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let program = std::env::current_exe().unwrap();
        let told = Command::new("sha256sum").arg(program).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        assert_eq!(told.split_whitespace().next(), Some(sha256_of_this_program().unwrap().as_str()));
    }
}
