//! Whether a program can run in an image that has nothing else: a Linux program for amd64 that asks for no loader.

use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Why a file can't be the program of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAProgram {
    /// It is no ELF file, or its headers are not at its beginning.
    #[error("it is no Linux program ({0})")]
    Unreadable(String),
    /// It is for another processor.
    #[error("it is not for amd64")]
    Architecture,
    /// It is linked to libraries that the image does not have.
    #[error("it is not static: it asks for a loader, and an image from scratch has none")]
    Dynamic,
}

/// Judges a program by its first bytes; 4096 hold the headers of everything that linkers write.
///
/// # Errors
/// Why it would not run.
pub fn check_static(head: &[u8]) -> Result<(), NotAProgram> {
    let unreadable = |error: object::read::Error| NotAProgram::Unreadable(error.to_string());
    let header = FileHeader64::<Endianness>::parse(head).map_err(unreadable)?;
    let endian = header.endian().map_err(unreadable)?;
    if header.e_machine(endian) != EM_X86_64 {
        return Err(NotAProgram::Architecture);
    }
    let segments = header.program_headers(endian, head).map_err(unreadable)?;
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Err(NotAProgram::Dynamic);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a program with one segment of a kind.
    fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64 + 56, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes()); // where the segments' headers are
        bytes[52..54].copy_from_slice(&64_u16.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn a_static_program_for_amd64_is_fit_and_others_are_told_apart() {
        const LOAD: u32 = 1;
        const INTERPRETER: u32 = 3;
        const AARCH64: u16 = 183;
        const AMD64: u16 = 62;
        assert_eq!(check_static(&program(AMD64, LOAD)), Ok(()));
        assert_eq!(check_static(&program(AMD64, INTERPRETER)), Err(NotAProgram::Dynamic));
        assert_eq!(check_static(&program(AARCH64, LOAD)), Err(NotAProgram::Architecture));
        for bytes in [b"#!/bin/sh\n".as_slice(), b"", &program(AMD64, LOAD)[..70]] {
            assert!(matches!(check_static(bytes), Err(NotAProgram::Unreadable(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_test_program_of_cargo_is_not_static() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected = if cfg!(target_feature = "crt-static") { Ok(()) } else { Err(NotAProgram::Dynamic) };
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            assert_eq!(check_static(&own[..4096]), expected);
        } else {
            assert!(check_static(&own[..4096]).is_err());
        }
    }
}
