"""Keys of updates: Ed25519 by PyNaCl (libsodium). The private one stays with whoever makes releases.

A key is a file of one line: `evokd-update-public HEX` in NAME.pub, `evokd-update-private HEX` in NAME.key.
A box trusts every NAME.pub of one folder, and holds no private key.
"""

import os
from pathlib import Path

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from firmware.errors import ConfigError
from hw.bundle import KEY_BYTES, Head, signed

PUBLIC, PRIVATE = "evokd-update-public", "evokd-update-private"


def new_key(folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.key (mode 0600) and NAME.pub. Raises ConfigError when one is there already."""
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise ConfigError(f"key name {name!r} may hold letters, digits, - and _ only")
    key = SigningKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, mode, kind, value in (
            (private, 0o600, PRIVATE, bytes(key)),
            (public, 0o644, PUBLIC, bytes(key.verify_key)),
        ):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{kind} {value.hex()}\n")
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} is there already; choose another name") from None
    except OSError as error:
        raise ConfigError(f"cannot write keys into {folder}: {error.strerror}") from None
    return private, public


def _read(path: Path, kind: str) -> bytes:
    try:
        words = path.read_text(encoding="ascii").split()
        value = bytes.fromhex(words[1]) if len(words) == 2 and words[0] == kind else b""
    except OSError as error:
        raise ConfigError(f"key {path}: {error.strerror}; check the path") from None
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise ConfigError(f"key {path} is not one line {kind!r} and 64 hexadecimal digits; make one anew")
    return value


def sign(manifest: bytes, private: Path) -> Head:
    """The head of a bundle with that manifest. Raises ConfigError when the key cannot be read."""
    key = SigningKey(_read(private, PRIVATE))
    return Head(manifest, bytes(key.verify_key), key.sign(signed(manifest)).signature)


def trusted_keys(folder: Path) -> dict[bytes, str]:
    """Names by public key of what a box trusts. Raises ConfigError for a key that cannot be read."""
    return {_read(path, PUBLIC): path.stem for path in sorted(folder.glob("*.pub"))}


def signer(head: Head, trusted: dict[bytes, str]) -> str:
    """The name of the trusted key that signed `head`. Raises ConfigError when none did."""
    if not any(head.signature):
        raise ConfigError("the bundle is not signed; sign it: evokd bundle sign")
    if head.key not in trusted:
        named = ", ".join(trusted.values()) or "none"
        raise ConfigError(
            f"the bundle is signed by a key {head.key.hex()[:16]} that this box does not trust (it trusts: "
            f"{named}); get one signed by such a key"
        )
    try:
        VerifyKey(head.key).verify(signed(head.manifest), head.signature)
    except (BadSignatureError, ValueError):
        raise ConfigError(
            "the bundle's signature is not its manifest's; it was changed, get it anew"
        ) from None
    return trusted[head.key]
