"""Attestations like those of GitHub Actions, signed by an authority of the tests, for `gh attestation verify`.

An attestation is an in-toto statement about an image (its subject) in a signed DSSE envelope. The signing key is used
once; its certificate names the repository and the workflow, and a transparency log confirms when it was used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.github import REPOSITORY

PROVENANCE = "https://slsa.dev/provenance/v1"
STATEMENT = "application/vnd.in-toto+json"
ISSUER = "https://token.actions.githubusercontent.com"
ORGANIZATION = "Tests of Crypto Predict"  # gh compares it in the certificate and the trusted root
LOG = "log.example.org"
FULCIO = "1.3.6.1.4.1.57264.1"  # prefix of the certificate extensions that describe a workflow
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Signer:
    """The workflow run that signs."""

    repository: str = REPOSITORY
    workflow: str = ".github/workflows/release.yml"
    ref: str = "refs/heads/main"
    revision: str = "0" * 40

    @property
    def identity(self) -> str:
        """The workflow's address at its revision; the certificate's subject."""
        return f"https://github.com/{self.repository}/{self.workflow}@{self.ref}"

    def extensions(self) -> dict[int, str]:
        """Return the certificate extensions by the last number of their object identifiers."""
        source = f"https://github.com/{self.repository}"
        owner = source.rpartition("/")[0]
        extensions = {8: ISSUER, 11: "github-hosted", 12: source, 14: self.ref, 16: owner, 20: "push"}
        extensions |= dict.fromkeys((9, 18), self.identity)
        return extensions | dict.fromkeys((10, 13, 19), self.revision)


RELEASE = Signer()


class Authority:
    """A certificate authority and a transparency log, whose keys are stored in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted_root = folder / "trusted_root.jsonl"  # for --custom-trusted-root
        folder.mkdir(parents=True, exist_ok=True)
        self._key = _kept_key(folder / "authority.pem")
        self._log_key = _kept_key(folder / "log.pem")
        self._log_id = hashlib.sha256(_public(self._log_key)).digest()
        if not self.trusted_root.exists():
            self.trusted_root.write_text(json.dumps(self._describe_roots()) + "\n")

    def sign(
        self,
        subject: str,
        digest: str,
        predicate_type: str = PROVENANCE,
        predicate: dict[str, Any] | None = None,
        signer: Signer = RELEASE,
    ) -> dict[str, Any]:
        """Return a bundle of `signer` that attests `predicate` of an image, by default that `signer` built it.

        The image is that of a name, ``ghcr.io/owner/crypto-predict``, and a digest, ``sha256:...``.
        """
        algorithm, _, value = digest.partition(":")
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": subject, "digest": {algorithm: value}}],
            "predicateType": predicate_type,
            "predicate": predicate or {"runDetails": {"builder": {"id": signer.identity}}},
        }
        payload, key = json.dumps(statement).encode(), ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(key, signer)
        # What DSSE signs: type and payload, each after its length.
        signature = _sign(key, b"DSSEv1 %d %s %d %s" % (len(STATEMENT), STATEMENT.encode(), len(payload), payload))
        envelope = {"payload": _text(payload), "payloadType": STATEMENT, "signatures": [{"sig": _text(signature)}]}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _text(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self._log(payload, signature, certificate)],
            },
            "dsseEnvelope": envelope,
        }

    def _certify(self, key: ec.EllipticCurvePrivateKey, signer: Signer) -> x509.Certificate:
        """Return a certificate of a signing key, as Fulcio issues it."""
        identity = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(signer.identity)])
        builder = _certificate(key, x509.Name([])).add_extension(identity, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        for number, value in signer.extensions().items():
            identifier = x509.ObjectIdentifier(f"{FULCIO}.{number}")
            extension = x509.UnrecognizedExtension(identifier, asn1.encode_der(value))
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, SHA256())

    def _log(self, payload: bytes, signature: bytes, certificate: x509.Certificate) -> dict[str, Any]:
        """Return the log entry of a signature: the only one of its tree, so its hash is the root."""
        verifier = _text(certificate.public_bytes(Encoding.PEM))
        digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        signatures = [{"signature": _text(signature), "verifier": verifier}]
        spec = {"envelopeHash": digest, "payloadHash": digest, "signatures": signatures}
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        time = int(datetime.now(UTC).timestamp())
        promise = _canonical({"body": _text(body), "integratedTime": time, "logID": self._log_id.hex(), "logIndex": 0})
        root = _text(hashlib.sha256(b"\0" + body).digest())
        note = f"{LOG} - 1\n1\n{root}\n"  # the head of a tree of one entry
        head = f"{note}\n\u2014 {LOG} {_text(self._log_id[:4] + _sign(self._log_key, note.encode()))}\n"
        proof = {"logIndex": "0", "rootHash": root, "treeSize": "1", "hashes": [], "checkpoint": {"envelope": head}}
        return {
            "logIndex": "0",
            "logId": {"keyId": _text(self._log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(time),
            "inclusionPromise": {"signedEntryTimestamp": _text(_sign(self._log_key, promise))},
            "inclusionProof": proof,
            "canonicalizedBody": _text(body),
        }

    def _describe_roots(self) -> dict[str, Any]:
        """Return the trusted root: the authority's certificate and the log's key."""
        builder = _certificate(self._key, _NAME).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        certificate = builder.sign(self._key, SHA256())
        valid = {"start": (datetime.now(UTC) - HOUR).isoformat()}
        chain = {"certificates": [{"rawBytes": _text(certificate.public_bytes(Encoding.DER))}]}
        kind = "PKIX_ECDSA_P256_SHA_256"
        log = {
            "baseUrl": f"https://{LOG}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {"rawBytes": _text(_public(self._log_key)), "keyDetails": kind, "validFor": valid},
            "logId": {"keyId": _text(self._log_id)},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log],
            "certificateAuthorities": [{"certChain": chain, "validFor": valid}],
        }


def wrapped_gh(folder: Path, authority: Authority) -> None:
    """Write a program `gh` into `folder`, to be put first in PATH: the real one, trusting only `authority`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "gh"
    real = Path(sys.executable).with_name("gh")
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1 $2" = "attestation verify" ]; then\n'
        f"    set -- \"$@\" --custom-trusted-root '{authority.trusted_root}'\n"
        "fi\n"
        f"exec '{real}' \"$@\"\n"
    )
    program.chmod(0o755)


_NAME = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION)])


def _certificate(key: ec.EllipticCurvePrivateKey, subject: x509.Name) -> x509.CertificateBuilder:
    """Return a certificate of the authority for a key, to be extended and signed."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_NAME).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - HOUR).not_valid_after(now + 24 * HOUR)


def _kept_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private key in a file; create the file if it does not exist."""
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    stored = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(stored, ec.EllipticCurvePrivateKey)
    return stored


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(SHA256()))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
